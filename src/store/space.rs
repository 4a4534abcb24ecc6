//! The space that a release takes on the file system of the releases and on that of its records.

use crate::app::Layout;
use crate::host::Root;
use anyhow::Result;

/// Bytes that stay free beside the releases, so that clean-up and rollback work.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Inodes that stay free there.
const RESERVE_INODES: u64 = 256;
/// Bytes of a file in the index of a release; most trees need less.
const INDEX_BYTES_PER_FILE: u64 = 128;
/// Bytes of the other files that a change writes to the store.
const RECORD_BYTES: u64 = 4 * 1024 * 1024;
/// Inodes of those files.
const RECORD_INODES: u64 = 16;

/// What must be free on the file system of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// A path on the file system.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

/// What a file system has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Bytes.
    Bytes {
        /// Free ones.
        free: u64,
        /// Needed ones.
        need: u64,
    },
    /// Inodes.
    Inodes {
        /// Free ones.
        free: u64,
        /// Needed ones.
        need: u64,
    },
}

impl Space {
    /// What a release of `files` files needs that takes `bytes` and `inodes` of the disk.
    pub fn of_release(layout: &Layout, files: usize, bytes: u64, inodes: u64) -> [Self; 2] {
        let files = u64::try_from(files).unwrap_or(u64::MAX);
        [
            Self {
                path: layout.releases(),
                bytes: bytes.saturating_add(RESERVE_BYTES),
                inodes: inodes.saturating_add(RESERVE_INODES),
            },
            Self {
                path: layout.store(),
                bytes: files
                    .saturating_mul(INDEX_BYTES_PER_FILE)
                    .saturating_add(RECORD_BYTES),
                inodes: RECORD_INODES,
            },
        ]
    }

    /// What the file system has too little of; `None` when there is enough.
    ///
    /// # Errors
    /// When its free space cannot be read.
    pub fn shortage(&self, root: &Root) -> Result<Option<Shortage>> {
        let (bytes, inodes) = root.free_space(&self.path)?;
        Ok(if bytes < self.bytes {
            Some(Shortage::Bytes {
                free: bytes,
                need: self.bytes,
            })
        } else if inodes < self.inodes {
            Some(Shortage::Inodes {
                free: inodes,
                need: self.inodes,
            })
        } else {
            None
        })
    }
}
