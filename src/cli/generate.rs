//! `robotctl generate`

use super::view::files::{self, FileData, LintData};
use super::view::{DataSubject, counted};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context};
use std::path::PathBuf;

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write the files below this directory instead of printing them
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Compare the files with those below DIR, or with those of this host;
    /// exit with code 1 if they differ
    #[arg(long)]
    check: bool,
}

impl Args {
    /// Whether it writes files.
    pub(super) fn writes(&self) -> bool {
        self.output.is_some() && !self.check
    }
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let generated = ops::render_files(ctx)?;
    let (app, tree) = (DataSubject::app(ctx, &generated.app), &generated.tree);
    for finding in &generated.findings {
        if out.is_json() {
            out.data("lint", &app, &LintData::new(finding), "");
        } else {
            out.message(&files::lint(finding));
        }
    }
    if args.check {
        let drift = ops::compare(ctx, args.output.as_ref(), tree)?;
        for one in &drift {
            out.data(
                "file",
                &app,
                &FileData::differing(one),
                &files::difference(one),
            );
        }
        return Ok(if drift.is_empty() {
            Exit::Done
        } else {
            Exit::Findings
        });
    }
    if let Some(dir) = &args.output {
        ops::write_files(dir, tree)?;
        out.message(&format!("{} written", counted(tree.len(), "file")));
        return Ok(Exit::Done);
    }
    for (path, entry) in tree.iter() {
        out.data(
            "file",
            &app,
            &FileData::rendered(path, entry),
            &files::file(path, entry),
        );
    }
    Ok(Exit::Done)
}
