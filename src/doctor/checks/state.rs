//! The state that robotctl keeps: readable, and no change interrupted.

use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::{Hint, HintedError};
use crate::host::is_root;
use crate::safe_fix::SafeFix;
use crate::store::{Damaged, Store};
use anyhow::Result;

pub(in crate::doctor) fn state(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let mut found = damaged(context.store)?;
    if let (false, Some(live)) = (context.store.has_saved_state()?, &context.state.live) {
        let current = context.layout.current();
        found.push(
            Finding::new(
                Severity::Error,
                format!("the state is missing, and `{current}` points at {live}"),
                Hint::to("rebuild it", CommandLine::sudo_robotctl(["recover"])),
            )
            .safely([SafeFix::RebuildState]),
        );
    }
    Ok(found)
}

/// Files of the state that cannot be read.
pub(in crate::doctor) fn damaged(store: &Store) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for error in store.unreadable_files()? {
        // Only root can read some of the files: for other users that is not a finding.
        if !is_root() && !error.is::<Damaged>() {
            return Err(error);
        }
        let fix = match error.downcast_ref::<HintedError>() {
            Some(hinted) => hinted.hints.clone(),
            None => vec!["make it a file that root can read, or move it aside".into()],
        };
        found.push(Finding {
            fix,
            ..Finding::new(Severity::Error, format!("{error:#}"), "")
        });
    }
    Ok(found)
}

pub(in crate::doctor) fn journal(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    journal_of(context.store)
}

pub(in crate::doctor) fn journal_of(store: &Store) -> Result<Vec<Finding>> {
    // The check `state` reports a journal that cannot be read, and no command can end its change.
    if !store.has_journal()? || store.journal().is_err_and(|error| error.is::<Damaged>()) {
        return Ok(Vec::new());
    }
    Ok(vec![match store.lock_holder() {
        Some(holder) => Finding::new(
            Severity::Note,
            format!("a change is under way: {holder}"),
            "run `doctor` again when it has ended",
        ),
        None => Finding::new(
            Severity::Error,
            "a change was interrupted",
            Hint::to("end it", CommandLine::sudo_robotctl(["recover"])),
        )
        .safely([SafeFix::EndChange]),
    }])
}
