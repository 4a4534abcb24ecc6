//! The index of a release, `releases/<id>.index`: its payload, and where each file was read and
//! written.
//!
//! The file is a header and then every item in the order of the paths:
//!
//! | part | field | encoding |
//! |---|---|---|
//! | header | magic and format version | `robotctl index 2\n` |
//! | | [`Payload::source_digest`] | 32 bytes; zeros if there is none |
//! | | [`Payload::digest`] | 32 bytes |
//! | item | flags | 1 byte, see below |
//! | | bytes of the path shared with the item before | number |
//! | | rest of the path | text |
//! | of a link | target | text |
//! | of a file | [`ContentHash`] | 24 bytes |
//! | | size in bytes | number |
//! | with `SOURCE` | device | number; absent with `SAME_DEV` |
//! | | inode | difference |
//! | | mtime | difference |
//! | | ctime | difference; absent with `SAME_CTIME` |
//! | with `INSTALLED` | inode | difference |
//! | | mtime | difference |
//!
//! A *number* is an unsigned LEB128. A *text* is its length in bytes as a number, then UTF-8. A
//! *difference* is the field minus the same field of the last item that had one (0 for the first),
//! wrapping, zigzag-encoded as a LEB128.
//!
//! | flags | meaning |
//! |---|---|
//! | bits 0 and 1 | `DIR` (0), `FILE` (1) or `LINK` (2) |
//! | bit 2, `EXEC` | the file is executable |
//! | bit 3, `SOURCE` | the state of the source file follows |
//! | bit 4, `INSTALLED` | the state of the installed file follows |
//! | bit 5, `SAME_DEV` | the device is that of the last item that had one |
//! | bit 6, `SAME_CTIME` | the ctime equals the mtime |
//!
//! The index counts towards the disk space of a release, so the items are stored as differences.

use super::item::{Item, Kind};
use super::list::Payload;
use super::stat::{ContentHash, FileStat, Fingerprints, InstalledStat};
use crate::parallel::join;
use integer_encoding::VarInt;

/// The first bytes of the file. The number changes with the format.
const MAGIC: &[u8] = b"robotctl index 2\n";

/// The length of a digest in bytes.
const DIGEST_BYTES: usize = blake3::OUT_LEN;

/// The length of the header in bytes.
const HEADER_BYTES: usize = MAGIC.len() + 2 * DIGEST_BYTES;

/// How many bytes an item takes on average, to reserve memory.
const TYPICAL_ITEM_BYTES: usize = 48;

/// The most bytes that a 64-bit number takes as a LEB128.
const MAX_NUMBER_BYTES: usize = 10;

const DIR: u8 = 0;
const FILE: u8 = 1;
const LINK: u8 = 2;
const KIND_MASK: u8 = 3;
const EXEC: u8 = 1 << 2;
const SOURCE: u8 = 1 << 3;
const INSTALLED: u8 = 1 << 4;
const SAME_DEV: u8 = 1 << 5;
const SAME_CTIME: u8 = 1 << 6;

/// The header of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexHeader {
    /// [`Payload::source_digest`]. `None` if a file of the source had changed too recently.
    source_digest: Option<blake3::Hash>,
    /// [`Payload::digest`].
    pub digest: blake3::Hash,
}

impl IndexHeader {
    /// Reads the header; `None` if the bytes are not an index of this format.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC)?);
        let none = blake3::Hash::from_bytes([0; DIGEST_BYTES]);
        let source_digest = reader.digest()?;
        Some(Self {
            source_digest: (source_digest != none).then_some(source_digest),
            digest: reader.digest()?,
        })
    }

    /// Whether the index is of a source with this [`Payload::source_digest`].
    pub fn matches_source(&self, source_digest: Option<blake3::Hash>) -> bool {
        self.source_digest.is_some() && self.source_digest == source_digest
    }
}

/// The fields of the items before, from which the next item differs.
#[derive(Default)]
struct Last {
    path: Vec<u8>,
    source: FileStat,
    installed: InstalledStat,
}

/// Encodes a payload.
pub fn encode(payload: &Payload) -> Vec<u8> {
    let digests = || {
        let source = payload
            .source_digest()
            .map_or([0; DIGEST_BYTES], Into::into);
        [source, payload.digest().into()].concat()
    };
    let items = || {
        let mut out = vec![0; HEADER_BYTES];
        out.reserve(TYPICAL_ITEM_BYTES * payload.items.len());
        let mut last = Last::default();
        for item in &payload.items {
            put_item(item, &mut last, &mut out);
        }
        out
    };
    let (digests, mut out) = join(digests, items);
    out.splice(..HEADER_BYTES, MAGIC.iter().copied().chain(digests));
    out
}

