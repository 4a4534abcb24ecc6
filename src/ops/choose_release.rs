//! Which release a deploy or a rollback may take: the previous one, and none that failed.

use super::context::Context;
use crate::app::{Layout, Name};
use crate::error::{Hint, fail};
use crate::host::Host;
use crate::plan::Plan;
use crate::store::{Damaged, Mark, ReleaseRecord, State, Store};
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

/// Refuses a release of which files are missing.
pub(super) fn check_complete(store: &Store, id: &str) -> Result<()> {
    let missing = match store.content_changes(id)? {
        Some(changes) => changes.missing,
        None => Vec::new(),
    };
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let message = match missing.len() {
        1 => format!("`{first}` of release {id} is missing"),
        count => format!("{count} files of release {id} are missing, such as `{first}`"),
    };
    fail(
        message,
        "deploy it again from its source, or choose another release",
    )
}

/// The release that a rollback after a plan would restore, if there is one.
pub(super) fn previous_after(
    ctx: &Context<'_>,
    store: &Store,
    plan: &Plan,
    operation: &Operation,
) -> Result<Option<String>> {
    let state = store
        .state()?
        .after(&plan.to, *operation == Operation::Rollback);
    let layout = Layout::new(&Name::parse(&plan.app).map_err(anyhow::Error::msg)?);
    let record = previous(&ctx.host, store, &layout, &state, &|_, _| {})?;
    Ok(record.map(|record| record.public.id))
}

/// The release that a rollback restores when none is named. It looks at the releases that were live
/// before the live one, the latest first, and takes the first that exists and has not failed. It calls
/// `damaged` for those whose record cannot be read.
pub(super) fn previous(
    host: &Host,
    store: &Store,
    layout: &Layout,
    state: &State,
    damaged: &dyn Fn(&str, &anyhow::Error),
) -> Result<Option<ReleaseRecord>> {
    for id in state.previous.iter().rev() {
        let meta = host.root.meta(&layout.release(id))?;
        if meta.is_some_and(|meta| meta.is_dir) && state.live.as_ref() != Some(id) {
            match store.release(id) {
                Ok(Some(record)) if !matches!(record.public.mark, Mark::Failed(_)) => {
                    match check_complete(store, id) {
                        Ok(()) => return Ok(Some(record)),
                        Err(error) => damaged(id, &error),
                    }
                }
                Ok(_) => {}
                Err(error) if error.is::<Damaged>() => damaged(id, &error),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(None)
}
