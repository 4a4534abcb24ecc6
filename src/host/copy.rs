//! Filling a new tree: copies of a source's files, and second names of those that a release has.
//!
//! Every path is relative to an open directory. What is read is reached through no link on the way
//! (openat2(2)); the trees that are written to are nobody else's.

use super::files::open_beneath;
use super::walk::FileStat;
use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, linkat, statat};
use std::fs::{File, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// How a placed file is known again: a change of its content, or another file in its place,
/// shows here. (Its ctime changes with every further name.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InstalledStat {
    /// Inode.
    pub ino: u64,
    /// Last change of the content, in nanoseconds since 1970.
    pub mtime: i64,
}

/// What a file holds: the first 192 bits of its BLAKE3, which may be cut anywhere. To find two
/// contents with the same takes 2^96 tries; an index of many small files is a quarter smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Content(pub [u8; Self::LEN]);

impl Content {
    /// Bytes of it.
    pub const LEN: usize = 24;
}

impl From<blake3::Hash> for Content {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    file: File,
    path: PathBuf,
    /// Who we are: whose files may be shared.
    uid: u32,
    /// Whether the file system of this directory refused to clone.
    cannot_clone: AtomicBool,
}

/// What a file must be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Path below the directory.
    pub path: &'a str,
    /// Permission bits.
    pub mode: u32,
    /// Bytes.
    pub len: u64,
}

impl Dir {
    /// Opens a directory.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening `{}`", path.display()))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            uid: nix::unistd::geteuid().as_raw(),
            cannot_clone: AtomicBool::new(false),
        })
    }

    /// A directory below, only to reach what lies in it; `""` is the same one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn below(&self, path: &str) -> std::io::Result<Self> {
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

    /// Opens a file below for reading: never through a link that took the place of anything on
    /// the way, never a pipe that blocks, and without a trace in its access time where allowed.
    ///
    /// # Errors
    /// The operating system's.
    pub fn read(&self, path: &str) -> std::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        match open_beneath(&self.file, Path::new(path), flags | OFlags::NOATIME) {
            Err(rustix::io::Errno::PERM) => {}
            other => return Ok(other?),
        }
        Ok(open_beneath(&self.file, Path::new(path), flags)?)
    }

    /// The digest of a file below.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn hash(&self, path: &str, buffer: &mut [u8]) -> Result<Content> {
        let mut hash = || digest(self.read(path)?, None, u64::MAX, buffer);
        let (hash, _) = hash().with_context(|| format!("reading `{}`", self.shown(path)))?;
        Ok(hash)
    }

    /// Copies a file to the same path below `to`: a clone where the file system can
    /// (`FICLONE`, ioctl_ficlone(2)), else byte for byte. The file must be as it was at `stamp`
    /// when it has been read, or else it is refused.
    ///
    /// # Errors
    /// The operating system's, with the path, or that the file changed.
    pub fn copy(
        &self,
        wanted: &Wanted<'_>,
        stamp: &FileStat,
        to: &Self,
        buffer: &mut [u8],
    ) -> Result<(Content, InstalledStat)> {
        let mut copy = || -> std::io::Result<Option<(Content, InstalledStat)>> {
            let source = self.read(wanted.path)?;
            let target = to.create(wanted.path, wanted.mode)?;
            let (hash, len) = if to.clone_from(&target, &source) {
                digest(&source, None, wanted.len, buffer)?
            } else {
                digest(&source, Some(&target), wanted.len, buffer)?
            };
            let after = fstat(&source)?;
            let grown = u64::try_from(after.st_size) != Ok(len);
            if grown || len != wanted.len || FileStat::of(&after) != *stamp {
                return Ok(None);
            }
            Ok(Some((hash, placed(&target, wanted.mode)?)))
        };
        match copy() {
            Ok(Some(done)) => Ok(done),
            Ok(None) => bail!("`{}` changed while it was copied", self.shown(wanted.path)),
            Err(error) => Err(error).with_context(|| {
                let (from, to) = (self.shown(wanted.path), to.shown(wanted.path));
                format!("copying `{from}` to `{to}`")
            }),
        }
    }

    /// Writes a stream to a new file, and gives its digest and length.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn write(
        &self,
        from: impl Read,
        path: &str,
        mode: u32,
        buffer: &mut [u8],
    ) -> Result<(Content, u64, InstalledStat)> {
        let write = || -> std::io::Result<_> {
            let target = self.create(path, mode)?;
            let (hash, len) = digest(from, Some(&target), u64::MAX, buffer)?;
            Ok((hash, len, placed(&target, mode)?))
        };
        write().with_context(|| format!("writing `{}`", self.shown(path)))
    }

    /// Gives a file another name, at the same path below `to`; false when it is not what it was
    /// when it was placed, or when the file system refuses, so that the caller copies.
    pub fn link(&self, wanted: &Wanted<'_>, placed: &InstalledStat, to: &Self) -> bool {
        let Ok(stat) = statat(&self.file, wanted.path, AtFlags::SYMLINK_NOFOLLOW) else {
            return false;
        };
        let there = InstalledStat {
            ino: stat.st_ino,
            mtime: FileStat::of(&stat).mtime,
        };
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && there == *placed
            && stat.st_mode & 0o7777 == wanted.mode
            && u64::try_from(stat.st_size) == Ok(wanted.len)
            && stat.st_uid == self.uid
            && linkat(
                &self.file,
                wanted.path,
                &to.file,
                wanted.path,
                AtFlags::empty(),
            )
            .is_ok()
    }

    fn create(&self, path: &str, mode: u32) -> std::io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        // rustix leaves a call that a signal interrupted to its caller, unlike std.
        let open = || rustix::fs::openat(&self.file, path, flags, mode);
        Ok(File::from(rustix::io::retry_on_intr(open)?))
    }

    fn clone_from(&self, target: &File, source: &File) -> bool {
        if self.cannot_clone.load(Ordering::Relaxed) {
            return false;
        }
        let done = rustix::fs::ioctl_ficlone(target, source).is_ok();
        if !done {
            self.cannot_clone.store(true, Ordering::Relaxed);
        }
        done
    }
}

