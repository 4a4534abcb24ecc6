//! Which release a deploy or a rollback may take: the previous one, and none that failed.

use super::context::Context;
use crate::app::{Layout, Name};
use crate::error::{Hint, fail};
use crate::host::Host;
use crate::plan::Plan;
use crate::store::{Mark, ReleaseRecord, State, Store};
use crate::transaction::Operation;
use anyhow::Result;

/// Refuses a release that failed before, unless it is forced. `hint` says how to force it.
pub(super) fn check_failed(
    force: bool,
    store: &Store,
    id: &str,
    hint: impl Into<Hint>,
) -> Result<()> {
    if let Some(why) = store.failed(id)?
        && !force
    {
        return fail(format!("release {id} failed before: {why}"), hint);
    }
    Ok(())
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
    let record = previous(&ctx.host, store, &layout, &state)?;
    Ok(record.map(|record| record.public.id))
}

/// The release that a rollback restores when none is named. It looks at the releases that were live
/// before the live one, the latest first, and takes the first that exists and has not failed.
pub(super) fn previous(
    host: &Host,
    store: &Store,
    layout: &Layout,
    state: &State,
) -> Result<Option<ReleaseRecord>> {
    for id in state.before.iter().rev() {
        let meta = host.root.meta(&layout.release(id))?;
        if meta.is_some_and(|meta| meta.is_dir)
            && state.live.as_ref() != Some(id)
            && let Some(record) = store.release(id)?
            && !matches!(record.public.mark, Mark::Bad(_))
        {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
