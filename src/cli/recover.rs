//! `robotctl recover`

use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context, RecoverRequest, Recovery};
use std::time::Duration;

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Restore files only, before any unit runs
    #[arg(long, hide = true)]
    boot: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let request = RecoverRequest {
        boot: args.boot,
        wait: Duration::from_secs(args.wait),
    };
    if ops::recover(ctx, &request)? == Recovery::NothingToDo {
        out.message("nothing to recover");
    }
    Ok(Exit::Done)
}
