//! Walking a source directory on all processors, without following links.

use super::open::open_beneath;
use super::sparse::may_be_sparse;
use super::stat::file_stat;
use crate::host::open_without_links;
use crate::parallel::par_run;
use crate::payload::FileStat;
use crate::stage::checks::source_changed;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, readlinkat, statat};
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

/// What is at a path.
#[derive(Debug)]
pub(crate) enum WalkedEntry {
    /// A directory.
    Dir {
        /// All permission bits.
        mode: u32,
    },
    /// A regular file.
    File {
        /// All permission bits.
        mode: u32,
        /// The size in bytes.
        len: u64,
        /// Whether it may have holes that count.
        may_be_sparse: bool,
        /// Its state.
        stat: FileStat,
    },
    /// A symbolic link, with its target. The target need not be UTF-8.
    Link(PathBuf),
    /// A socket or a pipe.
    Pipe,
    /// A device.
    Device,
}

/// Directories that still have to be read.
struct Queue {
    dirs: Vec<PathBuf>,
    /// How many threads are reading a directory and may add more.
    busy: usize,
    failure: Option<anyhow::Error>,
}

/// Returns everything below `dir` as values that `make` creates, sorted by their paths.
///
/// `keep` gets a relative path, and whether it is a directory; what it refuses is skipped. `path`
/// returns the path of a value.
///
/// # Errors
/// The operating system's, with the path; or those of `make`.
pub(crate) fn walk<T: Default + Send>(
    dir: &Path,
    keep: impl Fn(&Path, bool) -> bool + Sync,
    make: impl Fn(&Path, WalkedEntry) -> Result<T> + Sync,
    path: impl Fn(&T) -> &str,
) -> Result<Vec<T>> {
    let root = open_without_links(dir).with_context(|| format!("reading `{}`", dir.display()))?;
    let queue = Mutex::new(Queue {
        dirs: vec![PathBuf::new()],
        busy: 0,
        failure: None,
    });
    let changed = Condvar::new();
    let found = Mutex::new(Vec::new());
    par_run(|| {
        let (mut own, mut runs, mut below) = (Vec::new(), Vec::new(), Vec::new());
        let mut scratch = Scratch::new();
        let mut done = None;
        while let Some(next) = next(&queue, &changed, &mut below, done.take()) {
            let begin = own.len();
            let mut refused = None;
            let mut visit = |path: &Path, entry: WalkedEntry| -> Result<()> {
                if matches!(entry, WalkedEntry::Dir { .. }) {
                    below.push(path.to_owned());
                }
                match make(path, entry) {
                    Ok(item) => own.push(item),
                    Err(error) => {
                        refused = Some(error);
                        anyhow::bail!("refused");
                    }
                }
                Ok(())
            };
            let listed = list(&root, &next, &mut scratch, &keep, &mut visit)
                .with_context(|| format!("reading `{}`", dir.join(&next).display()));
            let mut from = begin;
            for cut in scratch.cuts().into_iter().map(|cut| begin + cut) {
                runs.push(from..cut);
                from = cut;
            }
            runs.push(from..own.len());
            // An error of `make` needs no context: reading did not fail.
            done = Some(refused.map_or(listed, Err));
        }
        if let Ok(mut found) = found.lock() {
            found.push((own, runs));
        }
    });
    match queue.into_inner() {
        Ok(Queue { failure: None, .. }) => Ok(merged(found.into_inner().unwrap_or_default(), path)),
        Ok(Queue {
            failure: Some(error),
            ..
        }) => Err(error),
        Err(_) => anyhow::bail!("reading `{}`: a thread panicked", dir.display()),
    }
}

/// What a thread found, and the ranges of it that are runs: no other thread found anything between
/// the first and the last path of a run.
type Runs<T> = (Vec<T>, Vec<Range<usize>>);

/// Merges the runs of all threads in the order of their paths.
fn merged<T: Default>(mut threads: Vec<Runs<T>>, path: impl Fn(&T) -> &str) -> Vec<T> {
    let mut order = Vec::new();
    for (thread, (own, runs)) in threads.iter().enumerate() {
        for run in runs {
            if let Some(first) = own.get(run.clone()).and_then(<[T]>::first) {
                order.push((path(first), thread, run.clone()));
            }
        }
    }
    order.sort_unstable_by_key(|(first, ..)| *first);
    let order = order.into_iter().map(|(_, thread, run)| (thread, run));
    let order: Vec<_> = order.collect();
    let mut all = Vec::with_capacity(threads.iter().map(|(own, _)| own.len()).sum());
    for (thread, run) in order {
        let own = threads.get_mut(thread);
        if let Some(run) = own.and_then(|(own, _)| own.get_mut(run)) {
            all.extend(run.iter_mut().map(std::mem::take));
        }
    }
    all
}

/// The names in one directory, with buffers that are used again for the next one.
struct Scratch {
    buffer: Vec<u8>,
    /// All names, each with its terminating zero byte.
    names: Vec<u8>,
    entries: Vec<(Range<usize>, FileType)>,
}

