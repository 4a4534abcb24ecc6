//! What a release that was staged before has at the paths of a new payload.

use super::index::{Entries, text};
use super::payload::{Kind, Payload};
use crate::host::copy::InstalledStat;
use std::cmp::Ordering::{Equal, Less};

/// The index of a release, held against a payload item by item: as a whole, it is never in memory.
#[derive(Debug, Default)]
pub struct PreviousIndex {
    /// For each item of the payload, what lies at its path.
    there: Vec<Option<PreviousEntry>>,
    /// Files and links of which the payload has not even the path, in order.
    gone: Vec<String>,
}

#[derive(Debug)]
struct PreviousEntry {
    kind: Kind,
    placed: Option<InstalledStat>,
    /// Whether the file in the source has not been touched since.
    untouched: bool,
}

impl PreviousIndex {
    /// Reads [`Payload::to_index`] of the older release; none when it is of another format, which
    /// costs a copy.
    pub fn read(index: &[u8], new: &Payload) -> Option<Self> {
        let mut entries = Entries::of(index)?;
        let mut items = new.items.iter().peekable();
        let mut there = Vec::with_capacity(new.items.len());
        let mut gone = Vec::new();
        while !entries.is_over() {
            let (kind, traces) = entries.next()?;
            let path = entries.path();
            let same = loop {
                match items.peek().map(|item| item.path.as_bytes().cmp(path)) {
                    Some(Less) => drop(items.next()),
                    Some(Equal) => break items.next(),
                    _ => break None,
                }
                there.push(None);
            };
            match same {
                Some(item) => there.push(Some(PreviousEntry {
                    untouched: traces.source.is_some() && traces.source == item.traces.source,
                    placed: traces.placed,
                    kind,
                })),
                None if kind == Kind::Dir => {}
                None => gone.push(text(path)?),
            }
        }
        there.resize_with(new.items.len(), || None);
        Some(Self { there, gone })
    }

    fn at(&self, at: usize) -> Option<&PreviousEntry> {
        self.there.get(at)?.as_ref()
    }

    /// What lies at the path of the item at `at`.
    pub fn kind(&self, at: usize) -> Option<&Kind> {
        self.at(at).map(|there| &there.kind)
    }

    /// Where the file at that path lies.
    pub(super) fn placed(&self, at: usize) -> Option<InstalledStat> {
        self.at(at)?.placed
    }

    /// What was at that path, when nobody has touched the file in the source since.
    pub(super) fn untouched(&self, at: usize) -> Option<&Kind> {
        let there = self.at(at).filter(|there| there.untouched);
        there.map(|there| &there.kind)
    }

    /// Files and links of which the payload has not even the path, in order.
    pub fn gone(&self) -> &[String] {
        &self.gone
    }
}

#[cfg(test)]
mod tests {
    use super::PreviousIndex;
    use crate::host::FileStat;
    use crate::host::copy::InstalledStat;
    use crate::stage::{Item, Kind, Payload};

    fn file(path: &str, content: &str, ctime: i64) -> Item {
        let kind = Kind::File {
            hash: blake3::hash(content.as_bytes()).into(),
            exec: false,
            len: 1,
        };
        let mut item = Item::new(path.into(), kind);
        item.traces.source = Some(FileStat {
            ctime,
            ..FileStat::default()
        });
        item
    }

    fn placed(mut item: Item, ino: u64) -> Item {
        item.traces.placed = Some(InstalledStat { ino, mtime: 0 });
        item
    }

    fn dir(path: &str) -> Item {
        Item::new(path.into(), Kind::Dir)
    }

    #[test]
    fn two_releases_are_held_against_each_other() {
        let old = Payload::new(vec![
            dir("b"),
            placed(file("b/gone", "x", 1), 5),
            dir("c"),
            placed(file("c/same", "x", 1), 6),
            placed(file("c/touched", "x", 1), 7),
            Item::new("z".into(), Kind::Link("c".into())),
        ]);
        let new = Payload::new(vec![
            dir("a"),
            dir("c"),
            file("c/new", "x", 1),
            file("c/same", "x", 1),
            file("c/touched", "x", 2),
        ]);
        let previous = PreviousIndex::read(&old.to_index(), &new).unwrap();
        assert_eq!(previous.gone(), ["b/gone", "z"]);
        let at = |at: usize| {
            let ino = previous.placed(at).map(|placed| placed.ino);
            (
                previous.kind(at).is_some(),
                ino,
                previous.untouched(at).is_some(),
            )
        };
        let expected = [
            (false, None, false),
            (true, None, false),
            (false, None, false),
            (true, Some(6), true),
            (true, Some(7), false),
            // There is no such item.
            (false, None, false),
        ];
        assert_eq!([0, 1, 2, 3, 4, 5].map(at), expected);
        assert_eq!(previous.kind(4), Some(&new.items[4].kind));
    }

    #[test]
    fn what_is_no_index_or_ends_within_an_item_is_none() {
        let payload = Payload::new(vec![dir("a"), file("a/b", "x", 1), dir("c")]);
        let index = payload.to_index();
        assert!(PreviousIndex::read(&index, &payload).is_some());
        assert!(PreviousIndex::read(&index[..index.len() - 1], &payload).is_none());
        assert!(PreviousIndex::read(b"", &payload).is_none());
        // Without its first item it still has an order; twice the same one is none.
        let twice = [&index[..], &index[index.len() - 4..]].concat();
        assert!(PreviousIndex::read(&twice, &payload).is_none());
    }
}
