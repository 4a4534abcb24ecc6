//! Whether what was switched to is healthy, and what nobody looked at.

use super::{Operation, blame_release};
use crate::app::{App, Service};
use crate::events::Subject;
use crate::health::{Unhealthy, run_jobs, verify};
use crate::host::Host;
use crate::plan::{Action, Plan};
use crate::session::Session;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;

/// Runs the checks of all that runs after the switch, and the jobs that are checks.
///
/// # Errors
/// The first thing that is not as it should be: the release's fault.
pub(super) fn check_health(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    pins: &BTreeMap<String, String>,
    operation: &Operation,
) -> Result<()> {
    let host = session.host;
    let stopped_or_masked = stopped_or_masked(host, plan, app)?;
    // A deploy has tried them, or said of each that it was not tried.
    if *operation != Operation::Deploy {
        for (unit, _) in stopped_or_masked.iter().filter(|(_, masked)| !masked) {
            warn_unchecked(session, plan, unit);
        }
    }
    let skip = |unit: &str| stopped_or_masked.iter().any(|(name, _)| name == unit);
    let seen = verify(host, app, &plan.to, pins, &skip, &session.trace).and_then(|mut verdicts| {
        let masked = |unit: &str| host.systemd.show_one(unit).is_ok_and(|it| it.is_masked());
        if *operation == Operation::Deploy {
            verdicts.extend(run_jobs(host, app, &masked, &session.trace)?);
        }
        Ok(verdicts)
    });
    let verdicts = seen
        .map_err(|unhealthy| blame_release(anyhow::Error::new(UnhealthyAfterSwitch(unhealthy))))?;
    for verdict in verdicts {
        let text = format!("{}: {}, {} ms", verdict.unit, verdict.check, verdict.millis);
        session.emit("info", "checked", Subject::release(&plan.to), &text);
    }
    Ok(())
}

/// Says of a stopped service that it has the release and that nobody has seen it work.
pub(super) fn warn_unchecked(session: &Session<'_>, plan: &Plan, unit: &str) {
    let about = Subject {
        release: Some(&plan.to),
        unit: Some(unit),
    };
    let message = format!("`{unit}` is stopped: its checks were not run");
    session.emit("warning", "not-checked", about, &message);
}

/// The daemons that somebody has stopped or masked and that the plan leaves so; true for the masked.
fn stopped_or_masked(host: &Host, plan: &Plan, app: &App) -> Result<Vec<(String, bool)>> {
    let units = daemons(app);
    let states = host.systemd.show(&units)?;
    let join = units.into_iter().zip(states);
    let stopped_or_masked =
        join.filter(|(unit, it)| it.is_masked() || (is_unchanged(plan, unit) && !it.is_active()));
    Ok(stopped_or_masked
        .map(|(unit, it)| (unit, it.is_masked()))
        .collect())
}

/// The daemons that somebody has stopped. Their sockets may listen: then the next request starts
/// them, on the new release.
pub(super) fn stopped_daemons(host: &Host, plan: &Plan, app: &App) -> Result<Vec<String>> {
    let stopped_or_masked = stopped_or_masked(host, plan, app)?.into_iter();
    Ok(stopped_or_masked
        .filter(|(_, masked)| !masked)
        .map(|(unit, _)| unit)
        .collect())
}

/// Whether the plan leaves a unit alone.
fn is_unchanged(plan: &Plan, unit: &str) -> bool {
    let mut units = plan.units.iter();
    units.any(|one| one.unit == unit && one.action == Action::Unchanged)
}

pub(super) fn daemons(app: &App) -> Vec<String> {
    let daemons = app.services.iter().filter(|one| Service::is_daemon(one));
    daemons.map(|service| app.unit(service)).collect()
}

#[derive(Debug)]
pub(super) struct UnhealthyAfterSwitch(pub(super) Unhealthy);

impl fmt::Display for UnhealthyAfterSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for UnhealthyAfterSwitch {}
