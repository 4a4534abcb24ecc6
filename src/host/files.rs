//! Single files and directories by their real paths, outside any [`Root`](super::root::Root).

use super::protect::UNSAFE;
use super::real_path::{bytes_of, open_without_links, text_of};
use super::root::absent;
use crate::parallel::par_map;
use anyhow::{Context, Result};
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

/// Reads a text file of the user, by its path as typed. A pipe or a device is refused, and so is more than 1 MiB.
///
/// # Errors
/// The operating system's, without the path: the caller names it.
pub fn read_user_file(path: &Path) -> std::io::Result<String> {
    text_of(open_user_file(path)?)
}

/// The same for a file that need not be text.
///
/// # Errors
/// The operating system's, without the path: the caller names it.
pub fn read_user_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    bytes_of(open_user_file(path)?)
}

fn open_user_file(path: &Path) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(flags).open(path)
}

/// Opens a file of the user, by its real path, to read it in parts. No link is followed, and a pipe does not
/// block.
///
/// # Errors
/// The operating system's, with the path.
pub fn open_file(path: &Path) -> Result<File> {
    open_without_links(path).with_context(|| format!("opening `{}`", path.display()))
}

/// How many bytes of two files are compared at once.
const COMPARED_BYTES: usize = 16 * 1024;

/// The mode of a directory that every user may read.
const PLAIN_MODE: u32 = 0o755;

/// Creates directories with mode 0755.
#[derive(Debug)]
pub struct PlainDirs {
    /// Whether mkdir(2) sets exactly that mode. umask(2), a default ACL or a setgid bit change it, and
    /// they change it for all directories alike.
    is_exact: bool,
}

impl PlainDirs {
    /// Creates the topmost directory.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn begin(top: &Path) -> Result<Self> {
        Self { is_exact: true }.make(top)?;
        let begin = || -> std::io::Result<Self> {
            let mode = fs::metadata(top)?.permissions().mode();
            fs::set_permissions(top, Permissions::from_mode(PLAIN_MODE))?;
            let is_exact = mode & 0o7777 == PLAIN_MODE;
            Ok(Self { is_exact })
        };
        begin().with_context(|| format!("creating the directory `{}`", top.display()))
    }

    /// Creates a directory whose parent exists.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn make(&self, path: &Path) -> Result<()> {
        let made = fs::DirBuilder::new().mode(PLAIN_MODE).create(path);
        let exact = made.and_then(|()| {
            if self.is_exact {
                Ok(())
            } else {
                fs::set_permissions(path, Permissions::from_mode(PLAIN_MODE))
            }
        });
        exact.with_context(|| format!("creating the directory `{}`", path.display()))
    }
}

/// Creates a symbolic link.
///
/// # Errors
/// The operating system's, with the path.
pub fn make_link(target: &str, path: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, path)
        .with_context(|| format!("creating the link `{}`", path.display()))
}

/// Changes the owner of a tree. Links are changed and not followed.
///
/// # Errors
/// The operating system's, with the path.
pub fn chown_tree(path: &Path, uid: u32, gid: u32) -> Result<()> {
    for entry in walkdir::WalkDir::new(path) {
        let entry = entry.with_context(|| format!("listing `{}`", path.display()))?;
        std::os::unix::fs::lchown(entry.path(), Some(uid), Some(gid))
            .with_context(|| format!("changing the owner of `{}`", entry.path().display()))?;
    }
    Ok(())
}

/// Whether a path is a directory. Links are followed, as in the two functions below.
pub fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

/// Whether a path is a regular file.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether something is at a path. A link is not followed, so that one to nothing counts.
pub fn is_present(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether a path exists.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Device and inode of everything below a directory, except for files that other directories share
/// as hard links and entries that cannot be read.
pub fn own_inodes(dir: &Path) -> impl Iterator<Item = (u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = walkdir::WalkDir::new(dir).into_iter().flatten();
    entries.filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        let shared = meta.is_file() && meta.nlink() > 1;
        (!shared).then(|| (meta.dev(), meta.ino()))
    })
}

/// An entry of a tree, with its path.
#[derive(Debug)]
pub enum WalkEntry {
    /// A directory.
    Dir(PathBuf),
    /// A regular file, with its permission bits.
    File(PathBuf, u32),
    /// A link, with its target.
    Link(PathBuf, PathBuf),
    /// Anything else.
    Special(PathBuf),
}

/// Every entry at and below a path. Links are not followed.
pub fn below(dir: &Path) -> impl Iterator<Item = Result<WalkEntry>> {
    walkdir::WalkDir::new(dir).into_iter().map(|entry| {
        let entry = entry.context("listing a directory")?;
        let kind = entry.file_type();
        let path = entry.path().to_owned();
        let context = || format!("reading the metadata of `{}`", path.display());
        Ok(if kind.is_symlink() {
            let target = fs::read_link(&path).with_context(context)?;
            WalkEntry::Link(path, target)
        } else if kind.is_dir() {
            WalkEntry::Dir(path)
        } else if kind.is_file() {
            let mode = entry.metadata().with_context(context)?.permissions().mode();
            WalkEntry::File(path, mode)
        } else {
            WalkEntry::Special(path)
        })
    })
}

/// The size of a file in bytes. A link is not followed.
///
/// # Errors
/// The operating system's, with the path.
pub fn len(path: &Path) -> Result<u64> {
    let meta = fs::symlink_metadata(path);
    let meta = meta.with_context(|| format!("reading the metadata of `{}`", path.display()))?;
    Ok(meta.len())
}

