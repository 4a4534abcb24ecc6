//! A file or link that is complete under a temporary name, and gets its own name in one step.

use super::temp::temp_path;
use anyhow::{Context, Result};
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A complete file under a temporary name. It is removed unless it is published.
///
/// The temporary name is unique, so that a leftover of a killed run can neither be published nor be
/// in the way.
#[derive(Debug)]
pub(super) struct PreparedFile {
    temporary: PathBuf,
    real: PathBuf,
    /// The file while its content is not on the disk. The text of a link reaches the disk with its
    /// name.
    unsynced: Option<File>,
    is_published: bool,
}

impl Drop for PreparedFile {
    fn drop(&mut self) {
        if !self.is_published {
            // The next run removes what cannot be removed now.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl PreparedFile {
    fn new(real: PathBuf) -> Self {
        Self {
            temporary: temp_path(&real),
            real,
            unsynced: None,
            is_published: false,
        }
    }

    /// Writes a regular file.
    pub(super) fn file(real: PathBuf, bytes: &[u8], mode: u32) -> Result<Self> {
        let mut prepared = Self::new(real);
        let write = || -> std::io::Result<File> {
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&prepared.temporary)?;
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            Ok(file)
        };
        prepared.unsynced = Some(write().with_context(|| prepared.context())?);
        Ok(prepared)
    }

    /// Creates a symbolic link.
    pub(super) fn link(real: PathBuf, target: &str) -> Result<Self> {
        let prepared = Self::new(real);
        symlink(target, &prepared.temporary).with_context(|| prepared.context())?;
        Ok(prepared)
    }

    /// The path until it is published.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The file when it has to be synced, with the context of an error. It must be synced through the
    /// descriptor that wrote it: the kernel reports write errors to that one.
    pub(super) fn take_unsynced(&mut self) -> Option<(File, String)> {
        let file = self.unsynced.take()?;
        Some((file, self.context()))
    }

    /// Writes the content to the disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        match self.take_unsynced() {
            Some((file, context)) => file.sync_all().context(context),
            None => Ok(()),
        }
    }

    /// Renames it to its own name. The directory still has to be synced.
    pub(super) fn publish(&mut self) -> Result<()> {
        fs::rename(&self.temporary, &self.real).with_context(|| self.context())?;
        self.is_published = true;
        Ok(())
    }

    fn context(&self) -> String {
        format!("writing `{}`", self.real.display())
    }
}
