//! `robotctl prune`

use super::view::{self, DataSubject, PlanData};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context, PruneRequest};
use std::time::Duration;

/// Arguments of `prune`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove the releases
    #[arg(long)]
    pub(super) apply: bool,
    /// Keep this many good releases [default: `release.keep` of the
    /// manifest]
    #[arg(long, value_name = "COUNT")]
    keep: Option<u32>,
    /// Prune every app on this host
    #[arg(long, conflicts_with_all = ["app", "manifest"])]
    all: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let request = PruneRequest {
        keep: args.keep,
        all: args.all,
        wait: Duration::from_secs(args.wait),
    };
    let root = out.hint_root();
    if args.apply {
        for pruned in ops::prune(ctx, &request)? {
            out.message(&view::prune::done(&pruned, root));
        }
        return Ok(Exit::Done);
    }
    let preview = ops::preview_prune(ctx, &request)?;
    for pruned in &preview.plans {
        let data = PlanData::of_prune(pruned, root);
        let subject = DataSubject::app(ctx, &pruned.app).of_release(pruned.live.as_deref());
        out.data("plan", &subject, &data, &view::prune::plan(pruned, root));
    }
    if let Some(refusal) = preview.refusal {
        return Err(refusal);
    }
    if let Some(command) = preview.apply {
        out.message(&format!("\nto remove them: {}", command.for_root(root)));
    }
    Ok(Exit::Done)
}
