//! Whether what was switched to is healthy, and what nobody looked at.

use super::{Subject, Operation, Work, blame};
use crate::host::Host;
use crate::app::{App, Service};
use crate::plan::{Action, Plan};
use crate::health::{Unhealthy, run_jobs, verify};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;

/// Runs the checks of all that runs after the switch, and the jobs that are checks.
///
/// # Errors
/// The first thing that is not as it should be: the release's fault.
pub(super) fn judge(
    work: &Work<'_>,
    plan: &Plan,
    app: &App,
    pins: &BTreeMap<String, String>,
    operation: &Operation,
) -> Result<()> {
    let host = work.host;
    let down = down(host, plan, app)?;
    // A deploy has tried them, or said of each that it was not tried.
    if *operation != Operation::Deploy {
        for (unit, _) in down.iter().filter(|(_, masked)| !masked) {
            unlooked(work, plan, unit);
        }
    }
    let skip = |unit: &str| down.iter().any(|(name, _)| name == unit);
    let seen = verify(host, app, &plan.to, pins, &skip, &work.trace).and_then(|mut verdicts| {
        let masked = |unit: &str| host.systemd.show_one(unit).is_ok_and(|it| it.is_masked());
        if *operation == Operation::Deploy {
            verdicts.extend(run_jobs(host, app, &masked, &work.trace)?);
        }
        Ok(verdicts)
    });
    let verdicts = seen.map_err(|unhealthy| blame(anyhow::Error::new(Sick(unhealthy))))?;
    for verdict in verdicts {
        let text = format!("{}: {}, {} ms", verdict.unit, verdict.check, verdict.millis);
        work.tell("info", "checked", Subject::release(&plan.to), &text);
    }
    Ok(())
}

/// Says of a stopped service that it has the release and that nobody has seen it work.
pub(super) fn unlooked(work: &Work<'_>, plan: &Plan, unit: &str) {
    let about = Subject {
        release: Some(&plan.to),
        unit: Some(unit),
    };
    let message = format!("`{unit}` is stopped: its checks were not run");
    work.tell("warning", "not-checked", about, &message);
}

/// The daemons that somebody has stopped or masked and that the plan leaves so; true for the masked.
fn down(host: &Host, plan: &Plan, app: &App) -> Result<Vec<(String, bool)>> {
    let units = daemons(app);
    let states = host.systemd.show(&units)?;
    let both = units.into_iter().zip(states);
    let down = both.filter(|(unit, it)| it.is_masked() || (kept(plan, unit) && !it.is_active()));
    Ok(down.map(|(unit, it)| (unit, it.is_masked())).collect())
}

/// The daemons that somebody has stopped. Their sockets may listen: then the next request starts
/// them, on the new release.
pub(super) fn stopped(host: &Host, plan: &Plan, app: &App) -> Result<Vec<String>> {
    let down = down(host, plan, app)?.into_iter();
    Ok(down
        .filter(|(_, masked)| !masked)
        .map(|(unit, _)| unit)
        .collect())
}

/// Whether the plan leaves a unit alone.
fn kept(plan: &Plan, unit: &str) -> bool {
    let mut units = plan.units.iter();
    units.any(|one| one.unit == unit && one.action == Action::Keep)
}

pub(super) fn daemons(app: &App) -> Vec<String> {
    let daemons = app.services.iter().filter(|one| Service::is_daemon(one));
    daemons.map(|service| app.unit(service)).collect()
}

#[derive(Debug)]
pub(super) struct Sick(pub(super) Unhealthy);

impl fmt::Display for Sick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Sick {}
