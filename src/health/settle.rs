//! The settle time: units must stay up without a restart, and without a process that is killed for memory.

use super::cause::cause_failure;
use super::restarts::out_of_memory;
use super::run::Run;
use crate::app::{Probe, Service};
use crate::failure::Failure;
use crate::host::{Host, UnitStatus, interrupted, oom_kills, wait_until};
use crate::host_cause::NO_ANSWER;
use std::time::Duration;

/// How long a service must stay up when no check says otherwise.
pub(crate) const DEFAULT_SETTLE: Duration = Duration::from_secs(3);

/// A unit, and what happened to it.
pub(super) type UnitFailure = (String, Failure);

/// The longest settle time of these services.
pub(crate) fn settle_time(services: &[&Service]) -> Duration {
    let of_service = |service: &&Service| {
        let checks = service.checks.iter();
        let own = checks.filter_map(|check| match &check.probe {
            Probe::Settle(span) => Some(span.duration),
            _ => None,
        });
        own.max().unwrap_or(DEFAULT_SETTLE)
    };
    let all = services.iter().map(of_service);
    all.max().unwrap_or(DEFAULT_SETTLE)
}

/// Watches units for a time: none may restart or go down. `first` holds their status at the start.
///
/// # Errors
/// The unit, and what happened to it.
pub(crate) fn settle(
    host: &Host,
    first: &[(String, UnitStatus)],
    time: Duration,
) -> Result<(), UnitFailure> {
    let units: Vec<String> = first.iter().map(|(unit, _)| unit.clone()).collect();
    let sample = || -> Result<(), UnitFailure> {
        let states = show_all(host, &units)?;
        first
            .iter()
            .zip(states)
            .try_for_each(|((unit, before), now)| {
                still_up(before, &now).map_err(|what| (unit.clone(), what))
            })
    };
    let runs: Vec<Run> = first.iter().map(|(_, state)| Run::of(state)).collect();
    let kills_before: Vec<u64> = first.iter().map(|(_, state)| kills(state)).collect();
    // A worker process may be killed while the main process stays up.
    let killed = || {
        let mut units = first.iter().zip(&kills_before);
        units.find_map(|((unit, state), before)| {
            let new = kills(state).saturating_sub(*before);
            Some((unit.clone(), out_of_memory(new)?))
        })
    };
    // The wait ends early on a failure.
    let failed = wait_until(time, || match killed() {
        Some(failure) => Ok(failure),
        None if runs.iter().all(Run::is_known_to_last) => Err(()),
        None => match sample() {
            Ok(()) => Err(()),
            Err(failure) => Ok(failure),
        },
    });
    match (failed, first.first()) {
        (_, Some((unit, _))) if interrupted() => {
            Err((unit.clone(), Failure::public("interrupted")))
        }
        (Ok(failure), _) => Err(failure),
        (Err(()), _) => Ok(()),
    }
}

/// How many processes of a unit were killed for memory in this run.
fn kills(state: &UnitStatus) -> u64 {
    oom_kills(state).unwrap_or(0)
}

/// Fails when a unit is down, or is not the run that it was before.
fn still_up(before: &UnitStatus, now: &UnitStatus) -> Result<(), Failure> {
    if !now.is_active() {
        return Err(cause_failure(now));
    }
    if now.n_restarts != before.n_restarts || now.invocation_id != before.invocation_id {
        return Err(Failure::public("it restarted by itself"));
    }
    Ok(())
}

/// The status of units; an error is reported for the first of them.
fn show_all(host: &Host, units: &[String]) -> Result<Vec<UnitStatus>, UnitFailure> {
    host.systemd.show(units).map_err(|error| {
        let first = units.first().cloned().unwrap_or_default();
        (first, no_answer(&error))
    })
}

/// systemd did not say how a unit is.
pub(crate) fn no_answer(error: &anyhow::Error) -> Failure {
    let failure = Failure::new("systemd did not answer", format!("{error:#}"));
    failure.caused_by(Some(&NO_ANSWER))
}

/// The status of an active unit; for any other unit, why it is down.
pub(super) fn active(state: UnitStatus) -> Result<UnitStatus, Failure> {
    if state.is_active() {
        Ok(state)
    } else {
        Err(cause_failure(&state))
    }
}

#[cfg(test)]
mod tests {
    use super::still_up;
    use crate::host::{ActiveState, UnitStatus};

    #[test]
    fn a_restart_or_a_stop_fails_the_settle_time() {
        let first = UnitStatus {
            active_state: ActiveState::Active,
            invocation_id: Some("a".to_owned()),
            ..UnitStatus::default()
        };
        let with = |change: &dyn Fn(&mut UnitStatus)| {
            let mut now = first.clone();
            change(&mut now);
            still_up(&first, &now).is_ok()
        };
        assert!(with(&|_| {}));
        assert!(with(&|now| now.active_state = ActiveState::Reloading));
        assert!(!with(&|now| now.n_restarts = 1));
        assert!(!with(&|now| now.invocation_id = Some("b".to_owned())));
        assert!(!with(&|now| now.active_state = ActiveState::Activating));
        assert!(!with(&|now| now.active_state = ActiveState::Failed));
    }
}
