//! Removing directory trees and the temporary files of killed runs.

use super::mountinfo::mount_points;
use super::root::Root;
use super::runner::Command;
use super::temp::{temp_path, temp_target};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

impl Root {
    /// Removes a directory and everything in it. Symbolic links are not followed.
    ///
    /// # Errors
    /// The operating system's, with the path; also when a file system is mounted there.
    pub fn remove_tree(&self, path: &str) -> Result<()> {
        let real = self.path(path);
        self.refuse_mounts(path)?;
        match fs::remove_dir_all(&real) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // The standard library needs one descriptor for each level; fts(3), which rm(1) uses,
            // needs few for any depth.
            Err(error) if error.raw_os_error() == Some(Errno::EMFILE as i32) => {
                let real = real.to_str().context("the path is not UTF-8")?;
                let rm = Command::new(["rm", "-rf", "--one-file-system", "--", real]);
                rm.run().map(drop)
            }
            removed => removed.with_context(|| format!("removing `{}`", real.display())),
        }
    }

    /// Removes a directory and everything in it. Under its name, it is always complete: it is
    /// renamed first.
    ///
    /// # Errors
    /// The operating system's, with the path; also when a file system is mounted there.
    pub fn discard(&self, path: &str) -> Result<()> {
        if self.meta(path)?.is_none() {
            return Ok(());
        }
        self.refuse_mounts(path)?;
        let real = self.path(path);
        let aside = temp_path(&real);
        let remove = || -> std::io::Result<()> {
            fs::rename(&real, &aside)?;
            self.sync_parent(&real)?;
            match fs::remove_dir_all(&aside) {
                // Another command has already removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                ended => ended,
            }
        };
        remove().with_context(|| format!("removing `{}`", real.display()))
    }

    /// Removes the temporary files of killed runs from a directory, when `is_own` accepts the name
    /// of the file that they were made for.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn remove_temporaries(&self, dir: &str, is_own: impl Fn(&str) -> bool) -> Result<()> {
        for name in self.list(dir)? {
            if temp_target(&name).is_some_and(&is_own) {
                let path = format!("{dir}/{name}");
                match self.meta(&path)? {
                    Some(meta) if meta.is_dir => self.remove_tree(&path)?,
                    _ => self.remove_file(&path)?,
                }
            }
        }
        Ok(())
    }

    /// The first mount point at or below a path (proc_pid_mountinfo(5)).
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub fn mount_at(&self, path: &str) -> Result<Option<PathBuf>> {
        let Ok(real) = fs::canonicalize(self.path(path)) else {
            return Ok(None);
        };
        let mut points = mount_points()?.into_iter();
        Ok(points.find(|point| point.starts_with(&real)))
    }

    fn refuse_mounts(&self, path: &str) -> Result<()> {
        match self.mount_at(path)? {
            Some(mount) => bail!("`{}` is mounted: unmount it first", mount.display()),
            None => Ok(()),
        }
    }
}
