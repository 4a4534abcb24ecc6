//! `robotctl package`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Compression, Context, PackageRequest};
use std::path::PathBuf;

/// Arguments of `package`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write the package to this directory [default: the working directory]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How to compress it
    #[arg(long, value_enum, default_value = "fast")]
    compress: CompressArg,
    /// Extract the package and compare it with what went into it
    #[arg(long)]
    verify: bool,
    /// Check the package with lintian; exit with code 1 if it finds something
    #[arg(long)]
    lint: bool,
}

/// A word of `--compress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CompressArg {
    /// xz at level 1, for every dpkg
    Fast,
    /// xz at level 6: smaller, and slower
    Max,
    /// zstd, for Debian 12, Ubuntu 18.04 and later
    Zstd,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let made = ops::package(
        ctx,
        &PackageRequest {
            output: args.output.clone(),
            compress: match args.compress {
                CompressArg::Fast => Compression::Fast,
                CompressArg::Max => Compression::Max,
                CompressArg::Zstd => Compression::Zstd,
            },
            verify: args.verify,
            lint: args.lint,
        },
    )?;
    for warning in &made.warnings {
        out.message(&format!("warning: {warning}"));
    }
    for finding in &made.findings {
        out.message(finding);
    }
    let data = view::package::PackageData::new(&made);
    out.data(
        "package",
        &DataSubject::app(ctx, &made.app),
        &data,
        &view::package::text(&made),
    );
    Ok(match made.findings.is_empty() {
        true => Exit::Done,
        false => Exit::Findings,
    })
}
