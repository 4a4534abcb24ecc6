//! An open directory, and copying and linking the files below it.
//!
//! Every path is relative to the open directory. Source files are opened without following a link
//! anywhere in their path (openat2(2)). Only robotctl writes to the directories of releases.

use super::open::open_beneath;
use super::sparse::{copy_and_hash_sparse, hole_bytes, is_sparse};
use super::stat::file_stat;
use crate::host::open_without_links;
use crate::payload::{ContentHash, FileStat, InstalledStat, Item};
use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, linkat, statat};
use std::fs::{File, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The size of the buffers in which files are copied and hashed.
pub(crate) const BUFFER_BYTES: usize = 256 * 1024;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    file: File,
    path: PathBuf,
    /// The user of this process. Only files that it owns are linked.
    uid: u32,
    /// Whether the file system of this directory has refused to clone a file.
    cannot_clone: AtomicBool,
}

/// A file that a release should have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSpec<'a> {
    /// The path below the directory.
    pub(crate) path: &'a str,
    /// The permission bits.
    pub(crate) mode: u32,
    /// The size in bytes.
    pub(crate) len: u64,
}

impl<'a> FileSpec<'a> {
    /// The file that an item becomes.
    pub(crate) fn of(item: &'a Item) -> Self {
        Self {
            path: &item.path,
            mode: item.mode(),
            len: item.len(),
        }
    }
}