/// The permission bits of what is at a path; `None` when nothing is there. A link is not followed.
///
/// # Errors
/// The operating system's, with the path.
pub fn mode(path: &Path) -> Result<Option<u32>> {
    let meta = absent(fs::symlink_metadata(path))
        .with_context(|| format!("reading the metadata of `{}`", path.display()))?;
    Ok(meta.map(|meta| meta.mode() & 0o7777))
}

/// The BLAKE3 hashes of files, read on all processors; `None` for a path at which no regular file is.
///
/// # Errors
/// The operating system's, with the path.
pub fn hashes(paths: &[PathBuf]) -> Result<Vec<Option<blake3::Hash>>> {
    let jobs: Vec<(usize, &PathBuf)> = paths.iter().enumerate().collect();
    let hash = |(at, path): &(usize, &PathBuf), out: &mut Vec<(usize, blake3::Hash)>| {
        let context = || format!("reading `{}`", path.display());
        let meta = absent(fs::symlink_metadata(path)).with_context(context)?;
        if meta.is_some_and(|meta| meta.is_file()) {
            let mut hasher = blake3::Hasher::new();
            hasher
                .update_reader(open_file(path)?)
                .with_context(context)?;
            out.push((*at, hasher.finalize()));
        }
        Ok(())
    };
    let mut out = vec![None; paths.len()];
    for (at, hash) in par_map(&jobs, Vec::new, hash)?.into_iter().flatten() {
        if let Some(place) = out.get_mut(at) {
            *place = Some(hash);
        }
    }
    Ok(out)
}

/// Whether two files have the same content. Two names of one file have.
///
/// # Errors
/// The operating system's, with the path.
pub fn have_same_content(one: &Path, other: &Path) -> Result<bool> {
    let open = |path: &Path| -> Result<(File, fs::Metadata)> {
        let file = open_file(path)?;
        let meta = file.metadata();
        let meta = meta.with_context(|| format!("reading `{}`", path.display()))?;
        Ok((file, meta))
    };
    let ((mut one, mine), (mut other, theirs)) = (open(one)?, open(other)?);
    if (mine.dev(), mine.ino()) == (theirs.dev(), theirs.ino()) {
        return Ok(true);
    }
    let (mut left, mut part, mut same) = (mine.len(), [0; COMPARED_BYTES], [0; COMPARED_BYTES]);
    if left != theirs.len() {
        return Ok(false);
    }
    while left > 0 {
        let count = usize::try_from(left).map_or(COMPARED_BYTES, |left| left.min(COMPARED_BYTES));
        let (Some(part), Some(same)) = (part.get_mut(..count), same.get_mut(..count)) else {
            break;
        };
        one.read_exact(part).context("comparing files")?;
        other.read_exact(same).context("comparing files")?;
        if part != same {
            return Ok(false);
        }
        left = left.saturating_sub(count as u64);
    }
    Ok(true)
}

/// Sets the mode of a file or directory.
///
/// # Errors
/// The operating system's, with the path.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of `{}`", path.display()))
}

/// Sets when a file, a link or a directory was last changed and read, in seconds since 1970.
///
/// # Errors
/// The operating system's, with the path.
pub fn set_times(path: &Path, seconds: i64) -> Result<()> {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let set = rustix::fs::utimensat(
        rustix::fs::CWD,
        path,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    );
    set.with_context(|| format!("setting the time of `{}`", path.display()))
}

/// Moves a file to another directory, which may be on another file system.
///
/// # Errors
/// The operating system's, with the path.
pub fn move_file(from: &Path, to: &Path) -> Result<()> {
    let copy = super::temp::temp_path(to);
    let moved = fs::copy(from, &copy).and_then(|_| fs::rename(&copy, to));
    if moved.is_err() {
        let _ = fs::remove_file(&copy);
    }
    moved.with_context(|| format!("writing `{}`", to.display()))
}

/// The first bytes of a file.
///
/// # Errors
/// The operating system's, with the path.
pub fn head(path: &Path, bytes: u64) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes).read_to_end(&mut head));
    read.with_context(|| format!("reading `{}`", path.display()))?;
    Ok(head)
}

/// Replaces a file with a copy of itself, with this mode. A process that has the old file open, or
/// another name of it, cannot change the copy.
///
/// # Errors
/// The operating system's, with the path.
pub fn replace_with_copy(path: &Path, mode: u32) -> Result<()> {
    let copy = super::temp::temp_path(path);
    let replace = || -> std::io::Result<()> {
        fs::copy(path, &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(mode))?;
        let modified = fs::metadata(path)?.modified()?;
        File::options()
            .write(true)
            .open(&copy)?
            .set_modified(modified)?;
        fs::rename(&copy, path)
    };
    replace().with_context(|| format!("copying `{}`", path.display()))
}

/// Files below a directory that do not belong to root or that others may write. Links are skipped.
///
/// # Errors
/// When the directory cannot be listed.
pub fn writable_by_others(dir: &Path) -> Result<Vec<PathBuf>> {
    use std::os::unix::fs::MetadataExt as _;
    let mut out = Vec::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.with_context(|| format!("listing `{}`", dir.display()))?;
        let meta = entry
            .metadata()
            .with_context(|| format!("reading the metadata of `{}`", dir.display()))?;
        if !meta.is_symlink() && (meta.mode() & UNSAFE != 0 || meta.uid() != 0) {
            out.push(entry.into_path());
        }
    }
    Ok(out)
}
