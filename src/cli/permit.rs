//! What the records speak against: pins, marks, and plans of another day.

use super::deploy::Args;
use super::find::refuse;
use super::{Ctx, Exit};
use crate::transaction::Work;
use crate::plan::Plan;
use crate::store::Store;
use anyhow::Result;

/// Why the plan is not to be done, if so.
pub(super) fn permitted(
    args: &Args,
    ctx: &Ctx,
    work: &Work<'_>,
    plan: &Plan,
) -> Result<Option<Exit>> {
    let id = &plan.to;
    if let Some(hash) = &args.plan
        && *hash != plan.hash()
    {
        return refuse(
            format!("the plan is no longer `{hash}`: the source or the host has changed"),
            "look at the new plan: the same command without `--apply` and `--plan`",
        );
    }
    unpinned(args, work.book)?;
    if plan.is_empty() {
        ctx.printer
            .say(&format!("nothing to do: {} {id} is live", plan.app));
        return Ok(Some(Exit::Done));
    }
    unmarked(args.force, work.book, id)?;
    Ok(None)
}

/// Refuses what the records alone speak against.
pub(super) fn willing(args: &Args, book: &Store, plan: &Plan) -> Result<()> {
    unpinned(args, book)?;
    unmarked(args.force, book, &plan.to)
}

fn unpinned(args: &Args, book: &Store) -> Result<()> {
    let pins = book.state()?.pins;
    if let Some((service, release)) = pins.first_key_value()
        && !args.lift_pins
    {
        return refuse(
            format!("service `{service}` is pinned to {release}"),
            "take it along with `--lift-pins`",
        );
    }
    Ok(())
}

/// Refuses a release that failed, unless it is wanted all the same.
pub(super) fn unmarked(force: bool, book: &Store, id: &str) -> Result<()> {
    if let Some(why) = book.failed(id)?
        && !force
    {
        return refuse(
            format!("release {id} failed before: {why}"),
            "mend it and deploy again, or take it as it is with `--force`",
        );
    }
    Ok(())
}
