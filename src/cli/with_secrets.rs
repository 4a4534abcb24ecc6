//! `robotctl with-secrets`: how a service with secrets in variables starts.

use super::Exit;
use crate::error::Error;
use crate::ops;

/// Arguments of `with-secrets`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of credentials and of variables, as `SECRET=VARIABLE`
    pairs: Vec<String>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    argv: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Error> {
    Err(ops::exec_with_secrets(&args.pairs, &args.argv))
}
