//! Writing a new tree to the disk, from the time when its first files are there.
//!
//! A disk that waits until the last file is copied has nothing to do meanwhile, and the copying
//! nothing to do afterwards.

use super::parallel::processors;
use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes after which what is there is written.
const SYNC_BYTES: u64 = 2 * 1024 * 1024;

/// Writes the file system that holds a tree to the disk. It is opened before the first file is
/// made: what cannot be written then shows here, whoever else hears of it first (syncfs(2)).
#[derive(Debug)]
pub struct Flush {
    dir: File,
    path: PathBuf,
    /// Bytes that were made known.
    written: AtomicU64,
    early: Option<Early>,
}

/// The thread that writes early.
#[derive(Debug)]
struct Early {
    wake: SyncSender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Flush {
    /// Opens the file system that holds `path`; with one processor, nothing is written early.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn begin(path: &Path) -> Result<Self> {
        let open = || -> std::io::Result<Self> {
            let dir = File::open(path)?;
            let early = match processors() {
                1 => None,
                // Where the system has no thread more, all is written at the end.
                _ => Early::begin(dir.try_clone()?).ok(),
            };
            Ok(Self {
                dir,
                path: path.to_owned(),
                written: AtomicU64::new(0),
                early,
            })
        };
        open().with_context(|| format!("opening `{}`", path.display()))
    }

    /// Makes known that something was written, and how many bytes the disk takes for it.
    pub fn wrote(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / SYNC_BYTES != (before + bytes) / SYNC_BYTES {
            self.request_sync();
        }
    }

    /// Begins to write what is there now.
    pub fn request_sync(&self) {
        if let Some(early) = &self.early {
            // When it is woken already, or has failed, there is nothing to add.
            let _ = early.wake.try_send(());
        }
    }

    /// Returns once everything is on the disk ([`super::Batch::end_with`]).
    ///
    /// # Errors
    /// What could not be written, now or early.
    pub(super) fn end(&mut self) -> Result<()> {
        let early = self.early.take();
        early
            .map_or(Ok(()), Early::end)
            .and_then(|()| sync(&self.dir))
            .with_context(|| format!("syncing the file system of `{}`", self.path.display()))
    }

    /// Whether a file lies on the file system that is written.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let device = |meta: std::io::Result<std::fs::Metadata>| meta.map(|meta| meta.dev()).ok();
        let ours = device(self.dir.metadata());
        ours.is_some() && ours == device(std::fs::symlink_metadata(path))
    }
}

impl Early {
    fn begin(dir: File) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let work = move || woken.iter().try_for_each(|()| sync(&dir));
        let thread = std::thread::Builder::new().spawn(work)?;
        Ok(Self { wake, thread })
    }

    fn end(self) -> std::io::Result<()> {
        drop(self.wake);
        let died = || std::io::Error::other("the thread that writes died");
        self.thread.join().unwrap_or_else(|_| Err(died()))
    }
}

fn sync(dir: &File) -> std::io::Result<()> {
    loop {
        match nix::unistd::syncfs(dir) {
            Err(nix::errno::Errno::EINTR) => {}
            ended => return Ok(ended?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flush, SYNC_BYTES};
    use anyhow::Result;

    #[test]
    fn it_ends_whether_or_not_anything_was_written() -> Result<()> {
        let dir = tempfile::tempdir()?;
        for count in [0, 1, 3] {
            let mut flush = Flush::begin(dir.path())?;
            std::fs::write(dir.path().join("f"), "x")?;
            (0..count).for_each(|_| flush.wrote(SYNC_BYTES));
            flush.request_sync();
            flush.end()?;
            flush.end()?;
        }
        drop(Flush::begin(dir.path())?);
        assert!(Flush::begin(&dir.path().join("absent")).is_err());
        Ok(())
    }
}
