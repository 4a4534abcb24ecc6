//! `robotctl generate`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::app::{LintFinding, Severity, lint};
use crate::host::files::is_dir;
use crate::render::render;
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use std::path::PathBuf;

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Writes the files below this directory [default: prints them]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Compares with what lies below DIR, or on this host; exit code 1 when it differs
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let loaded = ctx.load()?;
    let target = ctx.target(&loaded.app);
    let tree = render(&loaded.app, target)?;
    for hit in lint(&loaded.app, Some(target)) {
        let word = match hit.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let LintFinding {
            message,
            hint,
            lint,
            ..
        } = hit;
        let told = format!("{word}: {message} [{lint}]\n  hint: {hint}");
        ctx.printer.say(&told);
    }
    let root = match &args.output {
        Some(dir) => crate::host::Root::new(dir),
        None => ctx.host.root.clone(),
    };
    if args.check {
        let base = root.path("/");
        if !is_dir(&base) {
            let base = base.to_string_lossy();
            return refuse(
                format!(
                    "there is no directory `{}` to compare with",
                    base.trim_end_matches('/')
                ),
                "write one first: `robotctl generate --output DIR`",
            );
        }
        return check(ctx, &root, &tree);
    }
    if args.output.is_none() {
        for (path, entry) in tree.iter() {
            ctx.printer
                .data(&format!("==> {path} <==\n{}\n", entry.text()));
        }
        return Ok(Exit::Done);
    }
    root.make_base()?;
    root.put_tree(&tree)?;
    ctx.printer.say(&format!("{} files written", tree.len()));
    Ok(Exit::Done)
}

fn check(ctx: &Ctx, root: &crate::host::Root, tree: &FileTree) -> Result<Exit> {
    let mut exit = Exit::Done;
    for (path, entry) in tree.iter() {
        let found = root.entry(path)?;
        if found.as_ref() == Some(entry) {
            continue;
        }
        exit = Exit::No;
        let change = crate::store::FileChange {
            path: path.to_owned(),
            before: found.as_ref().map(crate::store::Stored::new),
            after: Some(crate::store::Stored::new(entry)),
        };
        match (&found, entry) {
            (
                Some(Entry::File { mode, bytes }),
                Entry::File {
                    mode: want,
                    bytes: wanted,
                },
            ) if bytes == wanted => {
                ctx.printer
                    .data(&format!("{path}: mode {mode:o} should be {want:o}\n"));
            }
            _ => ctx.printer.data(&crate::plan::Diff(&change).to_string()),
        }
    }
    Ok(exit)
}
