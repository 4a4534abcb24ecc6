//! Walking a directory of the user's, on every processor, without following a link.

use super::files::open_beneath;
use super::on_every_processor;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, Stat, readlinkat, statat};
use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

/// What changes whenever a file's content may have changed (as git's index has it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Last change of the content, in nanoseconds since 1970.
    pub mtime: i64,
    /// Last change of the inode, likewise; no program can set it.
    pub ctime: i64,
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: u64| {
            let rest = i64::try_from(rest).unwrap_or_default();
            seconds.saturating_mul(1_000_000_000).saturating_add(rest)
        };
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// What lies at a path.
#[derive(Debug)]
pub enum Found {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// All permission bits.
        mode: u32,
        /// Bytes.
        len: u64,
        /// Its state.
        stamp: Stamp,
    },
    /// A symbolic link, with its text, whatever bytes that is.
    Link(PathBuf),
    /// A socket or pipe.
    Pipe,
    /// A device.
    Device,
}

struct Queue {
    dirs: Vec<PathBuf>,
    busy: usize,
    failure: Option<anyhow::Error>,
}

/// Everything below `dir` that `keep` (a relative path, and whether it is a directory) lets
/// through, as `make` makes it: one run a thread, each in `order`.
///
/// # Errors
/// The operating system's, with the path, or those of `make`.
pub fn walk<T: Send>(
    dir: &Path,
    keep: impl Fn(&Path, bool) -> bool + Sync,
    make: impl Fn(&Path, Found) -> Result<T> + Sync,
    order: impl Fn(&T, &T) -> Ordering + Sync,
) -> Result<Vec<T>> {
    let root = File::open(dir).with_context(|| format!("reading `{}`", dir.display()))?;
    let queue = Mutex::new(Queue {
        dirs: vec![PathBuf::new()],
        busy: 0,
        failure: None,
    });
    let changed = Condvar::new();
    let found = Mutex::new(Vec::new());
    on_every_processor(|| {
        let (mut own, mut below) = (Vec::new(), Vec::new());
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut done = None;
        while let Some(next) = next(&queue, &changed, &mut below, done.take()) {
            let mut refused = None;
            let mut each = |path: &Path, found: Found| -> Result<()> {
                if matches!(found, Found::Dir) {
                    below.push(path.to_owned());
                }
                match make(path, found) {
                    Ok(item) => own.push(item),
                    Err(error) => {
                        refused = Some(error);
                        anyhow::bail!("refused");
                    }
                }
                Ok(())
            };
            let listed = list(&root, &next, &mut buffer, &keep, &mut each)
                .with_context(|| format!("reading `{}`", dir.join(&next).display()));
            // What `make` says is a whole sentence, and no failure to read.
            done = Some(refused.map_or(listed, Err));
        }
        own.sort_unstable_by(&order);
        if let Ok(mut found) = found.lock() {
            match found.is_empty() {
                true => *found = own,
                false => found.append(&mut own),
            }
        }
    });
    match queue.into_inner() {
        Ok(Queue { failure: None, .. }) => Ok(found.into_inner().unwrap_or_default()),
        Ok(Queue {
            failure: Some(error),
            ..
        }) => Err(error),
        Err(_) => anyhow::bail!("reading `{}`: a thread died", dir.display()),
    }
}

/// Hands in what a directory held, and takes the next one; waits while others may find more.
fn next(
    queue: &Mutex<Queue>,
    changed: &Condvar,
    below: &mut Vec<PathBuf>,
    done: Option<Result<()>>,
) -> Option<PathBuf> {
    let mut queue = queue.lock().ok()?;
    if let Some(done) = done {
        queue.busy -= 1;
        queue.dirs.append(below);
        if let Err(error) = done {
            queue.failure.get_or_insert(error);
        }
        changed.notify_all();
    }
    loop {
        if queue.failure.is_some() {
            return None;
        }
        if let Some(dir) = queue.dirs.pop() {
            queue.busy += 1;
            return Some(dir);
        }
        if queue.busy == 0 {
            return None;
        }
        queue = changed.wait(queue).ok()?;
    }
}

fn list(
    root: &File,
    relative: &Path,
    buffer: &mut Vec<u8>,
    keep: &impl Fn(&Path, bool) -> bool,
    each: &mut impl FnMut(&Path, Found) -> Result<()>,
) -> Result<()> {
    let dir = match relative.as_os_str().is_empty() {
        true => root.try_clone()?,
        false => open_beneath(root, relative, OFlags::RDONLY | OFlags::DIRECTORY)?,
    };
    let mut entries = RawDir::new(dir.as_fd(), buffer.spare_capacity_mut());
    let mut path = PathBuf::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        path.clear();
        path.push(relative);
        path.push(OsStr::from_bytes(name.to_bytes()));
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            kind = FileType::from_raw_mode(stat.st_mode);
        }
        if !keep(&path, kind == FileType::Directory) {
            continue;
        }
        let found = match kind {
            FileType::Directory => Found::Dir,
            FileType::Symlink => {
                let target = readlinkat(&dir, name, Vec::new())?;
                Found::Link(OsString::from_vec(target.into_bytes()).into())
            }
            FileType::RegularFile => {
                let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    anyhow::bail!(
                        "`{}` changed while it was read\n\n\
                         hint: stop what writes there, or build to another directory, then deploy again",
                        path.display()
                    );
                }
                Found::File {
                    mode: stat.st_mode & 0o7777,
                    len: u64::try_from(stat.st_size).unwrap_or_default(),
                    stamp: Stamp::of(&stat),
                }
            }
            FileType::Fifo | FileType::Socket => Found::Pipe,
            _ => Found::Device,
        };
        each(&path, found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Found, walk};
    use anyhow::Result;
    use std::path::Path;

    fn names(dir: &Path) -> Result<Vec<String>> {
        let keep = |path: &Path, is_dir: bool| !(is_dir && path.ends_with("skip"));
        let make = |path: &Path, found: Found| {
            let kind = match found {
                Found::Dir => "d".to_owned(),
                Found::File { len, .. } => len.to_string(),
                Found::Link(target) => format!("-> {}", target.display()),
                Found::Pipe | Found::Device => anyhow::bail!("special"),
            };
            Ok(format!("{} {kind}", path.display()))
        };
        let mut names = walk(dir, keep, make, Ord::cmp)?;
        names.sort();
        Ok(names)
    }

    #[test]
    fn links_are_not_followed_and_what_is_skipped_is_not_entered() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("a/b"))?;
        std::fs::create_dir_all(at("a/skip/c"))?;
        std::fs::write(at("a/b/f"), "xyz")?;
        std::os::unix::fs::symlink("a", at("l"))?;
        assert_eq!(names(dir.path())?, ["a d", "a/b d", "a/b/f 3", "l -> a"]);
        nix::unistd::mkfifo(&at("a/p"), nix::sys::stat::Mode::S_IRUSR)?;
        let error = names(dir.path()).unwrap_err();
        assert!(format!("{error:#}").ends_with("special"));
        Ok(())
    }

    #[test]
    fn many_directories_are_all_found() -> Result<()> {
        let dir = tempfile::tempdir()?;
        for at in 0..300 {
            let below = dir.path().join(format!("{}/{at}", at % 7));
            std::fs::create_dir_all(&below)?;
            std::fs::write(below.join("f"), "")?;
        }
        assert_eq!(names(dir.path())?.len(), 7 + 300 + 300);
        Ok(())
    }
}
