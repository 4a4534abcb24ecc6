//! `recover`: ends interrupted changes, in the old state or in the new one.

use super::attempt::AttemptKind;
use super::context::Context;
use super::session::{Leftovers, RecoveryReport};
use crate::app::Name;
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind};
use crate::store::Store;
use crate::transaction::{RecoveryMode, StateRebuild};
use anyhow::Result;
use std::time::Duration;

/// The options of a recovery.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RecoverRequest {
    /// The host is booting: no unit runs yet.
    pub(crate) boot: bool,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

/// What a recovery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// No change was interrupted.
    NothingToDo,
    /// Every interrupted change was ended.
    Ended,
}

/// Ends interrupted changes of the named app, or of all apps.
///
/// # Errors
/// [`Kind::Degraded`] when a change could not be ended, or something is still in the way. The other
/// apps are recovered all the same.
pub(crate) fn run(ctx: &Context<'_>, request: &RecoverRequest) -> Result<Recovery, Error> {
    ctx.record_attempt(AttemptKind::Recover, || change(ctx, request))
}

fn change(ctx: &Context<'_>, request: &RecoverRequest) -> Result<Recovery, Error> {
    ctx.check_privileges().nothing_changed()?;
    // Stores of removed apps are no app's, so that only this removes them.
    let _ = Store::remove_deleted(&ctx.host.root);
    let names = apps(ctx).nothing_changed()?;
    let (mut found, mut clean) = (false, true);
    let mut errors: Vec<Error> = Vec::new();
    for name in names {
        match one(ctx, &name, request) {
            Ok(report) => {
                found |= report.changed() || report.leftovers == Leftovers::Removed;
                clean &=
                    report.leftovers != Leftovers::Stuck && report.state != StateRebuild::Failed;
            }
            Err(error) => errors.push(ctx.name_app(&name, error)),
        }
    }
    if let Some(mut error) = worst(errors) {
        // Another app was recovered: the command may not claim that nothing was changed.
        if found && error.kind == Kind::Refused {
            error.kind = Kind::Degraded;
        }
        return Err(error);
    }
    if !clean {
        return Err(
            Error::new(Kind::Degraded, "the recovery is not complete").hint(Hint::to(
                "fix what the warnings name, then",
                CommandLine::sudo_robotctl(["recover"]),
            )),
        );
    }
    Ok(if found {
        Recovery::Ended
    } else {
        Recovery::NothingToDo
    })
}

/// One error of several, with the messages and hints of all and the worst kind.
pub(super) fn worst(errors: Vec<Error>) -> Option<Error> {
    let mut errors = errors.into_iter();
    let mut worst = errors.next()?;
    for error in errors {
        let message = format!("{}\n{}", worst.message, error.message);
        let hints = [worst.hints.clone(), error.hints.clone()].concat();
        worst.kind = worst.kind.max(error.kind);
        worst.message = message;
        worst.hints = hints;
        worst.hints.dedup();
    }
    Some(worst)
}

fn apps(ctx: &Context<'_>) -> Result<Vec<Name>> {
    if ctx.options.app.is_some() {
        return Ok(vec![ctx.selected_app()?]);
    }
    let names = Store::all_store_names(&ctx.host.root)?;
    Ok(names
        .iter()
        .filter_map(|name| Name::parse(name).ok())
        .collect())
}

fn one(ctx: &Context<'_>, name: &Name, request: &RecoverRequest) -> Result<RecoveryReport, Error> {
    let mode = if request.boot {
        RecoveryMode::Boot
    } else {
        RecoveryMode::Restart
    };
    let writable = ctx.check_app_writable(name).nothing_changed()?;
    ctx.locked(&writable, "recovering", request.wait, |session, lock| {
        let report = ctx.recover_and_clean(session, name, mode, lock)?;
        if !session.store.is_lock_current(lock) {
            return Ok(report);
        }
        let apps = Store::apps_with_records(&ctx.host.root)?;
        if report.leftovers != Leftovers::Stuck && !apps.iter().any(|app| app == name.as_str()) {
            // A first deploy was killed before it recorded anything. As long as something of it is
            // left, its store tells the next command where to look.
            session.store.delete()?;
        }
        if report.found && request.boot && session.store.state()?.live.is_some() {
            let target = format!("{name}.target");
            ctx.host.systemd.start_later(&[target])?;
        }
        Ok(report)
    })
}
