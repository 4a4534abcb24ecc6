//! What staging and the checks do to single files and directories.

use anyhow::{Context, Result};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Opens a user's file for reading, to stream it.
///
/// # Errors
/// The operating system's, with the path.
pub fn open_file(path: &Path) -> Result<File> {
    open_plain(path).with_context(|| format!("opening `{}`", path.display()))
}

/// Never through a link that took the file's place, and never a pipe that blocks.
fn open_plain(path: &Path) -> std::io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

/// The mode of a directory that everybody may read.
const PLAIN: u32 = 0o755;

/// New directories, all with mode 0755.
#[derive(Debug)]
pub struct PlainDirs {
    /// Whether mkdir(2) gives that mode: umask(2), a default ACL and a setgid bit, which change
    /// it, do so for one as for all.
    is_exact: bool,
}

impl PlainDirs {
    /// Makes the topmost.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn begin(top: &Path) -> Result<Self> {
        Self { is_exact: true }.make(top)?;
        let begin = || -> std::io::Result<Self> {
            let mode = fs::metadata(top)?.permissions().mode();
            fs::set_permissions(top, Permissions::from_mode(PLAIN))?;
            let is_exact = mode & 0o7777 == PLAIN;
            Ok(Self { is_exact })
        };
        begin().with_context(|| format!("making the directory `{}`", top.display()))
    }

    /// Makes one of which the parent is there.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn make(&self, path: &Path) -> Result<()> {
        let made = fs::DirBuilder::new().mode(PLAIN).create(path);
        let exact = made.and_then(|()| match self.is_exact {
            true => Ok(()),
            false => fs::set_permissions(path, Permissions::from_mode(PLAIN)),
        });
        exact.with_context(|| format!("making the directory `{}`", path.display()))
    }
}

/// Makes a symbolic link.
///
/// # Errors
/// The operating system's, with the path.
pub fn make_link(target: &str, path: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, path)
        .with_context(|| format!("making the link `{}`", path.display()))
}

/// Gives a tree to a user, links included and not followed.
///
/// # Errors
/// The operating system's, with the path.
pub fn give_to(path: &Path, uid: u32, gid: u32) -> Result<()> {
    for entry in walkdir::WalkDir::new(path) {
        let entry = entry.with_context(|| format!("listing `{}`", path.display()))?;
        std::os::unix::fs::lchown(entry.path(), Some(uid), Some(gid))
            .with_context(|| format!("giving `{}` away", entry.path().display()))?;
    }
    Ok(())
}

/// Whether a directory is at a path; links are followed, as in the two below.
pub fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

/// Whether a regular file is at a path.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether anything is at a path.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Device and inode of everything below a directory; files that other directories share as hard
/// links, and what cannot be seen, are left out.
pub fn own_inodes(dir: &Path) -> impl Iterator<Item = (u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = walkdir::WalkDir::new(dir).into_iter().flatten();
    entries.filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        let shared = meta.is_file() && meta.nlink() > 1;
        (!shared).then(|| (meta.dev(), meta.ino()))
    })
}

/// What lies at a path, the path, and a link's text or a file's permissions.
#[derive(Debug)]
pub enum WalkEntry {
    /// A directory.
    Dir(PathBuf),
    /// A regular file, with its permission bits.
    File(PathBuf, u32),
    /// A link, with its text.
    Link(PathBuf, PathBuf),
    /// Anything else.
    Special(PathBuf),
}

/// Everything at and below a path; links are not followed.
pub fn below(dir: &Path) -> impl Iterator<Item = Result<WalkEntry>> {
    walkdir::WalkDir::new(dir).into_iter().map(|entry| {
        let entry = entry.context("listing a directory")?;
        let kind = entry.file_type();
        let path = entry.path().to_owned();
        let context = || format!("looking at `{}`", path.display());
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

/// Sets a file's or directory's mode.
///
/// # Errors
/// The operating system's, with the path.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of `{}`", path.display()))
}

/// Puts a copy of a file in its place, with a mode: whoever has the old one open, or another
/// name of it, has no part in the new one.
///
/// # Errors
/// The operating system's, with the path.
pub fn renew(path: &Path, mode: u32) -> Result<()> {
    let copy = super::temp::temp_path(path);
    let renew = || -> std::io::Result<()> {
        fs::copy(path, &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(mode))?;
        let modified = fs::metadata(path)?.modified()?;
        File::options()
            .write(true)
            .open(&copy)?
            .set_modified(modified)?;
        fs::rename(&copy, path)
    };
    renew().with_context(|| format!("copying `{}`", path.display()))
}

/// Uid and gid of a system user, when there is one.
///
/// # Errors
/// When the user database cannot be read.
pub fn user_ids(name: &str) -> Result<Option<(u32, u32)>> {
    let user = nix::unistd::User::from_name(name)
        .with_context(|| format!("looking up the user `{name}`"))?;
    Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// What a user is called; its number when nobody is called so.
///
/// # Errors
/// When the user database cannot be read.
pub fn user_name(uid: u32) -> Result<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .with_context(|| format!("looking up the user {uid}"))?;
    Ok(user.map_or_else(|| uid.to_string(), |user| user.name))
}

/// Inodes of the sockets that listen on a TCP port of the host (proc_net(5)).
///
/// The host's network is that of its first process: in a sandbox, this one's may be another.
pub fn listening_inodes(port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let mut out = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        let text = fs::read_to_string(format!("/proc/1/{table}"))
            .or_else(|_| fs::read_to_string(format!("/proc/{table}")))
            .unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) =
                (words.get(1), words.get(3), words.get(9))
            else {
                continue;
            };
            let number = local
                .rsplit_once(':')
                .and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok());
            if number == Some(port) && *state == LISTEN {
                out.extend(inode.parse::<u64>());
            }
        }
    }
    out
}

/// A process that holds one of these sockets open.
pub fn socket_owner(inodes: &[u64]) -> Option<u32> {
    let names: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for pid in super::process::pids().ok()? {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for file in open.flatten() {
            let target = fs::read_link(file.path()).unwrap_or_default();
            if names.iter().any(|name| target.as_os_str() == name.as_str()) {
                return Some(pid);
            }
        }
    }
    None
}

/// Files below a directory that are not root's or that others may write; links are passed over.
///
/// # Errors
/// When the directory cannot be listed.
pub fn loose(dir: &Path) -> Result<Vec<PathBuf>> {
    use std::os::unix::fs::MetadataExt as _;
    let mut out = Vec::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.with_context(|| format!("listing `{}`", dir.display()))?;
        let meta = entry
            .metadata()
            .with_context(|| format!("looking at `{}`", dir.display()))?;
        if !meta.is_symlink() && (meta.mode() & 0o6022 != 0 || meta.uid() != 0) {
            out.push(entry.into_path());
        }
    }
    Ok(out)
}
