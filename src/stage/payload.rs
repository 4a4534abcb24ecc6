//! What a release holds: names, kinds and digests; and what it may not hold.

use super::index;
use super::previous::PreviousIndex;
use crate::error::HintedError;
use crate::host::FileStat;
use crate::host::copy::{Content, InstalledStat, Wanted};
use std::path::Path;

/// What an item is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Kind {
    /// A directory, 0755.
    #[default]
    Dir,
    /// A file: 0755 when anyone may execute it, else 0644.
    File {
        /// Its content.
        hash: Content,
        /// Whether it is executable.
        exec: bool,
        /// Bytes.
        len: u64,
    },
    /// A symbolic link that stays inside.
    Link(String),
}

/// Where a file's content was seen, so that it need not be read again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// The file in the source; none when a change soon after might not show (git's "racy").
    pub source: Option<FileStat>,
    /// The file in the release.
    pub placed: Option<InstalledStat>,
}

/// One item, by its path relative to the release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Relative, `/`-separated.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Where it was seen; no part of what it is.
    pub traces: Fingerprints,
}

impl Item {
    /// An item that was seen nowhere yet.
    pub fn new(path: String, kind: Kind) -> Self {
        Self {
            path,
            kind,
            traces: Fingerprints::default(),
        }
    }

    /// The mode that it gets.
    pub fn mode(&self) -> u32 {
        match &self.kind {
            Kind::File { exec: false, .. } => 0o644,
            _ => 0o755,
        }
    }

    /// Bytes of a file.
    pub fn len(&self) -> u64 {
        match &self.kind {
            Kind::File { len, .. } => *len,
            _ => 0,
        }
    }

    /// Whether a file that was placed is another one now, by its bytes and the time of its last
    /// change in seconds since 1970.
    pub fn is_changed(&self, len: u64, modified: i64) -> bool {
        let placed = self
            .traces
            .placed
            .map(|placed| placed.mtime.div_euclid(1_000_000_000));
        let is_file = matches!(self.kind, Kind::File { .. });
        is_file && placed.is_some_and(|seconds| len != self.len() || modified != seconds)
    }

    /// Whether it is an empty file, or none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file that it must become.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            path: &self.path,
            mode: self.mode(),
            len: self.len(),
        }
    }
}

/// Bytes that are digested at a time: many at once are faster.
const DIGESTED: usize = 64 * 1024;

/// Everything that a release holds, sorted by path: parents come before their children.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// The items.
    pub items: Vec<Item>,
}

