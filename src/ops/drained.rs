//! What is left to do when the processes of a previous release end, or when the command that made the
//! change was killed.

use super::context::Context;
use super::recover::{self, RecoverRequest};
use crate::error::{Claim as _, Error, Kind};
use crate::host::{self, ActiveState, Host, UnitStatus, is_in_unit, remove_kept_tmp};
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
    let is_left = has_slept && is_left(&ctx.host, unit, run).nothing_changed()?;
    let is_drained = !has_slept || is_left;
    let removed = if is_drained {
        remove_kept_tmp(&ctx.host.root, unit, run)
    } else {
        Ok(())
    };
    let name = ctx.selected_app().nothing_changed()?;
    let journal = ctx.store(&name).journal().nothing_changed()?;
    let is_open = journal.is_some_and(|journal| journal.trace_id == *change);
    if is_open && is_needed(&ctx.host, unit, is_drained).nothing_changed()? {
        // A command that holds the lock takes care of its change itself.
        match recover::run(ctx, &RecoverRequest::default()) {
            Err(error) if error.kind != Kind::Locked => return Err(error),
            _ => {}
        }
    }
    if is_left {
        let scope = units::old_scope(unit, run);
        let helpers = [units::user_unit_of(&scope), units::cleanup_unit_of(&scope)];
        // Only one scope of each user has the first, and a unit that is not loaded is an error.
        let _ = ctx.host.systemd.stop_without_waiting(&helpers);
    }
    removed.nothing_changed()
}

/// Whether the scope ended in the moment in which the unit that runs this started: systemd does not stop
/// the unit then.
fn is_left(host: &Host, unit: &str, run: &str) -> Result<bool> {
    let scope = host.systemd.show_one(&units::old_scope(unit, run))?;
    Ok(scope.is_down())
}

/// Whether systemd must end the change. When the scope has ended and its unit serves, the next command
/// does it.
fn is_needed(host: &Host, unit: &str, is_drained: bool) -> Result<bool> {
    let state = host.systemd.show_one(unit)?;
    Ok(!(is_stopped(&state) || is_drained && runs_its_own_process(&state)))
}

/// Whether a unit is up, with more than a dummy process.
fn runs_its_own_process(state: &UnitStatus) -> bool {
    let is_own = |pid: u32| is_in_unit(pid, &state.id);
    state.is_active() && state.main_pid.is_some_and(is_own)
}

/// Whether a unit was stopped, and has neither failed nor is about to start.
fn is_stopped(state: &UnitStatus) -> bool {
    matches!(
        state.active_state,
        ActiveState::Inactive | ActiveState::Deactivating
    )
}
