//! Which release a command may take: a named one, the previous one, and none that failed.

use crate::command_line::CommandLine;
use crate::error::{Hint, fail};
use crate::plan::Plan;
use crate::store::Store;
use crate::transaction::Operation;
use anyhow::Result;

/// Refuses a release that failed before, unless it is forced. `hint` says how to force it.
pub(super) fn check_failed(
    force: bool,
    store: &Store,
    id: &str,
    hint: impl Into<Hint>,
) -> Result<()> {
    if let Some(why) = store.failure_reason(id)?
        && !force
    {
        return fail(format!("release {id} failed before: {why}"), hint);
    }
    Ok(())
}

/// The release that a rollback after a plan would restore, if there is one.
pub(super) fn previous_after(
    store: &Store,
    plan: &Plan,
    operation: &Operation,
) -> Result<Option<String>> {
    let state = store
        .state()?
        .after(&plan.to, *operation == Operation::Rollback);
    let record = store.previous_release(&state, &|_, _| {})?;
    Ok(record.map(|record| record.public.id))
}

/// The id of the release that a word means.
///
/// # Errors
/// When there is none, and when there are several.
pub(super) fn named_release(store: &Store, wanted: &str) -> Result<String> {
    let ids = store.releases()?;
    let list = |text: &str| Hint::to(text, CommandLine::robotctl(["releases"]));
    match matching(&ids, wanted).as_slice() {
        [id] => Ok((*id).clone()),
        [] => fail(
            format!("there is no release `{wanted}`"),
            list("list the releases"),
        ),
        [_, ..] => fail(
            format!("several releases begin with `{wanted}`"),
            list("list the ids, then write more of the one that you mean"),
        ),
    }
}

/// The releases that a word means: the one with this id, else those of this version, else those whose
/// id begins so. A number is not cut: `1.4.1` never means `1.4.10`.
fn matching<'a>(ids: &'a [String], wanted: &str) -> Vec<&'a String> {
    let version = |id: &str| id.rsplit_once('-').map(|(version, _)| version == wanted);
    let rules: [&dyn Fn(&str) -> bool; 3] =
        [&|id| id == wanted, &|id| version(id) == Some(true), &|id| {
            id.starts_with(wanted) && !cuts_a_number(id, wanted)
        }];
    let found = rules.iter().map(|rule| {
        let found = ids.iter().filter(|id| rule(id));
        found.collect::<Vec<_>>()
    });
    found
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// Whether the beginning of an id ends inside a number of its version.
fn cuts_a_number(id: &str, begin: &str) -> bool {
    let version = id.rsplit_once('-').map_or(id, |(version, _)| version);
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let rest = version.get(begin.len()..).unwrap_or_default();
    is_digit(begin.chars().last()) && is_digit(rest.chars().next())
}
