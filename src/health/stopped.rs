//! Daemons that the administrator has stopped or masked, or whose condition is not met: a change leaves
//! them down, and their checks cannot run.

use crate::app::{App, Condition, Service};
use crate::events::Subject;
use crate::host::{Checked, Host, Stopwatch, UnitStatus, wait_until};
use crate::session::Session;
use anyhow::Result;
use std::time::Duration;

/// How long the stop or the start of one service counts at most, while a change waits for it.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// How long such a wait is silent.
const SILENT_WAIT: Duration = Duration::from_secs(3);

/// A daemon that a change leaves down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoppedDaemon {
    /// The unit.
    pub(crate) unit: String,
    /// Whether it is masked, and not only stopped.
    pub(crate) is_masked: bool,
}

/// The status of the units of an app's daemons, and of services that do not start with the app, if the
/// administrator has enabled or started them.
///
/// # Errors
/// When systemd does not answer.
pub(crate) fn daemon_states(host: &Host, app: &App) -> Result<Vec<(String, UnitStatus)>> {
    let services = app.services.iter().filter(|one| !one.is_job());
    let services: Vec<&Service> = services.collect();
    let units: Vec<String> = services.iter().map(|service| app.unit(service)).collect();
    let states = host.systemd.show(&units)?;
    let all = services.iter().zip(units.into_iter().zip(states));
    let is_in_use = |state: &UnitStatus| state.is_enabled() || !state.is_down();
    let all = all.filter(|(service, (_, state))| service.enable || is_in_use(state));
    Ok(all.map(|(_, daemon)| daemon).collect())
}

/// The same, once no daemon is in between: someone may restart one while a change goes on. The wait lasts as long
/// as the stop and the start of the slowest daemon may take. `report` gets a daemon once if the wait is not short.
///
/// # Errors
/// When systemd does not answer.
pub(crate) fn settled_daemons(
    host: &Host,
    app: &App,
    report: &dyn Fn(&str, &UnitStatus),
) -> Result<Vec<(String, UnitStatus)>> {
    let time = |service: &Service| {
        let all = [&service.timeout_stop, &service.timeout_start];
        all.map(|span| span.duration.min(MAX_WAIT))
            .into_iter()
            .sum()
    };
    let daemons = app.services.iter().filter(|one| Service::is_daemon(one));
    let longest: Duration = daemons.map(time).max().unwrap_or_default();
    let waited = Stopwatch::start();
    let mut is_reported = false;
    let settled = wait_until(longest, || {
        let states = daemon_states(host, app).map_err(Some)?;
        let mut between = states.iter().filter(|(_, state)| state.is_in_between());
        let Some((unit, state)) = between.next() else {
            return Ok(states);
        };
        if !is_reported && waited.elapsed() >= SILENT_WAIT {
            is_reported = true;
            report(unit, state);
        }
        Err(None)
    });
    match settled {
        Ok(states) => Ok(states),
        Err(Some(error)) => Err(error),
        // Its state is judged as it is.
        Err(None) => daemon_states(host, app),
    }
}

/// Sends an event for the daemon that a change waits for.
pub(crate) fn report_wait(session: &Session<'_>, unit: &str, state: &UnitStatus) {
    let subject = Subject {
        release: None,
        unit: Some(unit),
    };
    let message = format!("waiting for `{unit}`: {}", state.phase().row().words);
    session.emit("info", "waiting", subject, &message);
}

/// The daemons that are masked, and those that are stopped and that the change keeps so: `is_kept`
/// accepts the units that it does not start.
///
/// A stopped daemon whose socket listens starts with the next request, on the new release.
pub(crate) fn stopped_daemons(
    states: &[(String, UnitStatus)],
    is_kept: &dyn Fn(&str) -> bool,
) -> Vec<StoppedDaemon> {
    let mut out = Vec::new();
    for (unit, state) in states {
        let is_masked = state.is_masked();
        let is_down = state.phase().row().checked == Checked::IfStarted;
        if is_masked || (is_kept(unit) && is_down) {
            let unit = unit.clone();
            out.push(StoppedDaemon { unit, is_masked });
        }
    }
    out
}

/// Sends an event for a unit that systemd did not start, because one of its conditions is not met. That is
/// what the manifest asks for, and no failure.
pub(crate) fn report_skipped(session: &Session<'_>, release: &str, app: &App, unit: &str) {
    let service = app.service_of(unit);
    let conditions = service.map(|service| service.conditions.as_slice());
    let subject = Subject {
        release: Some(release),
        unit: Some(unit),
    };
    let message = format!(
        "`{unit}` was not started: {}",
        unmet_in_words(conditions.unwrap_or_default())
    );
    session.emit("info", "condition-not-met", subject, &message);
}

/// Whether systemd would start a service now, by its conditions.
pub(crate) fn are_met(host: &Host, service: &Service) -> bool {
    let conditions = service.conditions.iter();
    // A `%` is literal.
    let lines = conditions.map(|one| one.to_string().replace('%', "%%"));
    host.systemd.are_met(&lines.collect::<Vec<_>>())
}

/// Why a unit with these conditions was not started, as a clause.
pub(crate) fn unmet_in_words(conditions: &[Condition]) -> String {
    match conditions {
        // A drop-in of the administrator has it.
        [] => "its condition is not met".to_owned(),
        [one] => format!("its condition is not met: `{one}`"),
        all => {
            let all: Vec<String> = all.iter().map(|one| format!("`{one}`")).collect();
            format!("its conditions are not all met: {}", all.join(", "))
        }
    }
}

/// Warns that the checks of a stopped daemon were not run on the new release.
pub(crate) fn warn_unchecked(session: &Session<'_>, release: &str, unit: &str) {
    let subject = Subject {
        release: Some(release),
        unit: Some(unit),
    };
    let message = format!("`{unit}` is stopped: its checks were not run");
    session.emit("warning", "not-checked", subject, &message);
}