fn put_item(item: &Item, last: &mut Last, out: &mut Vec<u8>) {
    let Fingerprints { source, installed } = item.fingerprints;
    let stat = source.unwrap_or(last.source);
    out.push(match &item.kind {
        Kind::Dir => DIR,
        Kind::Link(_) => LINK,
        Kind::File { exec, .. } => {
            let set = |bit, on| if on { bit } else { 0 };
            FILE | set(EXEC, *exec)
                | set(SOURCE, source.is_some())
                | set(INSTALLED, installed.is_some())
                | set(SAME_DEV, stat.dev == last.source.dev)
                | set(SAME_CTIME, stat.ctime == stat.mtime)
        }
    });
    let path = item.path.as_bytes();
    let pairs = path.iter().zip(&last.path);
    let shared = pairs.take_while(|(new, old)| new == old).count();
    let rest = path.get(shared..).unwrap_or_default();
    put_number(shared, out);
    put_bytes(rest, out);
    last.path.truncate(shared);
    last.path.extend_from_slice(rest);
    match &item.kind {
        Kind::Dir => {}
        Kind::Link(target) => put_bytes(target.as_bytes(), out),
        Kind::File { hash, len, .. } => {
            out.extend_from_slice(&hash.0);
            put_number(*len, out);
        }
    }
    if source.is_some() {
        let before = std::mem::replace(&mut last.source, stat);
        if stat.dev != before.dev {
            put_number(stat.dev, out);
        }
        put_difference(stat.ino, before.ino, out);
        put_time(stat.mtime, before.mtime, out);
        if stat.ctime != stat.mtime {
            put_time(stat.ctime, before.ctime, out);
        }
    }
    if let Some(installed) = installed {
        let before = std::mem::replace(&mut last.installed, installed);
        put_difference(installed.ino, before.ino, out);
        put_time(installed.mtime, before.mtime, out);
    }
}

/// Decodes what [`encode`] returns; `None` if the bytes are not an index of this format. Without an
/// index, a deploy copies files that it could have shared.
pub fn decode(bytes: &[u8]) -> Option<Payload> {
    let mut reader = IndexReader::new(bytes)?;
    let mut items = Vec::with_capacity(bytes.len() / TYPICAL_ITEM_BYTES);
    while !reader.is_at_end() {
        let (kind, fingerprints) = reader.next_item()?;
        items.push(Item {
            path: utf8(reader.path())?,
            kind,
            fingerprints,
        });
    }
    Some(Payload::new(items))
}

/// Reads an index item by item.
pub(super) struct IndexReader<'a> {
    reader: Reader<'a>,
    last: Last,
}

impl<'a> IndexReader<'a> {
    /// `None` if the bytes are not an index of this format.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let items = bytes.strip_prefix(MAGIC)?.get(2 * DIGEST_BYTES..)?;
        Some(Self {
            reader: Reader::new(items),
            last: Last::default(),
        })
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.reader.rest.is_empty()
    }

    /// Reads the next item; `None` if it is damaged or cut off.
    pub(super) fn next_item(&mut self) -> Option<(Kind, Fingerprints)> {
        self.reader.item(&mut self.last)
    }

    /// The path of the item that was read last.
    pub(super) fn path(&self) -> &[u8] {
        &self.last.path
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

    fn digest(&mut self) -> Option<blake3::Hash> {
        blake3::Hash::from_slice(self.take(DIGEST_BYTES)?).ok()
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
        let difference: i64 = self.number()?;
        Some(before.wrapping_add(difference.cast_unsigned()))
    }

    fn time(&mut self, before: i64) -> Option<i64> {
        Some(self.after(before.cast_unsigned())?.cast_signed())
    }

    fn item(&mut self, last: &mut Last) -> Option<(Kind, Fingerprints)> {
        let [flags] = *self.take(1)? else { return None };
        let shared = self.number()?;
        let rest = self.bytes()?;
        if last.path.get(shared..)? >= rest {
            return None; // Not in order: `encode` does not write this.
        }
        last.path.truncate(shared);
        last.path.extend_from_slice(rest);
        let kind = match flags & KIND_MASK {
            DIR => Kind::Dir,
            LINK => Kind::Link(utf8(self.bytes()?)?),
            FILE => Kind::File {
                hash: ContentHash(*self.take(ContentHash::LEN)?.first_chunk()?),
                len: self.number()?,
                exec: flags & EXEC != 0,
            },
            _ => return None,
        };
        let mut fingerprints = Fingerprints::default();
        if flags & SOURCE != 0 {
            let before = last.source;
            let dev = if flags & SAME_DEV == 0 {
                self.number()?
            } else {
                before.dev
            };
            let ino = self.after(before.ino)?;
            let mtime = self.time(before.mtime)?;
            let ctime = if flags & SAME_CTIME == 0 {
                self.time(before.ctime)?
            } else {
                mtime
            };
            last.source = FileStat {
                dev,
                ino,
                mtime,
                ctime,
            };
            fingerprints.source = Some(last.source);
        }
        if flags & INSTALLED != 0 {
            last.installed = InstalledStat {
                ino: self.after(last.installed.ino)?,
                mtime: self.time(last.installed.mtime)?,
            };
            fingerprints.installed = Some(last.installed);
        }
        Some((kind, fingerprints))
    }
}

