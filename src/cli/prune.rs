//! `robotctl prune`

use super::{Ctx, Exit};
use crate::model::Layout;
use anyhow::Result;
use std::time::Duration;

/// Arguments of `prune`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many releases stay [default: the manifest's `release.keep`]
    #[arg(long)]
    keep: Option<u32>,
    /// Waits this many seconds for another robotctl
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    for name in ctx.all_deployed()? {
        ctx.must_be_deployed(&name)?;
        let wait = Duration::from_secs(args.wait);
        ctx.change(&name, "pruning", wait, |work| {
            let live = work.book.state()?.live;
            let record = match live {
                Some(id) => work.book.release(&id)?,
                None => None,
            };
            let kept = match &record {
                Some(record) => record.app()?.release.keep,
                None => 5,
            };
            let keep = args.keep.unwrap_or(kept).max(2);
            let pruned = crate::apply::prune(work, &Layout::new(&name), keep)?;
            for (id, why) in &pruned.spared {
                ctx.printer.say(&format!("{id} stays: {why}"));
            }
            ctx.printer.say(&format!(
                "{name}: {} releases removed",
                pruned.removed.len()
            ));
            Ok(())
        })?;
    }
    Ok(Exit::Done)
}