impl Dir {
    /// Opens a directory.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening `{}`", path.display()))?;
        Ok(Self::new(path, file))
    }

    /// Opens the directory of a source. No link is followed.
    pub(crate) fn open_source(path: &Path) -> Result<Self> {
        let file = open_without_links(path);
        let file = file.with_context(|| format!("opening `{}`", path.display()))?;
        Ok(Self::new(path, file))
    }

    fn new(path: &Path, file: File) -> Self {
        Self {
            file,
            path: path.to_owned(),
            uid: nix::unistd::geteuid().as_raw(),
            cannot_clone: AtomicBool::new(false),
        }
    }

    /// Opens a directory below this one, for linking files in it. `""` is this directory.
    pub(crate) fn subdir(&self, path: &str) -> std::io::Result<Self> {
        let name = Path::new(if path.is_empty() { "." } else { path });
        Ok(Self {
            file: open_beneath(&self.file, name, OFlags::PATH | OFlags::DIRECTORY)?,
            path: self.path.join(path),
            uid: self.uid,
            cannot_clone: AtomicBool::new(true),
        })
    }

    fn shown(&self, path: &str) -> String {
        self.path.join(path).display().to_string()
    }

    /// Opens a file below this directory for reading. No link is followed, a pipe does not block,
    /// and the access time is left alone where that is allowed.
    pub(crate) fn read(&self, path: &str) -> std::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        match open_beneath(&self.file, Path::new(path), flags | OFlags::NOATIME) {
            Err(rustix::io::Errno::PERM) => {}
            other => return Ok(other?),
        }
        Ok(open_beneath(&self.file, Path::new(path), flags)?)
    }

    /// The hash of a file below this directory. `len` is its size when it was listed.
    pub(crate) fn hash(&self, path: &str, len: u64, buffer: &mut [u8]) -> Result<ContentHash> {
        let mut hash = || {
            let file = self.read(path)?;
            match is_sparse(&file, len)? {
                true => copy_and_hash_sparse(&file, None, buffer),
                false => copy_and_hash(file, None, u64::MAX, buffer),
            }
        };
        let (hash, _) = hash().with_context(|| format!("reading `{}`", self.shown(path)))?;
        Ok(hash)
    }

    /// How many bytes of a file below this directory are in holes.
    pub(crate) fn hole_bytes(&self, path: &str) -> Result<u64> {
        let holes = || hole_bytes(&self.read(path)?);
        holes().with_context(|| format!("reading `{}`", self.shown(path)))
    }

    /// Copies a file to the same path below `to`, as a clone where the file system can (`FICLONE`,
    /// ioctl_ficlone(2)). Returns its hash.
    ///
    /// # Errors
    /// The operating system's, with the path; or an error that is not [`std::io::Error`] if the
    /// file is no longer in the state `stat` after it was read.
    pub(crate) fn copy(
        &self,
        file: &FileSpec<'_>,
        stat: &FileStat,
        to: &Self,
        buffer: &mut [u8],
    ) -> Result<(ContentHash, InstalledStat)> {
        let mut copy = || -> std::io::Result<Option<(ContentHash, InstalledStat)>> {
            let source = self.read(file.path)?;
            let target = to.create(file.path, file.mode)?;
            let copy_to = (!to.clone_from(&target, &source)).then_some(&target);
            let (hash, len) = match is_sparse(&source, file.len)? {
                true => copy_and_hash_sparse(&source, copy_to, buffer)?,
                false => copy_and_hash(&source, copy_to, file.len, buffer)?,
            };
            let after = fstat(&source)?;
            let has_grown = u64::try_from(after.st_size) != Ok(len);
            if has_grown || len != file.len || file_stat(&after) != *stat {
                return Ok(None);
            }
            Ok(Some((hash, set_mode(&target, file.mode)?)))
        };
        match copy() {
            Ok(Some(copied)) => Ok(copied),
            Ok(None) => bail!("`{}` changed while it was copied", self.shown(file.path)),
            Err(error) => Err(error).with_context(|| {
                let (from, to) = (self.shown(file.path), to.shown(file.path));
                format!("copying `{from}` to `{to}`")
            }),
        }
    }

    /// Writes a stream to a new file. Returns its hash.
    pub(crate) fn write(
        &self,
        from: impl Read,
        path: &str,
        mode: u32,
        buffer: &mut [u8],
    ) -> Result<(ContentHash, InstalledStat)> {
        let write = || -> std::io::Result<_> {
            let target = self.create(path, mode)?;
            let (hash, _) = copy_and_hash(from, Some(&target), u64::MAX, buffer)?;
            Ok((hash, set_mode(&target, mode)?))
        };
        write().with_context(|| format!("writing `{}`", self.shown(path)))
    }

    /// Creates a hard link to a file, at the same path below `to`. Returns false if the file has
    /// changed since it was installed or the file system refuses; then the caller copies.
    pub(crate) fn link(&self, file: &FileSpec<'_>, installed: &InstalledStat, to: &Self) -> bool {
        let Ok(stat) = statat(&self.file, file.path, AtFlags::SYMLINK_NOFOLLOW) else {
            return false;
        };
        let now = InstalledStat {
            ino: stat.st_ino,
            mtime: file_stat(&stat).mtime,
        };
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && now == *installed
            && stat.st_mode & 0o7777 == file.mode
            && u64::try_from(stat.st_size) == Ok(file.len)
            && stat.st_uid == self.uid
            && linkat(&self.file, file.path, &to.file, file.path, AtFlags::empty()).is_ok()
    }

    fn create(&self, path: &str, mode: u32) -> std::io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        // Unlike std, rustix does not repeat a call that a signal interrupted.
        let open = || rustix::fs::openat(&self.file, path, flags, mode);
        Ok(File::from(rustix::io::retry_on_intr(open)?))
    }

    fn clone_from(&self, target: &File, source: &File) -> bool {
        if self.cannot_clone.load(Ordering::Relaxed) {
            return false;
        }
        let is_cloned = rustix::fs::ioctl_ficlone(target, source).is_ok();
        if !is_cloned {
            self.cannot_clone.store(true, Ordering::Relaxed);
        }
        is_cloned
    }
}

/// Gives a new file exactly this mode: umask(2) and default ACLs may have cleared bits. Returns the
/// state of the file.
fn set_mode(file: &File, mode: u32) -> std::io::Result<InstalledStat> {
    let stat = fstat(file)?;
    if stat.st_mode & 0o7777 != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(InstalledStat {
        ino: stat.st_ino,
        mtime: file_stat(&stat).mtime,
    })
}

