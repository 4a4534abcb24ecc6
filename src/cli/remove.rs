//! `robotctl remove`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::app::{Layout, Name};
use crate::store::Store;
use crate::transaction::{REMOVAL, Removal, left, removal};
use anyhow::Result;
use std::time::Duration;

/// Arguments of `remove`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also state, environment and secrets: they cannot be brought back
    #[arg(long)]
    purge: bool,
    /// Lists what would be stopped and removed
    #[arg(long)]
    dry_run: bool,
    /// Waits this many seconds for another robotctl
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let name = ctx.resolve_app()?;
    let purge = args.purge;
    let store = Store::new(&ctx.host.root, &Layout::new(&name));
    // What an earlier removal left is still there to be purged.
    if !purge || !store.is_empty()? || !left(&ctx.host, &name)? {
        match args.dry_run {
            true => ctx.check_known(&name)?,
            false => ctx.check_deployed(&name)?,
        }
    }
    let store = ctx.store(&name)?;
    if args.dry_run {
        let removal = removal(&ctx.host, &store, &name, purge)?;
        ctx.printer.value(&removal, |it| shown(it, &name, purge));
        return Ok(Exit::Done);
    }
    let journal = store.journal()?;
    let begun = journal.is_some_and(|journal| journal.operation == REMOVAL);
    let wait = Duration::from_secs(args.wait);
    ctx.change(&name, "removing", wait, |session| {
        if session.store.state()?.live.is_none() && session.store.releases()?.is_empty() && !purge {
            // A removal that was interrupted has just been ended.
            session.store.delete()?;
            return match begun {
                true => Ok(Exit::Done),
                false => refuse(
                    format!("`{name}` is not deployed"),
                    "`sudo robotctl status` tells what is",
                ),
            };
        }
        super::deploy::defer_signals(|| crate::transaction::remove(session, &name, purge))?;
        ctx.printer.say(&stays(&name, purge));
        Ok(Exit::Done)
    })
}

/// What is not removed.
fn stays(name: &Name, purge: bool) -> String {
    match purge {
        true => "its accounts are still there: other files may be theirs".to_owned(),
        false => format!(
            "its state in /var/lib/{name}, its settings in /etc/{name} and its accounts are \
             still there"
        ),
    }
}

fn shown(removal: &Removal, name: &Name, purge: bool) -> String {
    let Removal {
        units,
        files,
        directories,
    } = removal;
    let mut text = String::new();
    for (title, names) in [
        ("would be stopped:", units),
        ("files that would be removed:", files),
        ("directories that would be removed:", directories),
    ] {
        if !names.is_empty() {
            text.push_str(&format!("{title}\n  {}\n", names.join("\n  ")));
        }
    }
    text + &stays(name, purge) + "\n"
}
