//! Opening a session: lock, recovery, clean-up.

use super::context::{Context, WritableApp};
use crate::app::{Layout, Name};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind};
use crate::events::Subject;
use crate::host::{Lock, LockError, wait_until};
use crate::session::Session;
use crate::store::{Damaged, Store};
use crate::transaction::{
    Interrupted, Operation, Recovered, RecoveryMode, StateRebuild, rebuild_state, recover,
};
use crate::transient::leftovers::{clear_failures, remove_leftovers};
use anyhow::anyhow;
use std::time::Duration;

/// How an interrupted change was ended.
#[derive(Debug)]
pub(super) struct RecoveryReport {
    /// Whether a change was interrupted.
    pub(super) found: bool,
    /// Whether a deploy was interrupted and is undone now.
    pub(super) is_deploy_undone: bool,
    /// What became of a state that was lost.
    pub(super) state: StateRebuild,
    /// What became of what killed commands left.
    pub(super) leftovers: Leftovers,
}

/// What became of the units and files that killed commands left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftovers {
    /// There were no units.
    None,
    /// There were units, and all are removed.
    Removed,
    /// Something could not be removed.
    Stuck,
}

impl RecoveryReport {
    /// Whether the recovery changed what commands see.
    pub(super) fn changed(&self) -> bool {
        self.found || self.state == StateRebuild::Written
    }
}

impl Context<'_> {
    /// Refuses what a change by [`Context::change`] would meet, and changes nothing: for previews.
    /// While another command changes the app, or after an interrupted change, no plan is reliable.
    pub(super) fn check_preview(&self, app: &WritableApp, wait: Duration) -> Result<(), Error> {
        let name = app.name();
        self.check_preview_lock(name, wait)?;
        self.check_records(app)?;
        if self.store(name).has_journal().nothing_changed()? {
            return Err(Error::refused(
                format!("a change of `{name}` was interrupted, so no plan can be made"),
                Hint::to(
                    "complete or undo it first",
                    CommandLine::sudo_robotctl(["recover"]),
                ),
            ));
        }
        Ok(())
    }

    /// Refuses a preview while another command changes the app.
    pub(super) fn check_preview_lock(&self, name: &Name, wait: Duration) -> Result<(), Error> {
        let store = self.store(name);
        let is_free = || match store.lock_holder() {
            Some(holder) => Err(holder),
            None => Ok(()),
        };
        wait_until(wait, is_free).map_err(|holder| locked(name.as_str(), &holder))
    }

    /// Refuses records with which [`Context::change`] could not begin.
    pub(super) fn check_records(&self, app: &WritableApp) -> Result<(), Error> {
        let store = self.store(app.name());
        store.check_format().nothing_changed()?;
        match store.journal() {
            Err(error) if error.is::<Damaged>() => Err(interrupted(Interrupted(error))),
            read => read.map(drop).nothing_changed(),
        }
    }

    /// Takes the lock of an app, ends an interrupted change, cleans up, and runs `then`.
    pub(super) fn change<T>(
        &self,
        app: &WritableApp,
        doing: &str,
        wait: Duration,
        then: impl FnOnce(&Session<'_>, &RecoveryReport) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let name = app.name();
        let is_first = !self.store(name).exists().nothing_changed()?;
        self.with_session(app, |session| {
            let mut changed = false;
            loop {
                let lock = lock(session, doing, wait)?;
                let report = self.recover_and_clean(session, name, RecoveryMode::Restart, &lock)?;
                changed |= report.found;
                // Ending an interrupted removal also deletes the lock's file.
                if session.store.is_lock_current(&lock) {
                    let result = then(session, &report);
                    return result.map_err(|error| {
                        if is_first && error.kind <= Kind::Interrupted {
                            remove_empty(session, name);
                        }
                        if changed {
                            after_recovery(error)
                        } else {
                            error
                        }
                    });
                }
            }
        })
    }

    /// Takes the lock of an app and runs `then`. An interrupted change stays as it is.
    pub(super) fn locked<T>(
        &self,
        app: &WritableApp,
        doing: &str,
        wait: Duration,
        then: impl FnOnce(&Session<'_>, &Lock) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with_session(app, |session| {
            let lock = lock(session, doing, wait)?;
            then(session, &lock)
        })
    }

    fn with_session<T>(
        &self,
        app: &WritableApp,
        then: impl FnOnce(&Session<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let name = app.name();
        self.check_privileges().nothing_changed()?;
        let store = self.store(name);
        // What cannot be removed now waits for the next command.
        let _ = Store::remove_deleted(&self.host.root);
        let session = self.session(&store, name);
        let result = then(&session);
        session.report_killed();
        result.inspect_err(|error| self.attempt.record_failure(&session, error))
    }

    /// Ends an interrupted change and removes what killed commands left. The end of a removal deletes
    /// the lock, so nothing may be touched after it.
    pub(super) fn recover_and_clean(
        &self,
        session: &Session<'_>,
        name: &Name,
        mode: RecoveryMode,
        lock: &Lock,
    ) -> Result<RecoveryReport, Error> {
        session.store.check_format().nothing_changed()?;
        let journal = session.store.journal();
        let is_deploy =
            matches!(&journal, Ok(Some(journal)) if journal.operation == Operation::Deploy.word());
        let ended = recover(session, mode).map_err(interrupted)?;
        let is_deploy_undone = is_deploy && matches!(ended, Recovered::Old(_));
        if !session.store.is_lock_current(lock) {
            return Ok(RecoveryReport {
                found: true,
                is_deploy_undone,
                state: StateRebuild::NotNeeded,
                leftovers: Leftovers::None,
            });
        }
        let found = match ended {
            Recovered::Nothing => false,
            Recovered::Old(id) | Recovered::New(id) => {
                // `current` may lead to a directory that is not a release of this app.
                let id = id.or_else(|| session.store.read_current_link().ok().flatten());
                let result = match id {
                    Some(id) => format!("{id} is live"),
                    None => "no release is live".to_owned(),
                };
                let text = format!("an interrupted change was ended: {result}");
                // An app that never was live has no history to write to.
                if session.store.has_saved_state()? {
                    session.emit("warning", "recovered", Subject::default(), &text);
                }
                true
            }
        };
        if let Err(error) = session.store.migrate() {
            let text = format!("state of an older robotctl was not rewritten: {error:#}");
            session.emit("warning", "migrate-failed", Subject::default(), &text);
        }
        let layout = Layout::new(name);
        let state = rebuild_state(session, &layout);
        let leftovers = self.clean_up(session, name, &layout);
        Ok(RecoveryReport {
            found,
            is_deploy_undone,
            state,
            leftovers,
        })
    }

    /// Removes units and files that killed commands left.
    fn clean_up(&self, session: &Session<'_>, name: &Name, layout: &Layout) -> Leftovers {
        // A unit that cannot be stopped is no reason to keep files that take space.
        let units = remove_leftovers(&self.host, name.as_str());
        let cleared = clear_failures(&self.host, name.as_str());
        let units = units.and_then(|removed| cleared.map(|()| removed));
        let files = crate::stage::clean_up(&self.host, session.store, layout);
        let error = match (units, files) {
            (Err(units), Err(files)) => anyhow!("{units:#}; {files:#}"),
            (Ok(false), Ok(())) => return Leftovers::None,
            (Ok(true), Ok(())) => {
                let text = "units that a killed command left were stopped and removed";
                session.emit("info", "cleaned-up", Subject::default(), text);
                return Leftovers::Removed;
            }
            (Err(error), Ok(())) | (Ok(_), Err(error)) => error,
        };
        // The next command tries again.
        let text = if error.is::<Damaged>() {
            format!("leftovers of a killed command were not removed: {error:#}")
        } else {
            format!("leftovers of a killed command are still there: {error:#}")
        };
        session.emit("warning", "cleanup-failed", Subject::default(), &text);
        Leftovers::Stuck
    }
}

