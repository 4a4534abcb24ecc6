//! Writing a new directory tree to disk while it is still being filled.
//!
//! Writing begins with the first files, so that copying and writing overlap. [`super::batch`] ends a
//! flush, so it is part of `host`.

use crate::parallel::processors;
use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A sync is requested each time that this many more bytes have been written.
const SYNC_INTERVAL_BYTES: u64 = 2 * 1024 * 1024;

/// Writes the file system of a directory tree to disk.
///
/// It is opened before the first file is created. Thus a write error shows here even if another
/// process has seen it already (syncfs(2)).
#[derive(Debug)]
pub struct Flush {
    dir: File,
    path: PathBuf,
    /// The bytes that [`Self::wrote`] has counted.
    written: AtomicU64,
    background: Option<BackgroundSync>,
}

/// The thread that writes before the end.
#[derive(Debug)]
struct BackgroundSync {
    wake: SyncSender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Flush {
    /// Opens the file system of `path`. On one processor, nothing is written before the end.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn begin(path: &Path) -> Result<Self> {
        let open = || -> std::io::Result<Self> {
            let dir = File::open(path)?;
            let background = match processors() {
                1 => None,
                // If no thread can be started, everything is written at the end.
                _ => BackgroundSync::begin(dir.try_clone()?).ok(),
            };
            Ok(Self {
                dir,
                path: path.to_owned(),
                written: AtomicU64::new(0),
                background,
            })
        };
        open().with_context(|| format!("opening `{}`", path.display()))
    }

    /// Counts bytes that were written, and requests a sync now and then.
    pub fn wrote(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / SYNC_INTERVAL_BYTES != (before + bytes) / SYNC_INTERVAL_BYTES {
            self.request_sync();
        }
    }

    /// Starts to write what is there now.
    pub fn request_sync(&self) {
        if let Some(background) = &self.background {
            // This fails if a sync is requested already or has failed; neither needs another one.
            let _ = background.wake.try_send(());
        }
    }

    /// Returns when everything is on disk.
    ///
    /// # Errors
    /// The first write error, now or in the background.
    pub(super) fn end(&mut self) -> Result<()> {
        let background = self.background.take();
        background
            .map_or(Ok(()), BackgroundSync::end)
            .and_then(|()| sync(&self.dir))
            .with_context(|| format!("syncing the file system of `{}`", self.path.display()))
    }

    /// Whether a file is on the file system that is written.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let device = |meta: std::io::Result<std::fs::Metadata>| meta.map(|meta| meta.dev()).ok();
        let ours = device(self.dir.metadata());
        ours.is_some() && ours == device(std::fs::symlink_metadata(path))
    }
}

impl BackgroundSync {
    fn begin(dir: File) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let work = move || woken.iter().try_for_each(|()| sync(&dir));
        let thread = std::thread::Builder::new().spawn(work)?;
        Ok(Self { wake, thread })
    }

    fn end(self) -> std::io::Result<()> {
        drop(self.wake);
        let panicked = || std::io::Error::other("the thread that writes panicked");
        self.thread.join().unwrap_or_else(|_| Err(panicked()))
    }
}

fn sync(dir: &File) -> std::io::Result<()> {
    loop {
        match nix::unistd::syncfs(dir) {
            Err(nix::errno::Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flush, SYNC_INTERVAL_BYTES};
    use anyhow::Result;

    #[test]
    fn a_flush_ends_with_or_without_writes() -> Result<()> {
        let dir = tempfile::tempdir()?;
        for count in [0, 1, 3] {
            let mut flush = Flush::begin(dir.path())?;
            std::fs::write(dir.path().join("f"), "x")?;
            (0..count).for_each(|_| flush.wrote(SYNC_INTERVAL_BYTES));
            flush.request_sync();
            flush.end()?;
            flush.end()?;
        }
        drop(Flush::begin(dir.path())?);
        assert!(Flush::begin(&dir.path().join("absent")).is_err());
        Ok(())
    }
}
