//! Checks after the switch, and which services they skip.

use super::operation::Operation;
use crate::app::App;
use crate::events::Subject;
use crate::failure::Failure;
use crate::health::{
    Proof, report_skipped, report_wait, run_jobs, settled_daemons, stopped_daemons, verify,
    warn_unchecked,
};
use crate::plan::Plan;
use crate::session::Session;
use crate::store::State;
use anyhow::Result;
use std::collections::BTreeSet;

/// Checks everything that runs after the switch, and runs the jobs that are checks. Returns the units of the
/// daemons that run and are healthy.
///
/// # Errors
/// When systemd cannot be asked. What is wrong with the release is the inner error.
pub(super) fn check_health(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    state: &State,
    operation: &Operation,
    proof: &Proof,
) -> Result<Result<BTreeSet<String>, Failure>> {
    let host = session.host;
    let mut daemons = settled_daemons(host, app, &|unit, state| {
        report_wait(session, unit, state);
    })?;
    if operation.is_of_services() {
        // What goes on as it was says nothing about this change.
        daemons.retain(|(unit, _)| !plan.leaves(unit));
    }
    for (unit, _) in daemons.iter().filter(|(_, state)| state.is_skipped()) {
        report_skipped(session, &plan.to, app, unit);
    }
    daemons.retain(|(_, state)| !state.is_skipped());
    let stopped = stopped_daemons(&daemons, &|unit| plan.leaves(unit));
    // The pre-check of a deploy has checked them, or has said why not.
    if *operation != Operation::Deploy {
        for daemon in stopped.iter().filter(|one| !one.is_masked) {
            warn_unchecked(session, &plan.to, &daemon.unit);
        }
    }
    daemons.retain(|(unit, _)| stopped.iter().all(|one| one.unit != *unit));
    let proved = daemons.iter().map(|(unit, _)| unit.clone()).collect();
    let seen = verify(host, app, daemons, state, proof, &session.trace).and_then(|mut verdicts| {
        let masked = |unit: &str| host.systemd.show_one(unit).is_ok_and(|it| it.is_masked());
        if *operation == Operation::Deploy {
            verdicts.extend(run_jobs(host, app, &masked, &session.trace)?);
        }
        Ok(verdicts)
    });
    let verdicts = match seen {
        Ok(verdicts) => verdicts,
        Err(unhealthy) => return Ok(Err(unhealthy)),
    };
    for verdict in verdicts {
        let text = format!("{}: {}, {} ms", verdict.unit, verdict.check, verdict.millis);
        session.emit("info", "checked", Subject::release(&plan.to), &text);
    }
    Ok(Ok(proved))
}