/// Reads up to `len` bytes, writes them to `to` if there is one, and returns their hash and number.
/// With a known length, the read that would find the end of the file is saved.
fn copy_and_hash(
    mut from: impl Read,
    mut to: Option<&File>,
    len: u64,
    buffer: &mut [u8],
) -> std::io::Result<(ContentHash, u64)> {
    let mut hasher = blake3::Hasher::new();
    while hasher.count() < len {
        let count = match from.read(buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = buffer.get(..count).unwrap_or_default();
        hasher.update(part);
        if let Some(to) = &mut to {
            to.write_all(part)?;
        }
    }
    Ok((hasher.finalize().into(), hasher.count()))
}

#[cfg(test)]
mod tests {
    use super::{Dir, FileSpec, FileStat, InstalledStat, file_stat};
    use anyhow::Result;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    const SPEC: FileSpec<'_> = FileSpec {
        path: "f",
        mode: 0o644,
        len: 3,
    };

    fn stat(path: &Path) -> Result<FileStat> {
        Ok(file_stat(&rustix::fs::lstat(path)?))
    }

    fn pair(content: &str) -> Result<(tempfile::TempDir, Dir, Dir)> {
        let dir = tempfile::tempdir()?;
        for name in ["a", "b"] {
            std::fs::create_dir(dir.path().join(name))?;
        }
        std::fs::write(dir.path().join("a/f"), content)?;
        let open = |name| Dir::open(&dir.path().join(name));
        let (a, b) = (open("a")?, open("b")?);
        Ok((dir, a, b))
    }

    #[test]
    fn a_copy_has_the_content_and_the_mode() -> Result<()> {
        let (dir, a, b) = pair("xyz")?;
        let stat = stat(&dir.path().join("a/f"))?;
        let spec = FileSpec {
            mode: 0o777,
            ..SPEC
        };
        let (hash, installed) = a.copy(&spec, &stat, &b, &mut [0; 2])?;
        let to = dir.path().join("b/f");
        assert_eq!(hash, blake3::hash(b"xyz").into());
        assert_eq!(std::fs::read(&to)?, b"xyz");
        assert_eq!(to.metadata()?.permissions().mode() & 0o7777, 0o777);
        assert_eq!(installed.ino, to.metadata()?.ino());
        Ok(())
    }

    #[test]
    fn a_source_that_changed_is_refused() -> Result<()> {
        let (dir, a, b) = pair("xyz")?;
        let file = dir.path().join("a/f");
        let before = stat(&file)?;
        // Size and mtime stay the same; only the ctime changes.
        let modified = file.metadata()?.modified()?;
        std::thread::yield_now();
        loop {
            std::fs::write(&file, "abc")?;
            std::fs::File::options()
                .write(true)
                .open(&file)?
                .set_modified(modified)?;
            if stat(&file)?.ctime != before.ctime {
                break;
            }
        }
        assert_eq!(stat(&file)?.mtime, before.mtime);
        let error = a.copy(&SPEC, &before, &b, &mut [0; 9]).unwrap_err();
        assert!(error.to_string().ends_with("changed while it was copied"));
        Ok(())
    }

    #[test]
    fn no_link_is_followed() -> Result<()> {
        let (dir, a, _) = pair("xyz")?;
        std::os::unix::fs::symlink("f", dir.path().join("a/l"))?;
        std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("a/d"))?;
        assert!(a.hash("f", 3, &mut [0; 9]).is_ok());
        assert!(a.hash("l", 3, &mut [0; 9]).is_err());
        assert!(a.hash("d/f", 3, &mut [0; 9]).is_err());
        Ok(())
    }

    #[test]
    fn only_a_file_that_is_unchanged_since_it_was_installed_is_linked() -> Result<()> {
        let (dir, a, b) = pair("xyz")?;
        let file = dir.path().join("a/f");
        let now = stat(&file)?;
        let installed = InstalledStat {
            ino: now.ino,
            mtime: now.mtime,
        };
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
        let other_len = FileSpec { len: 4, ..SPEC };
        let other_mode = FileSpec {
            mode: 0o755,
            ..SPEC
        };
        let other_file = InstalledStat {
            ino: now.ino + 1,
            ..installed
        };
        let changed = InstalledStat {
            mtime: now.mtime - 1,
            ..installed
        };
        assert!(!a.link(&other_len, &installed, &b));
        assert!(!a.link(&other_mode, &installed, &b));
        assert!(!a.link(&SPEC, &other_file, &b));
        assert!(!a.link(&SPEC, &changed, &b));
        assert!(a.link(&SPEC, &installed, &b));
        assert_eq!(file.metadata()?.nlink(), 2);
        assert!(!a.link(&SPEC, &installed, &b), "the target exists already");
        Ok(())
    }
}
