//! The source of a release: a directory or an archive.

use crate::archive::{ArchiveFile, Format};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::host::{files, real_path};
use crate::provenance::Provenance;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Where the content of a release comes from: a path without links. robotctl opens it without following
/// a link, so that it reads what the plan names although other users may write there.
#[derive(Debug, Clone)]
pub enum Source {
    /// A directory.
    Directory(PathBuf),
    /// A `.tar`, `.tar.gz`, `.tar.zst` or `.tar.xz` archive.
    Archive(ArchiveFile),
}

impl Source {
    /// The source at a path.
    ///
    /// # Errors
    /// A [`HintedError`] if nothing is there, or neither a directory nor an archive.
    pub fn at(path: &Path) -> Result<Self> {
        if files::is_dir(path) {
            return Ok(Self::Directory(real_path(path)?));
        }
        let shown = path.display();
        if !files::exists(path) {
            let refused = HintedError::new(
                format!("the source `{shown}` does not exist"),
                Hint::to(
                    "set `release.source` in the manifest, or name a directory or an archive",
                    CommandLine::sudo_robotctl(["deploy", "DIR"]),
                ),
            );
            return Err(refused.into());
        }
        if files::is_file(path) && Format::of(path).is_some() {
            return Ok(Self::Archive(ArchiveFile::at(real_path(path)?)));
        }
        let refused = HintedError::new(
            format!("the source `{shown}` is neither a directory nor an archive"),
            "use a directory, `.tar`, `.tar.gz`, `.tar.zst` or `.tar.xz`",
        );
        Err(refused.into())
    }

    /// The path of the directory or archive.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Archive(archive) => archive.path(),
        }
    }

    /// What was proved of an archive before anything of it was read.
    pub fn provenance(&self) -> Option<&Provenance> {
        match self {
            Self::Directory(_) => None,
            Self::Archive(archive) => archive.provenance(),
        }
    }
}
