//! `robotctl remove`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::apply::REMOVAL;
use anyhow::Result;
use std::time::Duration;

/// Arguments of `remove`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also state, environment and secrets: they cannot be brought back
    #[arg(long)]
    purge: bool,
    /// Waits this many seconds for another robotctl
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let name = ctx.deployed()?;
    ctx.must_be_deployed(&name)?;
    let journal = ctx.book(&name)?.journal()?;
    let begun = journal.is_some_and(|journal| journal.operation == REMOVAL);
    let wait = Duration::from_secs(args.wait);
    ctx.change(&name, "removing", wait, |work| {
        if work.book.state()?.live.is_none() && work.book.releases()?.is_empty() && !args.purge {
            // A removal that was interrupted has just been ended.
            work.book.burn()?;
            return match begun {
                true => Ok(Exit::Done),
                false => refuse(
                    format!("`{name}` is not deployed"),
                    "`robotctl status` tells what is",
                ),
            };
        }
        super::deploy::guarded(|| crate::apply::remove(work, &name, args.purge))?;
        if !args.purge {
            ctx.printer.say(&format!(
                "its state in /var/lib/{name} and its settings in /etc/{name} are still there"
            ));
        }
        Ok(Exit::Done)
    })
}
