//! `robotctl read-archive`: the process that decodes archives.

use super::Exit;
use crate::error::Error;
use crate::ops;

/// Arguments of `read-archive`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How it is compressed
    compression: ops::ArchiveFormat,
}

pub(super) fn run(args: &Args) -> Result<Exit, Error> {
    ops::read_archive(args.compression)?;
    Ok(Exit::Done)
}