impl Payload {
    /// Whether a path of the release can be executed, as far as names tell: what lies behind a
    /// link is seen once the release is there.
    pub fn may_run(&self, path: &str) -> bool {
        let inside = |dir: &str| {
            path.strip_prefix(dir)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        self.items.iter().any(|item| match &item.kind {
            Kind::File { exec, .. } => *exec && item.path == path,
            Kind::Link(_) => item.path == path || inside(&item.path),
            Kind::Dir => false,
        })
    }

    /// Sorts items, which takes next to nothing when they are in order already.
    pub fn new(mut items: Vec<Item>) -> Self {
        items.sort_by(|a, b| a.path.cmp(&b.path));
        items.shrink_to_fit();
        Self { items }
    }

    /// The item at a path.
    pub fn get(&self, path: &str) -> Option<&Item> {
        let found = self
            .items
            .binary_search_by(|item| item.path.as_str().cmp(path));
        self.items.get(found.ok()?)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(Item::len).sum()
    }

    /// How many files and links there are.
    pub fn files(&self) -> usize {
        let items = self.items.iter();
        items.filter(|item| item.kind != Kind::Dir).count()
    }

    /// A digest over paths, kinds and content.
    pub fn digest(&self) -> blake3::Hash {
        self.digest_with(|item, out| {
            if let Kind::File { hash, .. } = &item.kind {
                out.extend_from_slice(&hash.0);
            }
        })
    }

    /// A digest over paths, kinds and the stamps of the source: as long as it is the same, so is
    /// the content. None when a file has no stamp.
    pub fn seen(&self) -> Option<blake3::Hash> {
        let mut whole = true;
        let digest = self.digest_with(|item, out| match (&item.kind, item.traces.source) {
            (Kind::File { len, .. }, Some(stamp)) => {
                let FileStat {
                    dev,
                    ino,
                    mtime,
                    ctime,
                } = stamp;
                for number in [*len, dev, ino, mtime.cast_unsigned(), ctime.cast_unsigned()] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            (Kind::File { .. }, None) => whole = false,
            (Kind::Dir | Kind::Link(_), _) => {}
        });
        whole.then_some(digest)
    }

    /// `add` says what makes up a file: always as many bytes.
    fn digest_with(&self, mut add: impl FnMut(&Item, &mut Vec<u8>)) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut part = Vec::with_capacity(2 * DIGESTED);
        for item in &self.items {
            // Neither a path nor a link's target holds a zero byte.
            part.extend_from_slice(item.path.as_bytes());
            part.extend_from_slice(match &item.kind {
                Kind::Dir => b"\0d",
                Kind::File { exec: false, .. } => b"\0f",
                Kind::File { exec: true, .. } => b"\0x",
                Kind::Link(_) => b"\0l",
            });
            match &item.kind {
                Kind::Link(target) => {
                    part.extend_from_slice(target.as_bytes());
                    part.push(0);
                }
                _ => add(item, &mut part),
            }
            if part.len() >= DIGESTED {
                hasher.update(&part);
                part.clear();
            }
        }
        hasher.update(&part).finalize()
    }

    /// The bytes that are kept beside a release's record.
    pub fn to_index(&self) -> Vec<u8> {
        index::write(self)
    }

    /// Reads [`Payload::to_index`]; none when it is of another format, which costs a copy.
    pub fn from_index(bytes: &[u8]) -> Option<Self> {
        index::read(bytes)
    }

    /// Takes over where the files of the release lie, from what was known of it.
    pub fn keep_stats_of(&mut self, known: &PreviousIndex) {
        for (at, item) in self.items.iter_mut().enumerate() {
            if known.kind(at).is_some() {
                item.traces.placed = known.placed(at);
            }
        }
    }
}

/// Refuses a name that cannot be written down on one line.
pub(super) fn plain_name(path: &Path) -> Result<String, HintedError> {
    let refuse = |what: &str| {
        HintedError::new(
            format!(
                "the source has a file name that {what}: `{}`",
                path.to_string_lossy().escape_debug()
            ),
            "rename it, or list it in `release.exclude`",
        )
    };
    let text = path.to_str().ok_or_else(|| refuse("is not UTF-8"))?;
    // Most names are ASCII, which is quickly seen.
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !plain && text.chars().any(char::is_control) {
        return Err(refuse("holds a control character"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{InstalledStat, Item, Kind, Payload};

    #[test]
    fn where_a_file_was_seen_is_no_part_of_the_content() {
        let item = Item::new("a".into(), Kind::Dir);
        let file = Kind::File {
            hash: blake3::hash(b"").into(),
            exec: false,
            len: 0,
        };
        let plain = Payload::new(vec![item.clone(), Item::new("b".into(), file)]);
        let mut seen = plain.clone();
        seen.items[1].traces.placed = Some(InstalledStat { ino: 1, mtime: 1 });
        assert_eq!(seen.digest(), plain.digest());
        assert_eq!(seen.items[1].kind, plain.items[1].kind);
    }

    #[test]
    fn every_change_of_the_content_shows_in_the_digest() {
        let file = |content: &str, exec| Kind::File {
            hash: blake3::hash(content.as_bytes()).into(),
            exec,
            len: 1,
        };
        let link = |target: &str| Kind::Link(target.into());
        let kinds = [
            file("a", false),
            file("a", true),
            file("b", false),
            Kind::Dir,
            link("a"),
            link("b"),
        ];
        let of = |path: &str, kind| Payload::new(vec![Item::new(path.into(), kind)]).digest();
        let mut digests: Vec<_> = kinds.map(|kind| of("p", kind)).to_vec();
        digests.push(of("q", Kind::Dir));
        digests.push(Payload::default().digest());
        let count = digests.len();
        digests.sort_by_key(|digest| *digest.as_bytes());
        digests.dedup();
        assert_eq!(digests.len(), count);
    }
}
