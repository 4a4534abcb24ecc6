//! What staging does to file content: hash, link, clone, copy, normalise.

use anyhow::{Context, Result, bail};
use std::fs::{self, File, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const BUFFER: usize = 256 * 1024;

/// The BLAKE3 digest of a file's content.
///
/// # Errors
/// The operating system's, with the path.
pub fn hash_file(path: &Path) -> Result<blake3::Hash> {
    let hash = || -> std::io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(open_plain(path)?)?;
        Ok(hasher.finalize())
    };
    hash().with_context(|| format!("reading `{}`", path.display()))
}

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

/// Copies a file's content to a new file with `mode`: a clone where the file system can
/// (`FICLONE`, ioctl_ficlone(2)), else byte for byte. The digest of what was copied must be
/// `expected`: a source that changes meanwhile is refused.
///
/// # Errors
/// The operating system's, with the path, or that the file changed.
pub fn copy_file(from: &Path, to: &Path, mode: u32, expected: &blake3::Hash) -> Result<()> {
    let context = || format!("copying `{}` to `{}`", from.display(), to.display());
    let source = open_plain(from).with_context(context)?;
    let target = create_new(to, mode).with_context(context)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        if hash_file(to)? == *expected {
            return Ok(());
        }
    } else if copy_and_hash(source, target).with_context(context)? == *expected {
        return Ok(());
    }
    bail!("`{}` changed while it was copied", from.display())
}

/// Writes a stream to a new file with `mode` and gives the digest of its bytes.
///
/// # Errors
/// The operating system's, with the path.
pub fn write_stream(from: impl Read, to: &Path, mode: u32) -> Result<blake3::Hash> {
    let context = || format!("writing `{}`", to.display());
    let target = create_new(to, mode).with_context(context)?;
    copy_and_hash(from, target).with_context(context)
}

fn create_new(path: &Path, mode: u32) -> std::io::Result<File> {
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

fn copy_and_hash(mut from: impl Read, mut to: File) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = buffer.get(..count).unwrap_or_default();
        hasher.update(part);
        to.write_all(part)?;
    }
}

/// Makes a second name for a file; false when the file system refuses (another one, or too many
/// links), so that the caller copies.
pub fn link_file(from: &Path, to: &Path) -> bool {
    fs::hard_link(from, to).is_ok()
}

/// Makes one directory with mode 0755.
///
/// # Errors
/// The operating system's, with the path.
pub fn make_plain_dir(path: &Path) -> Result<()> {
    let make = || -> std::io::Result<()> {
        fs::create_dir(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))
    };
    make().with_context(|| format!("making the directory `{}`", path.display()))
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

/// Sets a file's or directory's mode.
///
/// # Errors
/// The operating system's, with the path.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of `{}`", path.display()))
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
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(open) = fs::read_dir(entry.path().join("fd")) else {
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
pub fn loose(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
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