/// Removes the directories of an app whose first change was refused. What cannot be removed is empty,
/// and the next command uses it.
fn remove_empty(session: &Session<'_>, name: &Name) {
    let (root, store, layout) = (&session.host.root, session.store, Layout::new(name));
    if store.is_empty().is_ok_and(|is_empty| is_empty) {
        let removed = root
            .remove_dir_if_empty(&layout.releases())
            .and_then(|()| root.remove_dir_if_empty(&layout.opt()));
        let _ = removed.and_then(|()| store.delete());
    }
}

/// An error of a command that has ended an interrupted change before: it may not claim that nothing
/// was changed.
fn after_recovery(mut error: Error) -> Error {
    if error.kind == Kind::Refused {
        error.kind = Kind::Degraded;
        error.message += "; an interrupted change was ended before";
    }
    error
}

/// The error when another process holds the lock of an app.
fn locked(app: &str, holder: &str) -> Error {
    let mut message = format!("another `robotctl` is changing `{app}`");
    if !holder.is_empty() {
        message += &format!(": {holder}");
    }
    Error::new(Kind::Locked, message).hint("try again later, or wait for it with `--wait SECONDS`")
}

fn lock(session: &Session<'_>, doing: &str, wait: Duration) -> Result<Lock, Error> {
    session
        .store
        .lock(doing, wait)
        .map_err(|error| match error {
            LockError::Held(holder) => locked(&session.app, &holder.text),
            // The directory of the store may have been created. It holds nothing.
            LockError::Failed(error) => Error::of_kind(Kind::Refused, error),
        })
}

/// A recovery that failed: the host is between two states, and the journal is kept.
pub(super) fn interrupted(error: Interrupted) -> Error {
    let error = Error::of_kind(Kind::Degraded, error.0);
    if !error.hints.is_empty() {
        return error;
    }
    Error {
        message: format!(
            "an interrupted change could not be ended: {}",
            error.message
        ),
        ..error
    }
    .hint(recover_after_fix())
}

/// The hint after a change that could neither be ended nor undone.
pub(super) fn recover_after_fix() -> Hint {
    Hint::to(
        "fix that (on a full disk, free disk space), then",
        CommandLine::sudo_robotctl(["recover"]),
    )
}
