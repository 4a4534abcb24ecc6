//! Commands that units call: `recover`, `await`, `page`.

use super::find::{RecoveryReport, refuse};
use super::{Ctx, Exit};
use crate::app::Name;
use crate::error::Error;
use crate::health::Address;
use crate::host;
use crate::store::Store;
use crate::transaction::soak::{Watched, watch};
use crate::transaction::{RecoveryMode, StateRebuild, wait_for};
use anyhow::Result;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
pub(super) struct RecoverArgs {
    /// Nothing runs yet: files only
    #[arg(long, hide = true)]
    boot: bool,
    /// Waits this many seconds for another robotctl
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

pub(super) fn recover(args: &RecoverArgs, ctx: &Ctx) -> Result<Exit> {
    let mode = if args.boot {
        RecoveryMode::Boot
    } else {
        RecoveryMode::Restart
    };
    // Of apps that are gone, so that nothing below would come across it.
    let _ = Store::remove_deleted(&ctx.host.root);
    let names = match &ctx.app {
        Some(_) => vec![ctx.deployed()?],
        None => {
            let names = Store::all(&ctx.host.root)?;
            names
                .iter()
                .filter_map(|name| Name::parse(name).ok())
                .collect()
        }
    };
    let wait = Duration::from_secs(args.wait);
    let (mut found, mut clean) = (false, true);
    let mut failed = None;
    for name in names {
        // One app that cannot be recovered is no reason to leave the others between.
        match recover_one(ctx, &name, mode, wait) {
            Ok(settled) => {
                found |= settled.found || settled.adopted == StateRebuild::Written;
                clean &= settled.clean && settled.adopted != StateRebuild::Failed;
            }
            Err(error) => {
                if let Some(error) = failed.replace(error) {
                    ctx.printer
                        .always(&format!("error: {}", Error::from(error)));
                }
            }
        }
    }
    let exit = match (clean, found || failed.is_some()) {
        (false, _) => {
            ctx.printer.always(
                "error: not everything is in order yet\n\n\
                 hint: mend what the warning tells of, then: sudo robotctl recover",
            );
            Exit::Degraded
        }
        (true, false) => {
            ctx.printer.say("nothing to recover");
            Exit::Done
        }
        (true, true) => Exit::Done,
    };
    failed.map_or(Ok(exit), Err)
}

fn recover_one(
    ctx: &Ctx,
    name: &Name,
    mode: RecoveryMode,
    wait: Duration,
) -> Result<RecoveryReport> {
    ctx.locked(name, "recovering", wait, |session, lock| {
        let settled = ctx.recover_and_clean(session, name, mode, lock)?;
        if !session.store.is_lock_current(lock) {
            return Ok(settled);
        }
        let apps = Store::apps(&ctx.host.root)?;
        if settled.clean && !apps.iter().any(|app| app == name.as_str()) {
            // The first deploy was killed before it wrote anything down. While something of it
            // is left, its book tells the next command where to look.
            session.store.delete()?;
        }
        if settled.found && mode == RecoveryMode::Boot && session.store.state()?.live.is_some() {
            let target = format!("{name}.target");
            ctx.host.systemd.start_later(&[target])?;
        }
        Ok(settled)
    })
}

/// Arguments of `await`.
#[derive(Debug, clap::Args)]
pub(super) struct AwaitArgs {
    /// `127.0.0.1:8080` or `unix:/run/app.sock`
    address: String,
    /// How many seconds
    #[arg(long, default_value_t = 60)]
    within: u64,
}

pub(super) fn wait(args: &AwaitArgs) -> Result<Exit> {
    let address = match args.address.strip_prefix("unix:") {
        Some(path) => Address::Unix(path.to_owned()),
        None => match args.address.parse() {
            Ok(address) => Address::Tcp(address),
            Err(_) => {
                return refuse(
                    format!("`{}` is not an address", args.address),
                    "write `127.0.0.1:8080` or `unix:/run/app.sock`",
                );
            }
        },
    };
    // systemd names the main process to what it starts after it (systemd.exec(5)).
    let program = host::variable("MAINPID").and_then(|pid| pid.parse().ok());
    wait_for(&address, Duration::from_secs(args.within), program)?;
    Ok(Exit::Done)
}

/// Arguments of `soak`.
#[derive(Debug, clap::Args)]
pub(super) struct SoakArgs {
    /// The release that went live
    release: String,
    /// For how long it is watched
    #[arg(long)]
    seconds: u64,
}

pub(super) fn soak(args: &SoakArgs, ctx: &Ctx) -> Result<Exit> {
    let name = ctx.deployed()?;
    let store = ctx.store(&name)?;
    let Some(record) = store.release(&args.release)? else {
        return Ok(Exit::Done);
    };
    let time = Duration::from_secs(args.seconds);
    match watch(&ctx.host, &store, &record.app()?, &args.release, time)? {
        Watched::Well => {
            ctx.printer.say(&format!("{} did well", args.release));
            Ok(Exit::Done)
        }
        Watched::Over => Ok(Exit::Done),
        Watched::Looping(unit, what) => {
            let lines = ctx.host.systemd.last_lines(&unit, 8).join("\n    ");
            let why = format!("`{unit}` after the deploy: {what}\n    {lines}");
            super::rollback::undo(ctx, &name, &args.release, &why)
        }
    }
}

/// Arguments of `relay`.
#[derive(Debug, clap::Args)]
pub(super) struct RelayArgs {
    /// Where the server listens
    address: std::net::SocketAddr,
}

pub(super) fn relay(args: &RelayArgs) -> Result<Exit> {
    host::relay(args.address)?;
    Ok(Exit::Done)
}

/// Arguments of `page`.
#[derive(Debug, clap::Args)]
pub(super) struct PageArgs {
    /// The release's version, shown on the page and by `/healthz`
    #[arg(long, default_value = "VERSION", value_name = "FILE")]
    version_file: PathBuf,
    /// Where the host's `/opt` is seen
    #[arg(long, default_value = "/opt", value_name = "DIR")]
    opt: PathBuf,
    /// The last report of `robotctl doctor --report`
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn page(args: &PageArgs, ctx: &Ctx) -> Result<Exit> {
    let places = crate::page::Places {
        opt: args.opt.clone(),
        report: args.report.clone(),
    };
    crate::page::serve(&ctx.host, &args.version_file, places)?;
    Ok(Exit::Done)
}
