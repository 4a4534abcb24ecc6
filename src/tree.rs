//! Files on the host as values: which should exist, and how they change.
//!
//! | type | is |
//! |---|---|
//! | [`Entry`] | one file or link, with mode and content |
//! | [`FileTree`] | the files that should exist, by path |
//! | [`FileChange`] | a file before and after a change, as plans, records and the journal hold it |
//! | [`Stored`] | an [`Entry`] that can be written as JSON |
//!
//! A tree does not say how it gets onto a host: a deploy and a package install the same value.

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// The permission bits.
        mode: u32,
        /// The content.
        bytes: Vec<u8>,
    },
    /// A symbolic link, with its target.
    Symlink(String),
}

impl Entry {
    /// A file with mode 0644, such as a unit.
    pub fn file(text: impl Into<Vec<u8>>) -> Self {
        Self::File {
            mode: 0o644,
            bytes: text.into(),
        }
    }

    /// The content as text, for a diff. A link becomes `-> target`.
    pub fn text(&self) -> String {
        match self {
            Self::File { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            Self::Symlink(target) => format!("-> {target}\n"),
        }
    }
}

/// Files and links by their absolute path on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree {
    entries: BTreeMap<String, Entry>,
}

impl FileTree {
    /// Sets the entry at an absolute path.
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

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A digest over paths, kinds, modes and content.
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

/// An [`Entry`] in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stored {
    /// A file with UTF-8 content: the mode, and the content.
    Text(u32, String),
    /// Any other file: the mode, and the content in hexadecimal.
    Hex(u32, String),
    /// A symbolic link: the target.
    Link(String),
}

impl Stored {
    /// Converts an entry.
    pub fn new(entry: &Entry) -> Self {
        match entry {
            Entry::Symlink(target) => Self::Link(target.clone()),
            Entry::File { mode, bytes } => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(*mode, text.to_owned()),
                Err(_) => {
                    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
                    Self::Hex(*mode, digits.collect())
                }
            },
        }
    }

    /// Converts back.
    ///
    /// # Errors
    /// If the hexadecimal content is damaged.
    pub fn entry(&self) -> Result<Entry> {
        match self {
            Self::Link(target) => Ok(Entry::Symlink(target.clone())),
            Self::Text(mode, text) => Ok(Entry::File {
                mode: *mode,
                bytes: text.clone().into_bytes(),
            }),
            Self::Hex(mode, digits) => {
                if !digits.is_ascii() || digits.len() % 2 != 0 {
                    bail!("a record holds a damaged file");
                }
                let byte = |at: usize| {
                    let pair = digits.get(at..at + 2).unwrap_or_default();
                    u8::from_str_radix(pair, 16)
                };
                let bytes = (0..digits.len()).step_by(2).map(byte);
                let bytes: Result<Vec<u8>, _> = bytes.collect();
                Ok(Entry::File {
                    mode: *mode,
                    bytes: bytes.context("a record holds a damaged file")?,
                })
            }
        }
    }
}

/// One file or link that a change creates, replaces or removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// The absolute path on the host.
    pub path: String,
    /// The file before the change; `null` if it is created.
    pub before: Option<Stored>,
    /// The file after the change; `null` if it is removed.
    pub after: Option<Stored>,
}

#[cfg(test)]
mod tests {
    use super::{Entry, FileTree, Stored};

    #[test]
    fn the_digest_covers_path_kind_mode_and_content() {
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

    #[test]
    fn an_entry_is_the_same_after_it_was_stored() {
        let binary = Entry::File {
            mode: 0o755,
            bytes: vec![0, 0xff, 0x80],
        };
        for entry in [Entry::file("text\n"), Entry::Symlink("a".into()), binary] {
            let json = serde_json::to_string(&Stored::new(&entry)).unwrap();
            let stored: Stored = serde_json::from_str(&json).unwrap();
            assert_eq!(stored.entry().unwrap(), entry);
        }
        assert!(Stored::Hex(0o644, "0".into()).entry().is_err());
        assert!(Stored::Hex(0o644, "zz".into()).entry().is_err());
    }
}
