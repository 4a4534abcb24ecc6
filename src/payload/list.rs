//! All items of a release, in order.

use super::item::{Item, Kind};
use super::stat::FileStat;

/// How many bytes are passed to the hasher at once. Large parts are hashed faster.
const HASH_PART_BYTES: usize = 64 * 1024;

/// Everything that a release holds, sorted by path. Parents come before their children.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// The items.
    pub items: Vec<Item>,
}

impl Payload {
    /// Sorts the items. This is cheap if they are in order already.
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

    /// Whether the path may be executable. A link counts as executable: its target can only be
    /// checked once the release is on disk.
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

    /// The size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(Item::len).sum()
    }

    /// The number of files and links.
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

    /// A digest over paths, kinds and the state of each source file. While it stays the same, so
    /// does the content. `None` if a file has no [`FileStat`].
    pub fn source_digest(&self) -> Option<blake3::Hash> {
        let mut is_complete = true;
        let digest = self.digest_with(|item, out| match (&item.kind, item.fingerprints.source) {
            (Kind::File { len, .. }, Some(stat)) => {
                let FileStat {
                    dev,
                    ino,
                    mtime,
                    ctime,
                } = stat;
                for number in [*len, dev, ino, mtime.cast_unsigned(), ctime.cast_unsigned()] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            (Kind::File { .. }, None) => is_complete = false,
            (Kind::Dir | Kind::Link(_), _) => {}
        });
        is_complete.then_some(digest)
    }

    /// `add` appends what identifies a file. It must append the same number of bytes for each file.
    fn digest_with(&self, mut add: impl FnMut(&Item, &mut Vec<u8>)) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut part = Vec::with_capacity(2 * HASH_PART_BYTES);
        for item in &self.items {
            // Neither a path nor a link's target contains a zero byte.
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
            if part.len() >= HASH_PART_BYTES {
                hasher.update(&part);
                part.clear();
            }
        }
        hasher.update(&part).finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Kind, Payload};
    use crate::payload::InstalledStat;

    #[test]
    fn fingerprints_are_not_part_of_the_digest() {
        let item = Item::new("a".into(), Kind::Dir);
        let file = Kind::File {
            hash: blake3::hash(b"").into(),
            exec: false,
            len: 0,
        };
        let plain = Payload::new(vec![item.clone(), Item::new("b".into(), file)]);
        let mut installed = plain.clone();
        installed.items[1].fingerprints.installed = Some(InstalledStat { ino: 1, mtime: 1 });
        assert_eq!(installed.digest(), plain.digest());
        assert_eq!(installed.items[1].kind, plain.items[1].kind);
    }

    #[test]
    fn every_change_of_the_content_changes_the_digest() {
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
