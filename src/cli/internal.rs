//! Commands that units call: `await`, `soak`, `relay`, `page`.

use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context, SoakRequest};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `await`.
#[derive(Debug, clap::Args)]
pub(super) struct AwaitArgs {
    /// `127.0.0.1:8080` or `unix:/run/app.sock`
    address: String,
    /// How many seconds to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    within: u64,
}

pub(super) fn wait(args: &AwaitArgs) -> Result<Exit, Error> {
    ops::wait_for(&args.address, Duration::from_secs(args.within))?;
    Ok(Exit::Done)
}

/// Arguments of `soak`.
#[derive(Debug, clap::Args)]
pub(super) struct SoakArgs {
    /// The release that went live
    release: String,
    /// How many seconds to watch it
    #[arg(long, value_name = "SECONDS")]
    seconds: u64,
}

pub(super) fn soak(args: &SoakArgs, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let request = SoakRequest {
        release: args.release.clone(),
        time: Duration::from_secs(args.seconds),
    };
    out.message(&ops::soak(ctx, &request)?);
    Ok(Exit::Done)
}

/// Arguments of `relay`.
#[derive(Debug, clap::Args)]
pub(super) struct RelayArgs {
    /// The address of the server
    address: SocketAddr,
}

pub(super) fn relay(args: &RelayArgs) -> Result<Exit, Error> {
    ops::relay(args.address)?;
    Ok(Exit::Done)
}

/// Arguments of `page`.
#[derive(Debug, clap::Args)]
pub(super) struct PageArgs {
    /// File with the version that the page shows
    #[arg(long, default_value = "VERSION", value_name = "FILE")]
    version_file: PathBuf,
    /// Where the host's `/opt` is mounted
    #[arg(long, default_value = "/opt", value_name = "DIR")]
    opt: PathBuf,
    /// The last report of `robotctl doctor --report`
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn page(args: &PageArgs, ctx: &Context<'_>) -> Result<Exit, Error> {
    ops::page(ctx, &args.version_file, &args.opt, args.report.as_deref())?;
    Ok(Exit::Done)
}
