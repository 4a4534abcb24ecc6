//! Opening files below a directory that another user owns.

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A directory, and what is below it.
#[derive(Debug)]
pub(super) struct OpenDir {
    pub(super) fd: OwnedFd,
}

impl OpenDir {
    /// A directory by its path.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = open(path, flags, Mode::empty()).ok()?;
        Some(Self { fd })
    }

    /// A directory below this one.
    pub(super) fn enter(&self, path: &str) -> Option<Self> {
        let fd = self.open_below(path, OFlags::DIRECTORY).ok()?;
        Some(Self { fd })
    }

    /// What is at a path below the directory. No link is followed, and nothing is waited for.
    pub(super) fn open_below(
        &self,
        path: impl rustix::path::Arg,
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let mut flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if !flags.contains(OFlags::PATH) {
            flags |= OFlags::NONBLOCK | OFlags::NOCTTY; // A FIFO or a terminal may be there.
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.fd, path, flags, Mode::empty(), resolve)
    }

    /// A regular file below the directory, with its size.
    pub(super) fn file(&self, path: impl rustix::path::Arg) -> Option<(File, u64)> {
        let file = self.open_below(path, OFlags::RDONLY).ok()?;
        let stat = fstat(&file).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let size = u64::try_from(stat.st_size).ok()?;
        is_file.then(|| (File::from(file), size))
    }
}

/// The content of a file of at most `max` bytes, and when it was written, in seconds and nanoseconds.
pub(super) fn read_below(dir: &OpenDir, path: &str, max: u64) -> Option<(Vec<u8>, (i64, i64))> {
    let (file, size) = dir.file(path)?;
    if size > max {
        return None;
    }
    let stat = fstat(&file).ok()?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).ok()?;
    let written = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).ok()?);
    Some((bytes, written))
}
