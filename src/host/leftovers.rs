//! Names that nobody reads: of files that are being written, and of trees that are going. A
//! killed run leaves them; the next one sweeps them.

use super::Root;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What follows the target's name in the name of a temporary file.
const TEMPORARY: &str = ".robotctl-";

impl Root {
    /// Removes a directory with all that is in it; links are not followed.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn remove_tree(&self, path: &str) -> Result<()> {
        let real = self.path(path);
        match fs::remove_dir_all(&real) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing `{}`", real.display()))
            }
            _ => Ok(()),
        }
    }

    /// Removes a directory with all that is in it, so that nobody ever sees a part of it under
    /// its name.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn discard(&self, path: &str) -> Result<()> {
        if self.meta(path)?.is_none() {
            return Ok(());
        }
        let real = self.path(path);
        let aside = beside(&real);
        let remove = || -> std::io::Result<()> {
            fs::rename(&real, &aside)?;
            self.sync_parent(&real)?;
            fs::remove_dir_all(&aside)
        };
        remove().with_context(|| format!("removing `{}`", real.display()))
    }

    /// Removes what writers that were killed left in a directory: temporary files for names that
    /// `of` says are nobody else's.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn sweep_temporaries(&self, dir: &str, of: impl Fn(&str) -> bool) -> Result<()> {
        for name in self.list(dir)? {
            if temporary_for(&name).is_some_and(&of) {
                let path = format!("{dir}/{name}");
                match self.meta(&path)? {
                    Some(meta) if meta.is_dir => self.remove_tree(&path)?,
                    _ => self.remove_file(&path)?,
                }
            }
        }
        Ok(())
    }
}

/// The name of the file that a temporary file of this name was for; `None` for any other file.
pub fn temporary_for(name: &str) -> Option<&str> {
    let (target, _) = name.strip_prefix('.')?.rsplit_once(TEMPORARY)?;
    Some(target)
}

/// A name in the same directory that no other run uses.
pub(super) fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let stamp = jiff::Timestamp::now().as_nanosecond();
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(
        "{TEMPORARY}{}-{count}-{stamp:x}",
        std::process::id()
    ));
    path.with_file_name(name)
}
