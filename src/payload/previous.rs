//! The index of an earlier release, compared with a new payload.

use super::index::{IndexReader, utf8};
use super::item::Kind;
use super::list::Payload;
use super::stat::InstalledStat;
use std::cmp::Ordering::{Equal, Less};

/// What an earlier release has at the paths of a new payload. The index is compared item by item
/// and never held in memory as a whole.
#[derive(Debug, Default)]
pub struct PreviousIndex {
    /// What the earlier release has at the path of each item of the payload.
    entries: Vec<Option<PreviousEntry>>,
    /// Files and links whose path the payload does not have, in order.
    removed: Vec<String>,
    /// Directories whose path the payload does not have, in order.
    removed_dirs: Vec<String>,
}

#[derive(Debug)]
struct PreviousEntry {
    kind: Kind,
    installed: Option<InstalledStat>,
    /// Whether the source file is still in the state in which it was read.
    is_source_unchanged: bool,
}

impl PreviousIndex {
    /// Reads the index of the earlier release; `None` if it is not of this format. Without it, a
    /// deploy copies files that it could have shared.
    pub fn read(index: &[u8], new: &Payload) -> Option<Self> {
        let mut reader = IndexReader::new(index)?;
        let mut items = new.items.iter().peekable();
        let mut entries = Vec::with_capacity(new.items.len());
        let (mut removed, mut removed_dirs) = (Vec::new(), Vec::new());
        while !reader.is_at_end() {
            let (kind, fingerprints) = reader.next_item()?;
            let path = reader.path();
            let same_path = loop {
                match items.peek().map(|item| item.path.as_bytes().cmp(path)) {
                    Some(Less) => drop(items.next()),
                    Some(Equal) => break items.next(),
                    _ => break None,
                }
                entries.push(None);
            };
            match same_path {
                Some(item) => {
                    let source = fingerprints.source;
                    entries.push(Some(PreviousEntry {
                        is_source_unchanged: source.is_some() && source == item.fingerprints.source,
                        installed: fingerprints.installed,
                        kind,
                    }));
                }
                None if kind == Kind::Dir => removed_dirs.push(utf8(path)?),
                None => removed.push(utf8(path)?),
            }
        }
        entries.resize_with(new.items.len(), || None);
        Some(Self {
            entries,
            removed,
            removed_dirs,
        })
    }

    fn entry(&self, at: usize) -> Option<&PreviousEntry> {
        self.entries.get(at)?.as_ref()
    }

    /// What the earlier release has at the path of item `at` of the payload.
    pub fn kind(&self, at: usize) -> Option<&Kind> {
        self.entry(at).map(|entry| &entry.kind)
    }

    /// The installed file at the path of item `at` of the payload.
    pub fn installed(&self, at: usize) -> Option<InstalledStat> {
        self.entry(at)?.installed
    }

    /// As [`Self::kind`], if the source file has not changed since the earlier release read it.
    pub fn kind_if_source_unchanged(&self, at: usize) -> Option<&Kind> {
        let entry = self.entry(at).filter(|entry| entry.is_source_unchanged);
        entry.map(|entry| &entry.kind)
    }

    /// Files and links whose path the payload does not have, in order.
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    /// Directories whose path the payload does not have, in order.
    pub fn removed_dirs(&self) -> &[String] {
        &self.removed_dirs
    }
}

#[cfg(test)]
mod tests {
    use super::PreviousIndex;
    use crate::payload::{FileStat, InstalledStat, Item, Kind, Payload, index};

    fn file(path: &str, content: &str, ctime: i64) -> Item {
        let kind = Kind::File {
            hash: blake3::hash(content.as_bytes()).into(),
            exec: false,
            len: 1,
        };
        let mut item = Item::new(path.into(), kind);
        item.fingerprints.source = Some(FileStat {
            ctime,
            ..FileStat::default()
        });
        item
    }

    fn installed(mut item: Item, ino: u64) -> Item {
        item.fingerprints.installed = Some(InstalledStat { ino, mtime: 0 });
        item
    }

    fn dir(path: &str) -> Item {
        Item::new(path.into(), Kind::Dir)
    }

    #[test]
    fn an_earlier_release_is_compared_with_a_new_payload() {
        let old = Payload::new(vec![
            dir("b"),
            installed(file("b/removed", "x", 1), 5),
            dir("c"),
            installed(file("c/same", "x", 1), 6),
            installed(file("c/touched", "x", 1), 7),
            Item::new("z".into(), Kind::Link("c".into())),
        ]);
        let new = Payload::new(vec![
            dir("a"),
            dir("c"),
            file("c/new", "x", 1),
            file("c/same", "x", 1),
            file("c/touched", "x", 2),
        ]);
        let previous = PreviousIndex::read(&index::encode(&old), &new).unwrap();
        assert_eq!(previous.removed(), ["b/removed", "z"]);
        assert_eq!(previous.removed_dirs(), ["b"]);
        let at = |at: usize| {
            let ino = previous.installed(at).map(|installed| installed.ino);
            (
                previous.kind(at).is_some(),
                ino,
                previous.kind_if_source_unchanged(at).is_some(),
            )
        };
        let expected = [
            (false, None, false),
            (true, None, false),
            (false, None, false),
            (true, Some(6), true),
            (true, Some(7), false),
            // The payload has no such item.
            (false, None, false),
        ];
        assert_eq!([0, 1, 2, 3, 4, 5].map(at), expected);
        assert_eq!(previous.kind(4), Some(&new.items[4].kind));
    }

    #[test]
    fn a_truncated_index_is_not_accepted() {
        let payload = Payload::new(vec![dir("a"), file("a/b", "x", 1), dir("c")]);
        let bytes = index::encode(&payload);
        assert!(PreviousIndex::read(&bytes, &payload).is_some());
        assert!(PreviousIndex::read(&bytes[..bytes.len() - 1], &payload).is_none());
        assert!(PreviousIndex::read(b"", &payload).is_none());
        // The last item a second time: the paths must increase.
        let twice = [&bytes[..], &bytes[bytes.len() - 4..]].concat();
        assert!(PreviousIndex::read(&twice, &payload).is_none());
    }
}