impl Scratch {
    fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(32 * 1024),
            names: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Reads the names that `keep` accepts, and sorts them.
    fn read(&mut self, dir: &File, mut keep: impl FnMut(&CStr, bool) -> bool) -> Result<()> {
        self.names.clear();
        self.entries.clear();
        let mut entries = RawDir::new(dir.as_fd(), self.buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                kind = FileType::from_raw_mode(stat.st_mode);
            }
            if keep(name, kind == FileType::Directory) {
                let begin = self.names.len();
                self.names.extend_from_slice(name.to_bytes_with_nul());
                self.entries.push((begin..self.names.len(), kind));
            }
        }
        let names = &self.names;
        // The terminating zero byte sorts before every other byte.
        self.entries
            .sort_unstable_by_key(|(at, _)| names.get(at.clone()));
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = (&CStr, FileType)> {
        let name = |at: &Range<usize>| CStr::from_bytes_with_nul(self.names.get(at.clone())?).ok();
        let entries = self.entries.iter();
        entries.filter_map(move |(at, kind)| Some((name(at)?, *kind)))
    }

    /// Where runs end: the content of a directory may sort between two names, as in `a`, `a-b`,
    /// `a/c`, `a0`.
    fn cuts(&self) -> Vec<usize> {
        let dirs = self
            .entries()
            .filter(|(_, kind)| *kind == FileType::Directory);
        let cut = |(dir, _): (&CStr, FileType)| {
            let before = |(at, _): &(Range<usize>, FileType)| {
                let name = self.names.get(at.clone()).unwrap_or_default();
                name.iter().lt(dir.to_bytes().iter().chain(b"/"))
            };
            self.entries.partition_point(before)
        };
        let mut cuts: Vec<usize> = dirs.map(cut).collect();
        cuts.sort_unstable();
        cuts
    }
}

/// Adds the directories that were found in the last one, and takes the next. Waits while other
/// threads may find more; `None` at the end.
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

/// Calls `visit` for each entry of a directory, in the order of the names.
fn list(
    root: &File,
    relative: &Path,
    scratch: &mut Scratch,
    keep: &impl Fn(&Path, bool) -> bool,
    visit: &mut impl FnMut(&Path, WalkedEntry) -> Result<()>,
) -> Result<()> {
    let dir = if relative.as_os_str().is_empty() {
        root.try_clone()?
    } else {
        open_beneath(root, relative, OFlags::RDONLY | OFlags::DIRECTORY)?
    };
    let mut path = PathBuffer::in_dir(relative);
    scratch.read(&dir, |name, is_dir| keep(path.with(name), is_dir))?;
    for (name, kind) in scratch.entries() {
        let path = path.with(name);
        let entry = match kind {
            FileType::Directory => {
                let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                WalkedEntry::Dir {
                    mode: stat.st_mode & 0o7777,
                }
            }
            FileType::Symlink => {
                let target = readlinkat(&dir, name, Vec::new())?;
                WalkedEntry::Link(OsString::from_vec(target.into_bytes()).into())
            }
            FileType::RegularFile => {
                let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    let message = format!("`{}` changed while it was read", path.display());
                    return Err(source_changed(message).into());
                }
                let len = u64::try_from(stat.st_size).unwrap_or_default();
                let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
                WalkedEntry::File {
                    mode: stat.st_mode & 0o7777,
                    len,
                    may_be_sparse: may_be_sparse(len, blocks),
                    stat: file_stat(&stat),
                }
            }
            FileType::Fifo | FileType::Socket => WalkedEntry::Pipe,
            _ => WalkedEntry::Device,
        };
        visit(path, entry)?;
    }
    Ok(())
}

/// Builds the paths of one directory in one buffer.
struct PathBuffer {
    bytes: Vec<u8>,
    dir_len: usize,
}

impl PathBuffer {
    fn in_dir(dir: &Path) -> Self {
        let mut bytes = dir.as_os_str().as_bytes().to_owned();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        let dir_len = bytes.len();
        Self { bytes, dir_len }
    }

    fn with(&mut self, name: &CStr) -> &Path {
        self.bytes.truncate(self.dir_len);
        self.bytes.extend_from_slice(name.to_bytes());
        Path::new(OsStr::from_bytes(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{WalkedEntry, walk};
    use anyhow::Result;
    use std::path::Path;

    fn names(dir: &Path) -> Result<Vec<String>> {
        let keep = |path: &Path, is_dir: bool| !(is_dir && path.ends_with("skip"));
        let make = |path: &Path, entry: WalkedEntry| {
            let kind = match entry {
                WalkedEntry::Dir { .. } => "d".to_owned(),
                WalkedEntry::File { len, .. } => len.to_string(),
                WalkedEntry::Link(target) => format!("-> {}", target.display()),
                WalkedEntry::Pipe | WalkedEntry::Device => anyhow::bail!("special"),
            };
            Ok(format!("{} {kind}", path.display()))
        };
        walk(dir, keep, make, |name: &String| name)
    }

    #[test]
    fn links_are_not_followed_and_skipped_directories_are_not_read() -> Result<()> {
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
    fn entries_are_sorted_by_path() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let dirs = [
            "a", "a!", "a!/b", "a-b", "a.b", "a/a", "a/a-", "a0", "b/c/d", "é",
        ];
        let dirs = dirs.map(|below| dir.path().join(below));
        dirs.iter().try_for_each(std::fs::create_dir_all)?;
        for below in &dirs {
            for name in ["!", "a.", "a.c", "a0", "b", "ab", "z"] {
                // This fails where a directory has the name.
                let _ = std::fs::write(below.join(name), "");
            }
        }
        let make = |path: &Path, _: WalkedEntry| Ok(path.display().to_string());
        let paths = walk(dir.path(), |_, _| true, make, |path: &String| path)?;
        assert!(paths.is_sorted(), "{paths:#?}");
        assert!(paths.len() > 70, "{}", paths.len());
        Ok(())
    }

    #[test]
    fn all_of_many_directories_are_found() -> Result<()> {
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
