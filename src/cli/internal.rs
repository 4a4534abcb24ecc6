//! Commands that units call: `await`, `soak`, `drained`, `relay`, `page`.

use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context, DrainedRequest, SoakRequest};
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

/// Arguments of `drained`.
#[derive(Debug, clap::Args)]
pub(super) struct DrainedArgs {
    /// The unit of the service
    unit: String,
    /// The run of the unit
    run: String,
    /// The trace id of the change
    #[arg(long, value_name = "ID")]
    change: String,
}

pub(super) fn drained(args: &DrainedArgs, ctx: &Context<'_>) -> Result<Exit, Error> {
    let DrainedArgs { unit, run, change } = args;
    let [unit, run, change] = [unit, run, change].map(Clone::clone);
    ops::drained(ctx, &DrainedRequest { unit, run, change })?;
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
    /// A further name of this host, such as that of a proxy
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

pub(super) fn page(args: &PageArgs, ctx: &Context<'_>) -> Result<Exit, Error> {
    let (report, hosts) = (args.report.as_deref(), args.hosts.as_slice());
    ops::page(ctx, &args.version_file, &args.opt, report, hosts)?;
    Ok(Exit::Done)
}
