//! Which release a deploy or a rollback may take: the previous one, and none that failed.

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
