//! `robotctl prune`

use super::{Ctx, Exit};
use crate::app::{Layout, Name};
use crate::error::Error;
use crate::session::Session;
use anyhow::Result;
use std::time::Duration;

/// Arguments of `prune`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many releases stay [default: the manifest's `release.keep`]
    #[arg(long)]
    keep: Option<u32>,
    /// Prunes every app on this host
    #[arg(long, conflicts_with_all = ["app", "manifest"])]
    all: bool,
    /// Waits this many seconds for another robotctl
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let wait = Duration::from_secs(args.wait);
    ctx.check_privileges()?;
    let names = match args.all {
        true => ctx.every_app()?,
        false => vec![ctx.deployed()?],
    };
    let mut failed = None;
    for name in names {
        let pruned = ctx.check_deployed(&name).and_then(|()| {
            ctx.locked(&name, "pruning", wait, |session, _| {
                app(args, ctx, session, &name)
            })
        });
        // One app that cannot be pruned is no reason to leave the others.
        if let Err(error) = pruned
            && let Some(error) = failed.replace(error)
        {
            ctx.printer
                .always(&format!("error: {}", Error::from(error)));
        }
    }
    failed.map_or(Ok(Exit::Done), Err)
}

/// Prunes one app, unless a change of it was interrupted.
///
/// Recovery is left to `recover`, to the next deploy and to the next boot: this may run in a
/// sandbox that could end the change only in part, and what it names must not be pruned. That is
/// no failure: there will be another day, and `robotctl doctor` tells of the interruption.
fn app(args: &Args, ctx: &Ctx, session: &Session<'_>, name: &Name) -> Result<()> {
    if let Some(journal) = session.store.journal()? {
        ctx.printer.always(&format!(
            "warning: a {} of `{name}` was interrupted: nothing was removed\n\n\
             hint: sudo robotctl recover",
            journal.operation
        ));
        return Ok(());
    }
    let live = session.store.state()?.live;
    let record = match live {
        Some(id) => session.store.release(&id)?,
        None => None,
    };
    let is_unchanged = match &record {
        Some(record) => record.app()?.release.keep,
        None => 5,
    };
    let keep = args.keep.unwrap_or(is_unchanged).max(2);
    let pruned = crate::transaction::prune(session, &Layout::new(name), keep)?;
    for (id, why) in &pruned.spared {
        ctx.printer.say(&format!("{id} stays: {why}"));
    }
    let count = match pruned.removed.len() {
        0 => "nothing was removed".to_owned(),
        1 => "1 release removed".to_owned(),
        count => format!("{count} releases removed"),
    };
    ctx.printer.say(&format!("{name}: {count}"));
    Ok(())
}