/// The facts of a file just written, with exactly `mode`: umask(2) and default ACLs take bits off.
fn placed(file: &File, mode: u32) -> std::io::Result<InstalledStat> {
    let stat = fstat(file)?;
    if stat.st_mode & 0o7777 != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(InstalledStat {
        ino: stat.st_ino,
        mtime: FileStat::of(&stat).mtime,
    })
}

/// Reads up to `len` bytes: who knows the length need not ask for the end.
fn digest(
    mut from: impl Read,
    mut to: Option<&File>,
    len: u64,
    buffer: &mut [u8],
) -> std::io::Result<(Content, u64)> {
    let mut hasher = blake3::Hasher::new();
    while hasher.count() < len {
        let count = match from.read(buffer) {
            Ok(0) => return Ok((hasher.finalize().into(), hasher.count())),
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
    use super::{Dir, InstalledStat, Wanted};
    use crate::host::walk::FileStat;
    use anyhow::Result;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    const WANTED: Wanted<'_> = Wanted {
        path: "f",
        mode: 0o644,
        len: 3,
    };

    fn stamp(path: &Path) -> Result<FileStat> {
        Ok(FileStat::of(&rustix::fs::lstat(path)?))
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
    fn a_copy_has_content_digest_and_mode() -> Result<()> {
        let (dir, a, b) = pair("xyz")?;
        let stamp = stamp(&dir.path().join("a/f"))?;
        let wanted = Wanted {
            mode: 0o777,
            ..WANTED
        };
        let (hash, placed) = a.copy(&wanted, &stamp, &b, &mut [0; 2])?;
        let to = dir.path().join("b/f");
        assert_eq!(hash, blake3::hash(b"xyz").into());
        assert_eq!(std::fs::read(&to)?, b"xyz");
        assert_eq!(to.metadata()?.permissions().mode() & 0o7777, 0o777);
        assert_eq!(placed.ino, to.metadata()?.ino());
        Ok(())
    }

    #[test]
    fn a_source_that_changed_is_refused() -> Result<()> {
        let (dir, a, b) = pair("xyz")?;
        let file = dir.path().join("a/f");
        let before = stamp(&file)?;
        // Same size and the same mtime: the ctime tells.
        let modified = file.metadata()?.modified()?;
        std::thread::yield_now();
        loop {
            std::fs::write(&file, "abc")?;
            std::fs::File::options()
                .write(true)
                .open(&file)?
                .set_modified(modified)?;
            if stamp(&file)?.ctime != before.ctime {
                break;
            }
        }
        assert_eq!(stamp(&file)?.mtime, before.mtime);
        let error = a.copy(&WANTED, &before, &b, &mut [0; 9]).unwrap_err();
        assert!(error.to_string().ends_with("changed while it was copied"));
        Ok(())
    }

    #[test]
    fn no_link_is_followed_on_the_way() -> Result<()> {
        let (dir, a, _) = pair("xyz")?;
        std::os::unix::fs::symlink("f", dir.path().join("a/l"))?;
        std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("a/d"))?;
        assert!(a.hash("f", &mut [0; 9]).is_ok());
        assert!(a.hash("l", &mut [0; 9]).is_err());
        assert!(a.hash("d/f", &mut [0; 9]).is_err());
        Ok(())
    }

    #[test]
    fn only_a_file_that_is_as_it_was_placed_gets_another_name() -> Result<()> {
        let (dir, a, b) = pair("xyz")?;
        let file = dir.path().join("a/f");
        let is = stamp(&file)?;
        let placed = InstalledStat {
            ino: is.ino,
            mtime: is.mtime,
        };
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
        let other_len = Wanted { len: 4, ..WANTED };
        let other_mode = Wanted {
            mode: 0o755,
            ..WANTED
        };
        let other_file = InstalledStat {
            ino: is.ino + 1,
            ..placed
        };
        let changed = InstalledStat {
            mtime: is.mtime - 1,
            ..placed
        };
        assert!(!a.link(&other_len, &placed, &b));
        assert!(!a.link(&other_mode, &placed, &b));
        assert!(!a.link(&WANTED, &other_file, &b));
        assert!(!a.link(&WANTED, &changed, &b));
        assert!(a.link(&WANTED, &placed, &b));
        assert_eq!(file.metadata()?.nlink(), 2);
        assert!(!a.link(&WANTED, &placed, &b), "it is there already");
        Ok(())
    }
}
