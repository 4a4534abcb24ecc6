//! Walking a directory of the user's, on every processor, without following a link.

use super::files::open_beneath;
use super::par_run;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, Stat, readlinkat, statat};
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

/// What changes whenever a file's content may have changed (as git's index has it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileStat {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Last change of the content, in nanoseconds since 1970.
    pub mtime: i64,
    /// Last change of the inode, likewise; no program can set it.
    pub ctime: i64,
}

impl FileStat {
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
pub enum WalkedEntry {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// All permission bits.
        mode: u32,
        /// Bytes.
        len: u64,
        /// Its state.
        stamp: FileStat,
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
/// through, as `make` makes it, in the order of the paths, which `path` gives.
///
/// # Errors
/// The operating system's, with the path, or those of `make`.
pub fn walk<T: Default + Send>(
    dir: &Path,
    keep: impl Fn(&Path, bool) -> bool + Sync,
    make: impl Fn(&Path, WalkedEntry) -> Result<T> + Sync,
    path: impl Fn(&T) -> &str,
) -> Result<Vec<T>> {
    let root = File::open(dir).with_context(|| format!("reading `{}`", dir.display()))?;
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
            let mut par_map = |path: &Path, found: WalkedEntry| -> Result<()> {
                if matches!(found, WalkedEntry::Dir) {
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
            let listed = list(&root, &next, &mut scratch, &keep, &mut par_map)
                .with_context(|| format!("reading `{}`", dir.join(&next).display()));
            let mut from = begin;
            for cut in scratch.cuts().into_iter().map(|cut| begin + cut) {
                runs.push(from..cut);
                from = cut;
            }
            runs.push(from..own.len());
            // What `make` says is a whole sentence, and no failure to read.
            done = Some(refused.map_or(listed, Err));
        }
        if let Ok(mut found) = found.lock() {
            found.push((own, runs));
        }
    });
    match queue.into_inner() {
        Ok(Queue { failure: None, .. }) => Ok(joined(found.into_inner().unwrap_or_default(), path)),
        Ok(Queue {
            failure: Some(error),
            ..
        }) => Err(error),
        Err(_) => anyhow::bail!("reading `{}`: a thread died", dir.display()),
    }
}

/// What each thread found, and which runs of it belong together.
type Runs<T> = (Vec<T>, Vec<Range<usize>>);

/// Puts whole runs in order: nothing comes between the first and the last of one.
fn joined<T: Default>(mut threads: Vec<Runs<T>>, path: impl Fn(&T) -> &str) -> Vec<T> {
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

/// The names in one directory, and where they are read to.
struct Scratch {
    buffer: Vec<u8>,
    /// One after the other, each with the zero byte at its end.
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

    /// Reads the names that `keep` lets through, and sorts them.
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
        // The zero byte comes before every other.
        self.entries
            .sort_unstable_by_key(|(at, _)| names.get(at.clone()));
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = (&CStr, FileType)> {
        let name = |at: &Range<usize>| CStr::from_bytes_with_nul(self.names.get(at.clone())?).ok();
        let entries = self.entries.iter();
        entries.filter_map(move |(at, kind)| Some((name(at)?, *kind)))
    }

    /// Before which names the content of a directory comes: `a`, `a-b`, `a/c`, `a0`.
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

/// Calls `par_map` for what a directory holds, in the order of the names.
fn list(
    root: &File,
    relative: &Path,
    scratch: &mut Scratch,
    keep: &impl Fn(&Path, bool) -> bool,
    par_map: &mut impl FnMut(&Path, WalkedEntry) -> Result<()>,
) -> Result<()> {
    let dir = match relative.as_os_str().is_empty() {
        true => root.try_clone()?,
        false => open_beneath(root, relative, OFlags::RDONLY | OFlags::DIRECTORY)?,
    };
    let mut path = Growing::below(relative);
    scratch.read(&dir, |name, is_dir| keep(path.with(name), is_dir))?;
    for (name, kind) in scratch.entries() {
        let path = path.with(name);
        let found = match kind {
            FileType::Directory => WalkedEntry::Dir,
            FileType::Symlink => {
                let target = readlinkat(&dir, name, Vec::new())?;
                WalkedEntry::Link(OsString::from_vec(target.into_bytes()).into())
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
                WalkedEntry::File {
                    mode: stat.st_mode & 0o7777,
                    len: u64::try_from(stat.st_size).unwrap_or_default(),
                    stamp: FileStat::of(&stat),
                }
            }
            FileType::Fifo | FileType::Socket => WalkedEntry::Pipe,
            _ => WalkedEntry::Device,
        };
        par_map(path, found)?;
    }
    Ok(())
}

/// Paths in one directory, one at a time.
struct Growing {
    bytes: Vec<u8>,
    dir: usize,
}

impl Growing {
    fn below(dir: &Path) -> Self {
        let mut bytes = dir.as_os_str().as_bytes().to_owned();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        let dir = bytes.len();
        Self { bytes, dir }
    }

    fn with(&mut self, name: &CStr) -> &Path {
        self.bytes.truncate(self.dir);
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
        let make = |path: &Path, found: WalkedEntry| {
            let kind = match found {
                WalkedEntry::Dir => "d".to_owned(),
                WalkedEntry::File { len, .. } => len.to_string(),
                WalkedEntry::Link(target) => format!("-> {}", target.display()),
                WalkedEntry::Pipe | WalkedEntry::Device => anyhow::bail!("special"),
            };
            Ok(format!("{} {kind}", path.display()))
        };
        walk(dir, keep, make, |name: &String| name)
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
    fn all_is_in_the_order_of_the_paths() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let dirs = [
            "a", "a!", "a!/b", "a-b", "a.b", "a/a", "a/a-", "a0", "b/c/d", "é",
        ];
        let dirs = dirs.map(|below| dir.path().join(below));
        dirs.iter().try_for_each(std::fs::create_dir_all)?;
        for below in &dirs {
            for name in ["!", "a.", "a.c", "a0", "b", "ab", "z"] {
                // Where a directory has the name, it keeps it.
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
