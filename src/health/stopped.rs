//! Daemons that the administrator has stopped or masked: a change leaves them down, and their checks
//! cannot run.

use crate::app::{App, Service};
use crate::events::Subject;
use crate::host::{Host, UnitStatus};
use crate::session::Session;
use anyhow::Result;

/// A daemon that a change leaves down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoppedDaemon {
    /// The unit.
    pub(crate) unit: String,
    /// Whether it is masked, and not only stopped.
    pub(crate) is_masked: bool,
}

/// The status of the units of an app's daemons.
///
/// # Errors
/// When systemd does not answer.
pub(crate) fn daemon_states(host: &Host, app: &App) -> Result<Vec<(String, UnitStatus)>> {
    let daemons = app.services.iter().filter(|one| Service::is_daemon(one));
    let units: Vec<String> = daemons.map(|service| app.unit(service)).collect();
    let states = host.systemd.show(&units)?;
    Ok(units.into_iter().zip(states).collect())
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
        if is_masked || (is_kept(unit) && !state.is_active()) {
            let unit = unit.clone();
            out.push(StoppedDaemon { unit, is_masked });
        }
    }
    out
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
