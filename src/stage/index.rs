//! `releases/<id>.index`: what a release holds, and where each file was seen.
//!
//! A head, then item after item in the order of their paths. Each is written as what differs from
//! the one before it: an index counts among what a release takes on the disk.

use super::payload::{Fingerprints, Item, Kind, Payload};
use crate::host::copy::{Content, InstalledStat};
use crate::host::{FileStat, join};
use integer_encoding::VarInt;

/// The first bytes of the file; the number changes with the format.
const MAGIC: &[u8] = b"robotctl index 2\n";

const HASH: usize = blake3::OUT_LEN;

/// Bytes before the items.
const HEADER_LEN: usize = MAGIC.len() + 2 * HASH;

/// Bytes that a number of 64 bits takes, seven bits in each.
const MAX_PATH: usize = 10;

// What the first byte of an item says.
const DIR: u8 = 0;
const FILE: u8 = 1;
const LINK: u8 = 2;
const KIND: u8 = 3;
const EXEC: u8 = 1 << 2;
const SOURCE: u8 = 1 << 3;
const PLACED: u8 = 1 << 4;
/// The device is that of the source before.
const SAME_DEV: u8 = 1 << 5;
/// The ctime is the mtime.
const UNTOUCHED: u8 = 1 << 6;

/// What an index says before its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexHeader {
    /// [`Payload::seen`] of the source, when nothing in it was too new to be known again.
    seen: Option<blake3::Hash>,
    /// [`Payload::digest`].
    pub(super) digest: blake3::Hash,
}

impl IndexHeader {
    /// The head of an index; none when the bytes are no index of this format.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC)?);
        let none = blake3::Hash::from_bytes([0; HASH]);
        let seen = reader.hash()?;
        Some(Self {
            seen: (seen != none).then_some(seen),
            digest: reader.hash()?,
        })
    }

    /// Whether this is what was seen of a source then ([`Payload::seen`]).
    pub(super) fn is_of(&self, seen: Option<blake3::Hash>) -> bool {
        self.seen.is_some() && self.seen == seen
    }
}

/// The item before.
#[derive(Default)]
struct Before {
    path: Vec<u8>,
    source: FileStat,
    placed: InstalledStat,
}

/// The bytes of an index.
pub(super) fn write(payload: &Payload) -> Vec<u8> {
    let digests = || {
        let seen = payload.seen().map_or([0; HASH], Into::into);
        [seen, payload.digest().into()].concat()
    };
    let items = || {
        let mut out = vec![0; HEADER_LEN];
        out.reserve(48 * payload.items.len());
        let mut before = Before::default();
        for item in &payload.items {
            put_item(item, &mut before, &mut out);
        }
        out
    };
    let (digests, mut out) = join(digests, items);
    out.splice(..HEADER_LEN, MAGIC.iter().copied().chain(digests));
    out
}

fn put_item(item: &Item, before: &mut Before, out: &mut Vec<u8>) {
    let Fingerprints { source, placed } = item.traces;
    let stamp = source.unwrap_or(before.source);
    out.push(match &item.kind {
        Kind::Dir => DIR,
        Kind::Link(_) => LINK,
        Kind::File { exec, .. } => {
            let set = |bit, on| if on { bit } else { 0 };
            FILE | set(EXEC, *exec)
                | set(SOURCE, source.is_some())
                | set(PLACED, placed.is_some())
                | set(SAME_DEV, stamp.dev == before.source.dev)
                | set(UNTOUCHED, stamp.ctime == stamp.mtime)
        }
    });
    let path = item.path.as_bytes();
    let pairs = path.iter().zip(&before.path);
    let shared = pairs.take_while(|(new, old)| new == old).count();
    let rest = path.get(shared..).unwrap_or_default();
    put(shared, out);
    put_bytes(rest, out);
    before.path.truncate(shared);
    before.path.extend_from_slice(rest);
    match &item.kind {
        Kind::Dir => {}
        Kind::Link(target) => put_bytes(target.as_bytes(), out),
        Kind::File { hash, len, .. } => {
            out.extend_from_slice(&hash.0);
            put(*len, out);
        }
    }
    if source.is_some() {
        let was = std::mem::replace(&mut before.source, stamp);
        if stamp.dev != was.dev {
            put(stamp.dev, out);
        }
        put_way(stamp.ino, was.ino, out);
        put_time(stamp.mtime, was.mtime, out);
        if stamp.ctime != stamp.mtime {
            put_time(stamp.ctime, was.ctime, out);
        }
    }
    if let Some(placed) = placed {
        let was = std::mem::replace(&mut before.placed, placed);
        put_way(placed.ino, was.ino, out);
        put_time(placed.mtime, was.mtime, out);
    }
}

