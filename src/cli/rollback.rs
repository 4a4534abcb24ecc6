//! `robotctl rollback`

use super::view::{self, DataSubject, PlanData};
use super::{Exit, Output, completion};
use crate::error::Error;
use crate::ops::{self, Changed, Context, RollbackRequest};
use std::time::Duration;

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Id of the release to restore, or the start of it [default: the
    /// previous release]
    #[arg(add = completion::releases())]
    release: Option<String>,
    /// Restore this service only. It stays on that release until a deploy
    /// with `--lift-pins`
    #[arg(long, value_name = "NAME", add = completion::services())]
    service: Option<String>,
    /// Show the plan and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Show the diff of each file in the plan
    #[arg(long, requires = "dry_run")]
    diff: bool,
    /// Restore RELEASE even if it failed before
    #[arg(long)]
    force: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let request = RollbackRequest {
        release: args.release.clone(),
        service: args.service.clone(),
        force: args.force,
        wait: Duration::from_secs(args.wait),
    };
    if !args.dry_run {
        if let Changed::Nothing(text) = ops::rollback(ctx, &request)? {
            out.message(&text);
        }
        return Ok(Exit::Done);
    }
    let preview = ops::preview_rollback(ctx, &request)?;
    let plan = &preview.plan;
    let text = if plan.is_empty() {
        format!("{}\n", preview.nothing)
    } else {
        view::plan::shown(plan, args.diff)
    };
    let data = PlanData::of_release("rollback", plan, args.diff);
    let subject = DataSubject::app(ctx, &plan.app).of_release(Some(&plan.to));
    out.data("plan", &subject, &data, &text);
    Ok(Exit::Done)
}
