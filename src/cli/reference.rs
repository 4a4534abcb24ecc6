//! `robotctl reference`
use super::{Ctx, Exit};
use anyhow::Result;
/// Arguments of `reference`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory
    #[arg(long, value_name = "DIR")]
    output: std::path::PathBuf,
}
pub(super) fn run(_args: &Args, _ctx: &Ctx) -> Result<Exit> {
    Ok(Exit::Done)
}
