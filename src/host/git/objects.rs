//! The tree of a commit, from the objects of a repository.

use super::files::{OpenDir, read_below};
use super::sha1::Id;
use flate2::read::ZlibDecoder;
use rustix::fs::Dir;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;

/// The most bytes of a commit that are read.
const MAX_COMMIT_BYTES: u64 = 1024 * 1024;
/// What the index of a pack begins with: the magic number and version 2.
const PACK_INDEX: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];
/// The bytes of that and of the table of first bytes.
const NAMES_AT: u64 = 8 + 256 * 4;
/// The type of a commit in a pack. Others are differences to another object.
const COMMIT: u8 = 1;

/// The tree of the commit with this id.
pub(super) fn tree_of_commit(git: &OpenDir, revision: &str) -> Option<Id> {
    from_hex(commit(git, revision)?.strip_prefix(b"tree ")?.get(..40)?)
}

/// When the commit with this id was made, in seconds since 1970.
pub(super) fn time_of_commit(git: &OpenDir, revision: &str) -> Option<i64> {
    let commit = commit(git, revision)?;
    let text = String::from_utf8_lossy(&commit);
    let mut head = text.lines().take_while(|line| !line.is_empty());
    let line = head.find(|line| line.starts_with("committer "))?;
    // After the name and the mail come the time and its zone.
    let (_, time) = line.rsplit_once("> ")?;
    time.split(' ').next()?.parse().ok()
}

/// The content of a commit. At least its head is there.
fn commit(git: &OpenDir, revision: &str) -> Option<Vec<u8>> {
    let id = from_hex(revision.as_bytes())?;
    let (dir, name) = revision.split_at_checked(2)?;
    match read_below(git, &format!("objects/{dir}/{name}"), MAX_COMMIT_BYTES) {
        Some((bytes, _)) => {
            let object = inflate(bytes.as_slice())?;
            let end = object.iter().position(|byte| *byte == 0)?;
            let (head, content) = object.split_at_checked(end)?;
            head.strip_prefix(b"commit ")?;
            Some(content.get(1..)?.to_vec())
        }
        None => in_packs(&git.enter("objects/pack")?, &id),
    }
}

fn inflate(bytes: impl Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut inflated = ZlibDecoder::new(bytes).take(MAX_COMMIT_BYTES);
    inflated.read_to_end(&mut out).ok()?;
    Some(out)
}

fn in_packs(packs: &OpenDir, id: &Id) -> Option<Vec<u8>> {
    let names = Dir::read_from(&packs.fd).ok()?.filter_map(Result::ok);
    let names = names.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    let stems = names.filter_map(|name| name.strip_suffix(".idx").map(str::to_owned));
    for stem in stems {
        let (index, _) = packs.file(format!("{stem}.idx"))?;
        if let Some(offset) = offset(&index, id) {
            let (pack, _) = packs.file(format!("{stem}.pack"))?;
            return commit_at(&pack, offset);
        }
    }
    None
}

/// Where a pack has an object.
fn offset(index: &File, id: &Id) -> Option<u64> {
    if bytes_at::<8>(index, 0)? != PACK_INDEX {
        return None;
    }
    let first = u64::from(*id.first()?);
    let upto = |byte: u64| {
        Some(u64::from(u32::from_be_bytes(bytes_at(
            index,
            8 + byte * 4,
        )?)))
    };
    let count = upto(255)?;
    let mut low = match first.checked_sub(1) {
        Some(before) => upto(before)?,
        None => 0,
    };
    let mut high = upto(first)?;
    while low < high {
        let middle = low + (high - low) / 2;
        let name: Id = bytes_at(index, NAMES_AT + middle * 20)?;
        match name.cmp(id) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                // After the names come the checksums, then the offsets, then the large ones.
                let offsets = NAMES_AT + count * 24;
                let offset = u32::from_be_bytes(bytes_at(index, offsets + middle * 4)?);
                if offset >> 31 == 0 {
                    return Some(u64::from(offset));
                }
                let large = u64::from(offset & 0x7fff_ffff);
                return Some(u64::from_be_bytes(bytes_at(
                    index,
                    offsets + count * 4 + large * 8,
                )?));
            }
        }
    }
    None
}

/// The commit at an offset of a pack, unless it is stored as a difference.
fn commit_at(pack: &File, offset: u64) -> Option<Vec<u8>> {
    let mut at = offset;
    let [first] = bytes_at::<1>(pack, at)?;
    let mut byte = first;
    while byte & 0x80 != 0 {
        at = at.checked_add(1)?;
        [byte] = bytes_at::<1>(pack, at)?;
    }
    if (first >> 4) & 7 != COMMIT {
        return None;
    }
    let mut deflated = vec![0; 64 * 1024];
    let count = pack.read_at(&mut deflated, at.checked_add(1)?).ok()?;
    let mut commit = Vec::new();
    let inflated = ZlibDecoder::new(deflated.get(..count)?);
    // A long message may not be whole. The head is before it.
    let read = inflated.take(MAX_COMMIT_BYTES).read_to_end(&mut commit);
    (read.is_ok() || !commit.is_empty()).then_some(commit)
}

fn bytes_at<const COUNT: usize>(file: &File, at: u64) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

fn from_hex(text: &[u8]) -> Option<Id> {
    let mut id = Id::default();
    if text.len() != 2 * id.len() {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(text.chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(id)
}
