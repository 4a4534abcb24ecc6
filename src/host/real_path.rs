//! Files and directories of a user whom root does not trust: links must not lead root to other files.

use super::environment::working_directory;
use super::resolve::lexically_absolute;
use anyhow::{Context as _, Result};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The absolute path, in which `..` is resolved in the text.
///
/// # Errors
/// When the working directory was removed.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    Ok(lexically_absolute(&working_directory()?, path))
}

/// The absolute path without links.
///
/// # Errors
/// The operating system's, with the path; also when nothing is there.
pub fn real_path(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("resolving `{}`", path.display()))
}

/// Opens a file or directory to read it. No link is followed, neither at the path nor on the way.
///
/// # Errors
/// The operating system's, without the path; see [`is_link_error`].
pub fn open_without_links(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let open = || openat2(CWD, path, flags, Mode::empty(), resolve);
    match rustix::io::retry_on_intr(open) {
        // A kernel before 5.6, or a container that does not know the call. Another process may still
        // put a link there between the two steps.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            if fs::canonicalize(path)? != path {
                return Err(rustix::io::Errno::LOOP.into());
            }
            File::open(path)
        }
        other => Ok(File::from(other?)),
    }
}

/// Whether a file was not opened because of a link.
pub fn is_link_error(error: &Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Reads a text file of the user. No link is followed.
///
/// # Errors
/// The operating system's, without the path; see [`is_link_error`].
pub fn read_user_file_without_links(path: &Path) -> std::io::Result<String> {
    let path = absolute(path).map_err(Error::other)?;
    text_of(open_without_links(&path)?)
}

/// The most bytes of a file of the user.
const MAX_BYTES: u64 = 1024 * 1024;

/// The text of an open file of the user.
pub(super) fn text_of(file: File) -> std::io::Result<String> {
    String::from_utf8(bytes_of(file)?).map_err(|_| ErrorKind::InvalidData.into())
}

/// The bytes of an open file of the user. A pipe or a device could block for ever or never end.
pub(super) fn bytes_of(file: File) -> std::io::Result<Vec<u8>> {
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(ErrorKind::Unsupported.into());
    }
    let mut bytes = Vec::new();
    let mut first = file.take(MAX_BYTES + 1);
    first.read_to_end(&mut bytes)?;
    if first.limit() == 0 {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{is_link_error, open_without_links, read_user_file_without_links, real_path};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_text_file_that_could_block_or_never_end_is_refused() {
        use crate::host::read_user_file;
        use std::io::ErrorKind::{FileTooLarge, Unsupported};
        let dir = tempfile::tempdir().unwrap();
        let base = real_path(dir.path()).unwrap();
        let pipe = base.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let large = base.join("large");
        std::fs::write(&large, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        for read in [read_user_file, read_user_file_without_links] {
            assert_eq!(read(&pipe).unwrap_err().kind(), Unsupported);
            assert_eq!(read(&large).unwrap_err().kind(), FileTooLarge);
        }
        assert_eq!(
            read_user_file("/dev/zero".as_ref()).unwrap_err().kind(),
            Unsupported
        );
    }

    #[test]
    fn a_link_is_refused_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let base = real_path(dir.path()).unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::fs::write(base.join("real/file"), "text").unwrap();
        symlink("real", base.join("dir")).unwrap();
        symlink("file", base.join("real/link")).unwrap();
        assert_eq!(
            read_user_file_without_links(&base.join("real/file")).unwrap(),
            "text"
        );
        for path in ["dir/file", "real/link", "dir"] {
            let error = open_without_links(&base.join(path)).unwrap_err();
            assert!(is_link_error(&error), "{path}: {error}");
        }
        assert!(read_user_file_without_links(&base.join("real")).is_err());
    }
}
