//! The progress of filling a release.

use crate::host::Flush;
use crate::payload::{Item, Payload};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes a hard link counts as. An entry of a directory and an inode are written, and the
/// file system's journal is committed while other links wait.
pub(super) const LINK_COST_BYTES: u64 = 64;

/// How many bytes a copy takes on disk in addition to its content: an inode and an entry of a
/// directory.
pub(super) const COPY_COST_BYTES: u64 = 4096;

/// Receives the progress of [`super::fill`], from any thread.
pub trait Progress: Sync {
    /// `bytes` more bytes are staged, and now `files` of `all` files.
    fn staged(&self, bytes: u64, files: usize, all: usize);
}

/// Counts staged files, for the progress and for the flush to disk.
pub(super) struct Counter<'a> {
    progress: &'a dyn Progress,
    flush: &'a Flush,
    all_files: usize,
    staged_files: AtomicUsize,
}

impl<'a> Counter<'a> {
    pub(super) fn new(progress: &'a dyn Progress, flush: &'a Flush, payload: &Payload) -> Self {
        let files = payload.items.iter().filter(|item| Item::is_file(item));
        let counter = Self {
            progress,
            flush,
            all_files: files.count(),
            staged_files: AtomicUsize::new(0),
        };
        counter.add(0, 0, 0);
        counter
    }

    /// Adds `files` staged files with `bytes` bytes of content. `written` is what is written to
    /// disk for them ([`LINK_COST_BYTES`], [`COPY_COST_BYTES`]).
    pub(super) fn add(&self, files: usize, bytes: u64, written: u64) {
        let staged = self.staged_files.fetch_add(files, Ordering::Relaxed) + files;
        self.progress.staged(bytes, staged, self.all_files);
        self.flush.wrote(written);
    }
}
