//! `robotctl run`

use super::{Exit, Output, completion};
use crate::error::Error;
use crate::ops::{self, Context, RunRequest};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service as which the command runs
    #[arg(value_name = "SERVICE", add = completion::services())]
    service: String,
    /// Run a shell
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// The command, after `--`
    #[arg(value_name = "COMMAND", last = true, required_unless_present = "shell")]
    command: Vec<String>,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    if out.is_json() {
        let hint = "leave out `--format json`";
        return Err(Error::refused("`run` prints what its command prints", hint));
    }
    let request = RunRequest {
        service: args.service.clone(),
        argv: args.command.clone(),
    };
    ops::run_command(ctx, &request).map(Exit::OfCommand)
}