pub(super) fn utf8(bytes: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes).ok()?.to_owned())
}

fn put_number(number: impl VarInt, out: &mut Vec<u8>) {
    let mut bytes = [0; MAX_NUMBER_BYTES];
    let length = number.encode_var(&mut bytes);
    out.extend(bytes.iter().take(length));
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_number(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// A small difference takes few bytes, whatever its sign.
fn put_difference(number: u64, before: u64, out: &mut Vec<u8>) {
    put_number(number.wrapping_sub(before).cast_signed(), out);
}

fn put_time(time: i64, before: i64, out: &mut Vec<u8>) {
    put_difference(time.cast_unsigned(), before.cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::{
        FileStat, IndexHeader, InstalledStat, Item, Kind, MAX_NUMBER_BYTES, Payload, Reader,
        decode, encode, put_difference, put_number,
    };

    fn file(text: &str, exec: bool) -> Kind {
        Kind::File {
            hash: blake3::hash(text.as_bytes()).into(),
            exec,
            len: text.len() as u64,
        }
    }

    fn read_file(path: &str, stat: [i64; 4], installed: Option<InstalledStat>) -> Item {
        let mut item = Item::new(path.into(), file(path, false));
        let [dev, ino, mtime, ctime] = stat;
        item.fingerprints.source = Some(FileStat {
            dev: dev.cast_unsigned(),
            ino: ino.cast_unsigned(),
            mtime,
            ctime,
        });
        item.fingerprints.installed = installed;
        item
    }

    fn payload() -> Payload {
        let installed = |ino, mtime| Some(InstalledStat { ino, mtime });
        let mut only_installed = Item::new("x".into(), file("", true));
        only_installed.fingerprints.installed = installed(7, -1);
        Payload::new(vec![
            Item::new("b c".into(), file("x", true)),
            Item::new("a".into(), Kind::Dir),
            Item::new("a/l k".into(), Kind::Link("../b c".into())),
            Item::new("a/é".into(), file("", false)),
            Item::new("a/è".into(), file("", false)),
            read_file("e  f", [1, -1, -5, 1_700_000_000_123_456_789], None),
            read_file("e  g", [1, 5, 9, 9], installed(u64::MAX, i64::MIN)),
            read_file("e  h", [2, 6, i64::MAX, i64::MIN], installed(1, i64::MAX)),
            only_installed,
        ])
    }

    #[test]
    fn an_index_decodes_to_the_same_payload() {
        let payload = payload();
        let again = decode(&encode(&payload)).unwrap();
        assert_eq!(again.items, payload.items);
        assert!(again.bytes() == 13 && again.files() == 8);
        assert_eq!(again.get("x"), payload.items.last());
        assert_eq!(again.get("y"), None);
    }

    #[test]
    fn a_truncated_index_is_not_accepted() {
        let bytes = encode(&payload());
        let whole = IndexHeader::read(&bytes).unwrap().digest;
        for end in 0..bytes.len() {
            // At the end of an item, only the digest shows that the rest is missing.
            let part = decode(&bytes[..end]);
            assert!(part.is_none_or(|part| part.digest() != whole), "{end}");
        }
        assert!(decode(b"d a\nf 00 1 b\n").is_none());
        assert!(IndexHeader::read(b"").is_none());
        let mut wrong = bytes;
        wrong.extend([0xff; 30]);
        assert!(decode(&wrong).is_none());
    }

    #[test]
    fn the_header_matches_a_source_whose_file_stats_are_complete() {
        let of = |payload: &Payload| IndexHeader::read(&encode(payload)).unwrap();
        let whole = Payload::new(vec![
            read_file("a", [1, 2, 3, 4], None),
            Item::new("d".into(), Kind::Dir),
        ]);
        let header = of(&whole);
        assert_eq!(header.digest, whole.digest());
        assert!(header.matches_source(whole.source_digest()));
        let touched = Payload::new(vec![
            read_file("a", [1, 2, 3, 5], None),
            Item::new("d".into(), Kind::Dir),
        ]);
        assert!(!header.matches_source(touched.source_digest()));
        let incomplete = payload();
        assert!(!of(&incomplete).matches_source(incomplete.source_digest()));
    }

    #[test]
    fn numbers_of_any_size_are_decoded() {
        let some = [0, 1, 127, 128, 1 << 32, u64::MAX - 1, u64::MAX];
        for number in some {
            let mut out = Vec::new();
            put_number(number, &mut out);
            assert!(out.len() <= MAX_NUMBER_BYTES);
            assert_eq!(Reader::new(&out).number::<u64>(), Some(number));
            for before in some {
                out.clear();
                put_difference(number, before, &mut out);
                assert_eq!(Reader::new(&out).after(before), Some(number));
            }
        }
        assert_eq!(Reader::new(&[0x80; 12]).number::<u64>(), None);
    }
}
