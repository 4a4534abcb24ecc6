//! What is left to do when the processes of a previous release end, or when the command that made the
//! change was killed.

use super::context::Context;
use super::recover::{self, RecoverRequest};
use crate::error::{Claim as _, Error, Kind};
use crate::host::{
    self, ActiveState, Host, UnitResult, UnitStatus, remove_kept_tmp, runs_its_own_process,
};
use crate::units;
use anyhow::Result;

/// What the internal command `drained` is asked.
#[derive(Debug, Clone)]
pub(crate) struct DrainedRequest {
    /// The unit of the service that the processes were.
    pub(crate) unit: String,
    /// The run of the unit, as in the name of the scope.
    pub(crate) run: String,
    /// The trace id of the change that handed the service over.
    pub(crate) change: String,
}

/// Looks at a scope with processes of a previous release. When it has ended, removes their private files.
/// When the command that made the change was killed, ends the change, unless a user has stopped the unit.
///
/// # Errors
/// When something cannot be removed, and those of `recover`.
pub(crate) fn run(ctx: &Context<'_>, request: &DrainedRequest) -> Result<(), Error> {
    ctx.check_privileges().nothing_changed()?;
    let DrainedRequest { unit, run, change } = request;
    // The unit that runs this sleeps, and systemd ends it with the scope (systemd.exec(5)).
    let has_slept = host::variable("EXIT_CODE").as_deref() == Some("exited");
    let has_ended = || -> Result<bool> {
        // Without a sleep, systemd stopped the unit because the scope has ended.
        Ok(!has_slept || is_down(&ctx.host, unit, run)?)
    };
    let name = ctx.selected_app().nothing_changed()?;
    let store = ctx.store(&name);
    let journal = store.journal().nothing_changed()?;
    let is_open = journal.is_some_and(|journal| journal.trace_id == *change);
    // A command that holds the lock takes care of its change itself.
    let is_open = is_open && store.lock_holder().is_none();
    let is_needed = || is_needed(&ctx.host, unit, has_ended()?);
    let recovered = if is_open && is_needed().nothing_changed()? {
        recover::run(ctx, &RecoverRequest::default()).map(drop)
    } else {
        Ok(())
    };
    if has_ended().nothing_changed()? {
        remove_kept_tmp(&ctx.host.root, unit, run).nothing_changed()?;
        if has_slept {
            stop_helpers(&ctx.host, &units::old_scope(unit, run));
        }
    }
    match recovered {
        // A command has taken the lock meanwhile.
        Err(error) if error.kind != Kind::Locked => Err(error),
        _ => Ok(()),
    }
}

/// Stops the units beside a scope. The scope ended in the moment in which they started, or before: systemd
/// does not stop them then.
fn stop_helpers(host: &Host, scope: &str) {
    let helpers = [units::user_unit_of(scope), units::cleanup_unit_of(scope)];
    // Only one scope of each user has the first, and a unit that is not loaded is an error.
    let _ = host.systemd.stop_without_waiting(&helpers);
}

fn is_down(host: &Host, unit: &str, run: &str) -> Result<bool> {
    let scope = host.systemd.show_one(&units::old_scope(unit, run))?;
    Ok(scope.is_down())
}

/// Whether systemd must end the change. When the scope has ended and its unit serves, the next command
/// does it.
fn is_needed(host: &Host, unit: &str, is_drained: bool) -> Result<bool> {
    let state = host.systemd.show_one(unit)?;
    Ok(!(is_stopped(&state) || is_drained && runs_its_own_process(&state)))
}

/// Whether a unit was stopped, and has neither failed nor is about to start. Also while it stops, unless it
/// stops because it did not start in time.
fn is_stopped(state: &UnitStatus) -> bool {
    match state.active_state {
        ActiveState::Inactive => true,
        ActiveState::Deactivating => state.result == UnitResult::Success,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_stopped;
    use crate::host::{ActiveState, UnitResult, UnitStatus};

    #[test]
    fn a_unit_that_did_not_start_in_time_was_not_stopped() {
        use UnitResult::{Success, Timeout};
        for (active_state, result, wanted) in [
            (ActiveState::Inactive, Success, true),
            (ActiveState::Deactivating, Success, true),
            (ActiveState::Deactivating, Timeout, false),
            (ActiveState::Failed, Timeout, false),
            (ActiveState::Activating, Success, false),
            (ActiveState::Active, Success, false),
        ] {
            let state = UnitStatus {
                active_state,
                result,
                ..UnitStatus::default()
            };
            assert_eq!(is_stopped(&state), wanted, "{state:?}");
        }
    }
}