/// Reads [`write`]; none when the bytes are no index of this format, which costs a copy.
pub(super) fn read(bytes: &[u8]) -> Option<Payload> {
    let mut entries = Entries::of(bytes)?;
    let mut items = Vec::with_capacity(bytes.len() / 48);
    while !entries.is_over() {
        let (kind, traces) = entries.next()?;
        let path = text(entries.path())?;
        items.push(Item { path, kind, traces });
    }
    Some(Payload::new(items))
}

/// What an index says, item after item.
pub(super) struct Entries<'a> {
    reader: Reader<'a>,
    before: Before,
}

impl<'a> Entries<'a> {
    /// None when the bytes are no index of this format.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        Some(Self {
            reader: Reader::new(bytes.strip_prefix(MAGIC)?.get(2 * HASH..)?),
            before: Before::default(),
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.reader.rest.is_empty()
    }

    /// Goes on to the next item; none when there is no such item.
    pub(super) fn next(&mut self) -> Option<(Kind, Fingerprints)> {
        self.reader.item(&mut self.before)
    }

    /// The path of the item.
    pub(super) fn path(&self) -> &[u8] {
        &self.before.path
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(part)
    }

    fn hash(&mut self) -> Option<blake3::Hash> {
        blake3::Hash::from_slice(self.take(HASH)?).ok()
    }

    fn number<N: VarInt>(&mut self) -> Option<N> {
        let (number, length) = N::decode_var(self.rest)?;
        self.take(length)?;
        Some(number)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(count)
    }

    fn after(&mut self, before: u64) -> Option<u64> {
        let way: i64 = self.number()?;
        Some(before.wrapping_add(way.cast_unsigned()))
    }

    fn time(&mut self, before: i64) -> Option<i64> {
        Some(self.after(before.cast_unsigned())?.cast_signed())
    }

    fn item(&mut self, before: &mut Before) -> Option<(Kind, Fingerprints)> {
        let [first] = *self.take(1)? else { return None };
        let shared = self.number()?;
        let rest = self.bytes()?;
        if before.path.get(shared..)? >= rest {
            return None; // Of whatever order it is, nobody wrote it.
        }
        before.path.truncate(shared);
        before.path.extend_from_slice(rest);
        let kind = match first & KIND {
            DIR => Kind::Dir,
            LINK => Kind::Link(text(self.bytes()?)?),
            FILE => Kind::File {
                hash: Content(*self.take(Content::LEN)?.first_chunk()?),
                len: self.number()?,
                exec: first & EXEC != 0,
            },
            _ => return None,
        };
        let mut traces = Fingerprints::default();
        if first & SOURCE != 0 {
            let was = before.source;
            let dev = match first & SAME_DEV {
                0 => self.number()?,
                _ => was.dev,
            };
            let ino = self.after(was.ino)?;
            let mtime = self.time(was.mtime)?;
            let ctime = match first & UNTOUCHED {
                0 => self.time(was.ctime)?,
                _ => mtime,
            };
            before.source = FileStat {
                dev,
                ino,
                mtime,
                ctime,
            };
            traces.source = Some(before.source);
        }
        if first & PLACED != 0 {
            before.placed = InstalledStat {
                ino: self.after(before.placed.ino)?,
                mtime: self.time(before.placed.mtime)?,
            };
            traces.placed = Some(before.placed);
        }
        Some((kind, traces))
    }
}

pub(super) fn text(bytes: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes).ok()?.to_owned())
}

