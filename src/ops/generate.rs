//! `generate`: renders the files of an app, writes them, or compares them.

use super::context::Context;
use crate::app::{LintFinding, lint};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::host::Root;
use crate::host::files::is_dir;
use crate::render::render;
use crate::tree::{Entry, FileChange, FileTree, Stored};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The rendered files, and what lints say of the manifest.
#[derive(Debug)]
pub(crate) struct Generated {
    /// The app.
    pub(crate) app: String,
    /// The files.
    pub(crate) tree: FileTree,
    /// Lint findings.
    pub(crate) findings: Vec<LintFinding>,
}

/// How a file differs from the rendered one.
#[derive(Debug)]
pub(crate) enum Drift {
    /// Only the mode: what it is and what it should be.
    Mode(String, u32, u32),
    /// The content, or the whole file.
    Content(FileChange),
}

/// Renders the files of the app.
///
/// # Errors
/// [`Kind::Refused`] when the manifest has a mistake.
pub(crate) fn render_files(ctx: &Context<'_>) -> Result<Generated, Error> {
    let render = || -> Result<Generated> {
        let app = ctx.load_app()?;
        let target = ctx.target(&app);
        Ok(Generated {
            app: app.name.to_string(),
            tree: render(&app, target)?,
            findings: lint(&app, Some(target)),
        })
    };
    render().nothing_changed()
}

/// Writes files below a directory, which is created if it is missing.
///
/// # Errors
/// [`Kind::Refused`] when the directory cannot be created, [`Kind::Degraded`] when some files may have
/// been written.
pub(crate) fn write(dir: &Path, tree: &FileTree) -> Result<(), Error> {
    let root = Root::new(dir);
    // An empty path is the working directory.
    let parents = dir.ancestors().filter(|path| !path.as_os_str().is_empty());
    let missing = parents.take_while(|path| !is_dir(path)).last();
    root.make_base().map_err(|error| {
        let kind = match missing {
            Some(first) if is_dir(first) => Kind::Degraded,
            _ => Kind::Refused,
        };
        let hint = "name a directory that can be created with `--output DIR`";
        Error::of_kind(kind, error).hint(hint)
    })?;
    let written = root.put_tree(tree);
    written.map_err(|error| Error::of_kind(Kind::Degraded, error))
}

/// Compares files with those below a directory, or with those of the host.
///
/// # Errors
/// [`Kind::Refused`] when they cannot be read.
pub(crate) fn compare(
    ctx: &Context<'_>,
    dir: Option<&PathBuf>,
    tree: &FileTree,
) -> Result<Vec<Drift>, Error> {
    let root = match dir {
        Some(dir) => Root::new(dir),
        None => ctx.host.root.clone(),
    };
    let compare = || -> Result<Vec<Drift>> {
        let base = root.path("/");
        if !is_dir(&base) {
            let base = base.to_string_lossy();
            let base = base.trim_end_matches('/');
            return fail(
                format!("there is no directory `{base}` to compare with"),
                Hint::to(
                    "write the files first",
                    CommandLine::robotctl(["generate", "--output", "DIR"]),
                ),
            );
        }
        let mut drift = Vec::new();
        for (path, entry) in tree.iter() {
            drift.extend(difference(&root, path, entry)?);
        }
        Ok(drift)
    };
    compare().nothing_changed()
}

fn difference(root: &Root, path: &str, wanted: &Entry) -> Result<Option<Drift>> {
    let found = root.entry(path)?;
    if found.as_ref() == Some(wanted) {
        return Ok(None);
    }
    if let Some(Entry::File { mode, bytes }) = &found
        && let Entry::File {
            mode: wanted_mode,
            bytes: wanted_bytes,
        } = wanted
        && bytes == wanted_bytes
    {
        return Ok(Some(Drift::Mode(path.to_owned(), *mode, *wanted_mode)));
    }
    Ok(Some(Drift::Content(FileChange {
        path: path.to_owned(),
        before: found.as_ref().map(Stored::new),
        after: Some(Stored::new(wanted)),
    })))
}

/// The documents below `dir` of the working directory that differ from a tree, or are not in it.
///
/// # Errors
/// [`Kind::Refused`] when they cannot be read.
pub(crate) fn stale_documents(tree: &FileTree, dir: &str) -> Result<Vec<String>, Error> {
    let compare = || -> Result<Vec<String>> {
        let root = Root::new(&crate::host::working_directory()?);
        let mut stale = Vec::new();
        for (path, entry) in tree.iter() {
            // The checkout decides the modes.
            if root.read(path)?.as_deref() != Some(entry.text().as_bytes()) {
                stale.push(path.to_owned());
            }
        }
        for dir in [dir.to_owned(), format!("{dir}/output")] {
            for name in root.list(&dir)? {
                let path = format!("{dir}/{name}");
                let is_known = tree.paths().any(|known| known.starts_with(&path));
                if !is_known {
                    stale.push(path);
                }
            }
        }
        Ok(stale)
    };
    compare().nothing_changed()
}
