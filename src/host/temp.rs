//! Names that nobody reads: of files that are being written, and of trees that are going. A
//! killed run leaves them; the next one sweeps them.

use super::{Command, Root};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt as _;
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
        self.refuse_mounts(path)?;
        match fs::remove_dir_all(&real) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // One descriptor a level was not enough: fts(3) needs few, however deep it is.
            Err(error) if error.raw_os_error() == Some(Errno::EMFILE as i32) => {
                let real = real.to_str().context("the path is not UTF-8")?;
                let rm = Command::new(["rm", "-rf", "--one-file-system", "--", real]);
                rm.run().map(drop)
            }
            removed => removed.with_context(|| format!("removing `{}`", real.display())),
        }
    }

    fn refuse_mounts(&self, path: &str) -> Result<()> {
        match self.mount_at(path)? {
            Some(mount) => bail!("`{}` is mounted: unmount it first", mount.display()),
            None => Ok(()),
        }
    }

    /// The first mount point at or below a path, in which nothing of an app's own lies
    /// (proc_pid_mountinfo(5)).
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub fn mount_at(&self, path: &str) -> Result<Option<PathBuf>> {
        let Ok(real) = fs::canonicalize(self.path(path)) else {
            return Ok(None);
        };
        let table = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
        let points = table.lines().filter_map(|line| line.split(' ').nth(4));
        let mut points = points.map(|text| PathBuf::from(unescaped(text)));
        Ok(points.find(|point| point.starts_with(&real)))
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
        self.refuse_mounts(path)?;
        let real = self.path(path);
        let aside = temp_path(&real);
        let remove = || -> std::io::Result<()> {
            fs::rename(&real, &aside)?;
            self.sync_parent(&real)?;
            match fs::remove_dir_all(&aside) {
                // Another command has swept it meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                ended => ended,
            }
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
            if temp_target(&name).is_some_and(&of) {
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

/// A path of the mount table, in which some bytes are written as `\040` (octal).
fn unescaped(text: &str) -> OsString {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal.filter(|_| *byte == b'\\') {
            Some(value) => {
                out.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

/// The name of the file that a temporary file of this name was for; `None` for any other file.
pub fn temp_target(name: &str) -> Option<&str> {
    let (target, _) = name.strip_prefix('.')?.rsplit_once(TEMPORARY)?;
    Some(target)
}

/// A name in the same directory that no other run uses.
pub(super) fn temp_path(path: &Path) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn mount_points_are_read_as_they_are() {
        assert_eq!(unescaped("/mnt/a\\040b\\134c"), "/mnt/a b\\c");
        assert_eq!(unescaped("/plain\\"), "/plain\\");
    }
}
