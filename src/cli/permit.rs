//! What the records speak against: pins, marks, and plans of another day.

use super::deploy::Args;
use super::find::refuse;
use super::{Ctx, Exit};
use crate::plan::Plan;
use crate::session::Session;
use crate::store::Store;
use anyhow::Result;

/// Why the plan is not to be done, if so.
pub(super) fn check_plan(
    args: &Args,
    ctx: &Ctx,
    session: &Session<'_>,
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
    check_pins(args, session.store)?;
    if plan.is_empty() {
        ctx.printer
            .say(&format!("nothing to do: {} {id} is live", plan.app));
        return Ok(Some(Exit::Done));
    }
    check_failed(args.force, session.store, id)?;
    Ok(None)
}

/// Refuses what the records alone speak against.
pub(super) fn check_refusals(args: &Args, store: &Store, plan: &Plan) -> Result<()> {
    check_pins(args, store)?;
    check_failed(args.force, store, &plan.to)
}

fn check_pins(args: &Args, store: &Store) -> Result<()> {
    let pins = store.state()?.pins;
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
pub(super) fn check_failed(force: bool, store: &Store, id: &str) -> Result<()> {
    if let Some(why) = store.failed(id)?
        && !force
    {
        return refuse(
            format!("release {id} failed before: {why}"),
            "mend it and deploy again, or take it as it is with `--force`",
        );
    }
    Ok(())
}
