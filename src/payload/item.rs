//! One directory, file or link of a release.

use super::stat::{ContentHash, Fingerprints};

/// What an item is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Kind {
    /// A directory, mode 0755.
    #[default]
    Dir,
    /// A regular file, mode 0755 if it is executable, else 0644.
    File {
        /// The hash of its content.
        hash: ContentHash,
        /// Whether it is executable.
        exec: bool,
        /// The size in bytes.
        len: u64,
    },
    /// A symbolic link, with its target.
    Link(String),
}

/// One item of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The path relative to the release, separated by `/`.
    pub path: String,
    /// What the item is.
    pub kind: Kind,
    /// Where a file was read and written. Not part of the item's content.
    pub fingerprints: Fingerprints,
}

impl Item {
    /// An item without fingerprints.
    pub fn new(path: String, kind: Kind) -> Self {
        Self {
            path,
            kind,
            fingerprints: Fingerprints::default(),
        }
    }

    /// The mode that the item has in a release.
    pub fn mode(&self) -> u32 {
        match &self.kind {
            Kind::File { exec: false, .. } => 0o644,
            _ => 0o755,
        }
    }

    /// The size of a file in bytes; 0 for anything else.
    pub fn len(&self) -> u64 {
        match &self.kind {
            Kind::File { len, .. } => *len,
            _ => 0,
        }
    }

    /// Whether the item has no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the item is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    /// Whether the item is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// Whether an installed file was changed since it was installed. `len` is its size in bytes now
    /// and `modified` its mtime in seconds since 1970.
    pub fn is_changed(&self, len: u64, modified: i64) -> bool {
        let installed = self.fingerprints.installed;
        let seconds = installed.map(|installed| installed.mtime.div_euclid(1_000_000_000));
        self.is_file() && seconds.is_some_and(|seconds| len != self.len() || modified != seconds)
    }
}
