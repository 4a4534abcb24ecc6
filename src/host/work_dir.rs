//! A directory of this process for files that nothing needs later.

use super::environment::random_hex;
use anyhow::{Context as _, Result};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A directory that only this user can enter. It is removed when it is dropped.
#[derive(Debug)]
pub struct WorkDir(PathBuf);

impl WorkDir {
    /// A new directory below `TMPDIR`, or else below `/tmp`.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("robotctl-{}", random_hex(8)?));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("creating `{}`", path.display()))?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // What cannot be removed is in a directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
