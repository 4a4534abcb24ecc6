//! `robotctl probe-sandbox`: the attempts of `doctor --probe`, in the units that it starts.

use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context};

/// Arguments of `probe-sandbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Make the attempts in this process, and print what each gave
    #[arg(long)]
    here: bool,
    /// Make the attempts as this dynamic user of the unit
    #[arg(long, value_name = "NAME", conflicts_with = "here")]
    dynamic_user: Option<String>,
    /// What to try, as NAME or NAME=ARGUMENT
    attempts: Vec<String>,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let user = args.dynamic_user.as_deref();
    ops::attempt(ctx, &args.attempts, user, args.here, |word| {
        out.text(&format!("{word}\n"));
    })?;
    Ok(Exit::Done)
}
