//! `robotctl reference`: man pages, completions and the reference documents.
//!
//! | module | writes |
//! |---|---|
//! | `documents` | `docs/reference/`: Markdown and JSON schemas |
//! | `manual`, `examples`, `files` | the manual pages of the commands, section 1 |
//! | `manifest_page` | robot.toml(5) |
//! | `page` | one manual page, as roff |

mod documents;
mod examples;
mod files;
mod manifest_page;
mod manual;
mod page;

use super::view::counted;
use super::{Exit, Output, completion};
use crate::error::{Claim as _, Error};
use crate::host;
use crate::ops;
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use std::path::PathBuf;

/// Arguments of `reference`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write man pages, completions and documents below this directory
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write only the documents, to docs/reference
    #[arg(long, conflicts_with = "output")]
    docs: bool,
    /// Compare with docs/reference, and exit with code 1 if it differs
    #[arg(long, conflicts_with_all = ["output", "docs"])]
    check: bool,
}

pub(super) fn run(args: &Args, out: &Output) -> Result<Exit, Error> {
    let mut tree = documents::documents().nothing_changed()?;
    let here = host::working_directory().nothing_changed()?;
    if args.check {
        return check(&tree, out);
    }
    let dir = match &args.output {
        Some(dir) => {
            manuals(&mut tree).nothing_changed()?;
            completions(&mut tree).nothing_changed()?;
            here.join(dir)
        }
        None if args.docs => here,
        None => {
            let hint = "pass `--docs`, or `--output DIR` for everything";
            return Err(Error::refused("nothing to write was given", hint));
        }
    };
    ops::write_files(&dir, &tree)?;
    out.message(&format!("{} written", counted(tree.len(), "file")));
    Ok(Exit::Done)
}

fn check(tree: &FileTree, out: &Output) -> Result<Exit, Error> {
    let stale = ops::stale_documents(tree, documents::DIR)?;
    if stale.is_empty() {
        return Ok(Exit::Done);
    }
    out.message(&format!(
        "error: the reference documents are out of date: {}\n\n\
         hint: cargo run -- reference --docs",
        stale.join(", ")
    ));
    Ok(Exit::Findings)
}

/// `man/`: a page for each command, and one for the manifest.
fn manuals(tree: &mut FileTree) -> Result<()> {
    let mut pages = manual::pages(&command_for_documents())?;
    pages.push(("robot.toml.5".to_owned(), manifest_page::page()?));
    for (name, text) in pages {
        tree.insert(format!("man/{name}"), Entry::file(text));
    }
    Ok(())
}

/// `completions/`, under the names that the shells look for.
fn completions(tree: &mut FileTree) -> Result<()> {
    for (shell, name) in [
        ("bash", "robotctl"),
        ("zsh", "_robotctl"),
        ("fish", "robotctl.fish"),
    ] {
        let text = completion::script(shell)?;
        tree.insert(format!("completions/{name}"), Entry::file(text));
    }
    Ok(())
}

/// The command line as it is documented: the same on any terminal.
fn command_for_documents() -> clap::Command {
    let mut command = super::command()
        .disable_help_subcommand(true)
        .term_width(80);
    command.build();
    command
}
