//! Files that a service may write. They may be pipes, endless or replaced at any time.

use super::root::{Root, absent};
use anyhow::{Context as _, Result};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a regular file to read it; `None` when something else is there. It never waits, also for a pipe that no
/// process writes to (fifo(7)), and checks the file that it has opened.
///
/// # Errors
/// The operating system's.
pub(super) fn open_regular(path: &Path) -> std::io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = File::options();
    options.read(true).custom_flags(flags.bits().cast_signed());
    match options.open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Ok(None),
        // A socket, or a device without a driver (open(2)).
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Root {
    /// The first bytes of a regular file, at most `max_bytes`; `None` when there is none.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn read_small(&self, path: &str, max_bytes: u64) -> Result<Option<Vec<u8>>> {
        let real = self.followed(path);
        let context = || format!("reading `{}`", real.display());
        let Some(file) = absent(open_regular(&real)).with_context(context)?.flatten() else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let mut beginning = file.take(max_bytes);
        beginning.read_to_end(&mut bytes).with_context(context)?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Root;
    use nix::sys::stat::Mode;
    use std::fs::{File, write};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_pipe_is_not_waited_for_and_of_a_large_file_the_beginning_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let path = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        write(path("file"), "home = /usr/bin").unwrap();
        let large = File::create(path("large")).unwrap();
        large.set_len(1 << 40).unwrap();
        for name in ["/pipe", "/socket", "/", "/absent", "/file/x"] {
            assert_eq!(root.read_small(name, 9).unwrap(), None, "{name}");
        }
        assert_eq!(root.read_small("/file", 4).unwrap().unwrap(), b"home");
        assert_eq!(root.read_small("/large", 9).unwrap().unwrap(), [0; 9]);
    }
}
