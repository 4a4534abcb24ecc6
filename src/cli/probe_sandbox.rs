//! `robotctl probe-sandbox`: the attempts of `doctor --probe`, in the units that it starts.

use super::{Exit, Output};
use crate::error::Error;
use crate::ops;

/// Arguments of `probe-sandbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Make the attempts in this process, and print what each gave
    #[arg(long)]
    here: bool,
    /// What to try, as NAME or NAME=ARGUMENT
    attempts: Vec<String>,
}

pub(super) fn run(args: &Args, out: &Output) -> Result<Exit, Error> {
    ops::attempt(&args.attempts, args.here, |word| {
        out.text(&format!("{word}\n"));
    })?;
    Ok(Exit::Done)
}
