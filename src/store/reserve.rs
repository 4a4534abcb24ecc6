//! Space that is kept for undoing a change on a full disk.

use super::records::{PRIVATE, Store};
use crate::host::Batch;
use crate::tree::Entry;

/// Bytes to keep: for the journal and the units, once more.
const RESERVE_BYTES: usize = 1024 * 1024;
/// Files to keep, for file systems without free inodes: the journal, the state, the file that
/// replaces each, and units that only the previous release has.
const RESERVE_FILES: u64 = 8;

impl Store {
    /// Keeps space for undoing a change on a full disk. Without space it does nothing.
    pub fn reserve(&self) {
        let mut batch = Batch::new(&self.root);
        for (at, path) in self.reserve_files() {
            let len = if at == 0 { RESERVE_BYTES } else { 0 };
            if let Ok(None) = self.root.meta(&path) {
                let bytes = vec![0; len];
                let mode = PRIVATE;
                let _ = batch.prepare(&path, &Entry::File { mode, bytes });
            }
        }
        let _ = batch.end();
    }

    /// Releases the kept space when the disk is nearly full.
    pub fn release_reserve(&self) {
        let free = self.root.free_space(&self.dir);
        let is_low = |(bytes, files)| bytes < 2 * RESERVE_BYTES as u64 || files < 2 * RESERVE_FILES;
        if free.is_ok_and(is_low) {
            let mut batch = Batch::new(&self.root);
            for (_, path) in self.reserve_files() {
                let _ = batch.replace_or_remove(&path, None);
            }
            let _ = batch.end();
        }
    }

    /// The first file holds bytes, the others only an inode each.
    fn reserve_files(&self) -> impl Iterator<Item = (u64, String)> + '_ {
        let name = |at| match at {
            0 => self.path("reserve"),
            _ => self.path(&format!("reserve.{at}")),
        };
        (0..RESERVE_FILES).map(move |at| (at, name(at)))
    }
}