fn put(number: impl VarInt, out: &mut Vec<u8>) {
    let mut bytes = [0; MAX_PATH];
    let length = number.encode_var(&mut bytes);
    out.extend(bytes.iter().take(length));
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// The way from one number to another: a short one takes few bytes, either way.
fn put_way(number: u64, before: u64, out: &mut Vec<u8>) {
    put(number.wrapping_sub(before).cast_signed(), out);
}

fn put_time(time: i64, before: i64, out: &mut Vec<u8>) {
    put_way(time.cast_unsigned(), before.cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::{IndexHeader, MAX_PATH, Reader, put, put_way, read, write};
    use crate::host::FileStat;
    use crate::host::copy::InstalledStat;
    use crate::stage::{Item, Kind, Payload};

    fn file(text: &str, exec: bool) -> Kind {
        Kind::File {
            hash: blake3::hash(text.as_bytes()).into(),
            exec,
            len: text.len() as u64,
        }
    }

    fn seen(path: &str, stamp: [i64; 4], placed: Option<InstalledStat>) -> Item {
        let mut item = Item::new(path.into(), file(path, false));
        let [dev, ino, mtime, ctime] = stamp;
        item.traces.source = Some(FileStat {
            dev: dev.cast_unsigned(),
            ino: ino.cast_unsigned(),
            mtime,
            ctime,
        });
        item.traces.placed = placed;
        item
    }

    fn payload() -> Payload {
        let placed = |ino, mtime| Some(InstalledStat { ino, mtime });
        let mut only_placed = Item::new("x".into(), file("", true));
        only_placed.traces.placed = placed(7, -1);
        Payload::new(vec![
            Item::new("b c".into(), file("x", true)),
            Item::new("a".into(), Kind::Dir),
            Item::new("a/l k".into(), Kind::Link("../b c".into())),
            Item::new("a/é".into(), file("", false)),
            Item::new("a/è".into(), file("", false)),
            seen("e  f", [1, -1, -5, 1_700_000_000_123_456_789], None),
            seen("e  g", [1, 5, 9, 9], placed(u64::MAX, i64::MIN)),
            seen("e  h", [2, 6, i64::MAX, i64::MIN], placed(1, i64::MAX)),
            only_placed,
        ])
    }

    #[test]
    fn the_index_reads_back_what_it_wrote() {
        let payload = payload();
        let again = read(&write(&payload)).unwrap();
        assert_eq!(again.items, payload.items);
        assert!(again.bytes() == 13 && again.files() == 8);
        assert_eq!(again.get("x"), payload.items.last());
        assert_eq!(again.get("y"), None);
    }

    #[test]
    fn an_index_that_was_cut_off_or_is_something_else_is_none() {
        let bytes = write(&payload());
        let whole = IndexHeader::read(&bytes).unwrap().digest;
        for end in 0..bytes.len() {
            // At the end of an item nothing shows that the rest is missing, but in the digest.
            let part = read(&bytes[..end]);
            assert!(part.is_none_or(|part| part.digest() != whole), "{end}");
        }
        assert!(read(b"d a\nf 00 1 b\n").is_none());
        assert!(IndexHeader::read(b"").is_none());
        let mut wrong = bytes;
        wrong.extend([0xff; 30]);
        assert!(read(&wrong).is_none());
    }

    #[test]
    fn the_head_knows_a_source_in_which_no_stamp_is_missing() {
        let of = |payload: &Payload| IndexHeader::read(&write(payload)).unwrap();
        let whole = Payload::new(vec![
            seen("a", [1, 2, 3, 4], None),
            Item::new("d".into(), Kind::Dir),
        ]);
        let head = of(&whole);
        assert_eq!(head.digest, whole.digest());
        assert!(head.is_of(whole.seen()));
        let touched = Payload::new(vec![
            seen("a", [1, 2, 3, 5], None),
            Item::new("d".into(), Kind::Dir),
        ]);
        assert!(!head.is_of(touched.seen()));
        let unsure = payload();
        assert!(!of(&unsure).is_of(unsure.seen()));
    }

    #[test]
    fn numbers_of_any_size_are_read_back() {
        let some = [0, 1, 127, 128, 1 << 32, u64::MAX - 1, u64::MAX];
        for number in some {
            let mut out = Vec::new();
            put(number, &mut out);
            assert!(out.len() <= MAX_PATH);
            assert_eq!(Reader::new(&out).number::<u64>(), Some(number));
            for before in some {
                out.clear();
                put_way(number, before, &mut out);
                assert_eq!(Reader::new(&out).after(before), Some(number));
            }
        }
        assert_eq!(Reader::new(&[0x80; 12]).number::<u64>(), None);
    }
}
