//! The state that robotctl keeps: readable, and no change interrupted.

use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::store::Store;
use anyhow::Result;

pub(in crate::doctor) fn state(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let mut found = damaged(context.store)?;
    if let (false, Some(live)) = (context.store.has_saved_state()?, &context.state.live) {
        let current = context.layout.current();
        found.push(Finding::new(
            Severity::Error,
            format!("the state is missing, and `{current}` points at {live}"),
            Hint::to("rebuild it", CommandLine::sudo_robotctl(["recover"])),
        ));
    }
    Ok(found)
}

/// Files of the state that cannot be read.
pub(in crate::doctor) fn damaged(store: &Store) -> Result<Vec<Finding>> {
    let damaged = store.damaged_files()?;
    let found = damaged.iter().map(|it| Finding {
        fix: it.hints.clone(),
        ..Finding::new(Severity::Error, it.message(), "")
    });
    Ok(found.collect())
}

pub(in crate::doctor) fn journal(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    journal_of(context.store)
}

pub(in crate::doctor) fn journal_of(store: &Store) -> Result<Vec<Finding>> {
    if !store.has_journal()? {
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
        ),
    }])
}
