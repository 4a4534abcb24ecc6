//! The value that flows: which files should exist, each with kind, mode and bytes.
//!
//! A tree says nothing about how it gets anywhere. The installer and the package builder are
//! two sinks of the same value.

use std::collections::BTreeMap;

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// Content.
        bytes: Vec<u8>,
    },
    /// A symbolic link, with its text.
    Symlink(String),
}

impl Entry {
    /// A world-readable file, as units are.
    pub fn file(text: impl Into<Vec<u8>>) -> Self {
        Self::File {
            mode: 0o644,
            bytes: text.into(),
        }
    }

    /// The content as text for a diff: a link shows as `-> text`.
    pub fn text(&self) -> String {
        match self {
            Self::File { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            Self::Symlink(target) => format!("-> {target}\n"),
        }
    }
}

/// Files by their absolute path on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree {
    entries: BTreeMap<String, Entry>,
}

impl FileTree {
    /// Puts an entry at an absolute path; the last one wins.
    pub fn insert(&mut self, path: impl Into<String>, entry: Entry) {
        self.entries.insert(path.into(), entry);
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// All paths in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A digest over paths, kinds, modes and content, in order.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (path, entry) in &self.entries {
            let (kind, mode, bytes): (&str, u32, &[u8]) = match entry {
                Entry::File { mode, bytes } => ("file", *mode, bytes),
                Entry::Symlink(target) => ("link", 0, target.as_bytes()),
            };
            for part in [path.as_bytes(), kind.as_bytes(), bytes] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            hasher.update(&mode.to_le_bytes());
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, FileTree};

    #[test]
    fn the_digest_sees_path_kind_mode_and_bytes() {
        let of = |path: &str, entry: Entry| {
            let mut tree = FileTree::default();
            tree.insert(path, entry);
            tree.digest()
        };
        let base = of("/a", Entry::file("x"));
        assert_eq!(base, of("/a", Entry::file("x")));
        for other in [
            of("/b", Entry::file("x")),
            of("/a", Entry::file("y")),
            of("/a", Entry::Symlink("x".into())),
            of(
                "/a",
                Entry::File {
                    mode: 0o600,
                    bytes: b"x".to_vec(),
                },
            ),
        ] {
            assert_ne!(base, other);
        }
    }
}
