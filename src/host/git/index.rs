//! The index of a repository (gitformat-index(5)), versions 2 to 4, with SHA-1.

use super::sha1::Id;

/// The bytes of an entry before its path: ten numbers, an id and the flags.
const FIXED: usize = 62;
/// The most entries that are read.
const MAX_ENTRIES: usize = 300_000;
/// The longest path (`PATH_MAX` of Linux), and the most bytes of all paths together. In version 4, a path is written
/// as a change of the previous path, so that a small file could name a lot of them.
const MAX_PATH: usize = 4096;
const MAX_PATHS: usize = 64 * 1024 * 1024;

/// `flags`: the file counts as unchanged, whatever it is.
const ASSUME_VALID: u16 = 0x8000;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
/// The extended flags: the file is not in the worktree, and a file that is not added yet.
const SKIP_WORKTREE: u16 = 0x4000;
const INTENT_TO_ADD: u16 = 0x2000;

/// A tracked file as Git saw it last.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) path: std::borrow::Cow<'a, [u8]>,
    pub(super) mode: u32,
    pub(super) size: u32,
    /// Seconds and nanoseconds.
    pub(super) mtime: (u32, u32),
    pub(super) id: Id,
    /// Whether there is no need to look at it.
    pub(super) is_assumed: bool,
    /// Whether it differs from every commit: a conflict, or a file that is not added yet.
    pub(super) is_open: bool,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    /// The tree that it would become, if Git has written it.
    pub(super) tree: Option<Id>,
}

impl<'a> Index<'a> {
    /// Reads an index; `None` if there is anything in it that this does not know.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        // A checksum of 20 bytes is at the end.
        let (body, _) = bytes.split_at_checked(bytes.len().checked_sub(20)?)?;
        let mut rest = Reader(body);
        if rest.take(4)? != b"DIRC" {
            return None;
        }
        let version = rest.number()?;
        let count = usize::try_from(rest.number()?).ok()?;
        if !(2..=4).contains(&version) || count > MAX_ENTRIES {
            return None;
        }
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut left = MAX_PATHS;
        for _ in 0..count {
            let previous = entries.last().map(|entry| entry.path.as_ref());
            let entry = rest.entry(version, previous.unwrap_or_default())?;
            left = left.checked_sub(entry.path.len())?;
            entries.push(entry);
        }
        let mut tree = None;
        while !rest.0.is_empty() {
            let name = rest.take(4)?;
            let size = usize::try_from(rest.number()?).ok()?;
            let data = rest.take(size)?;
            match name {
                b"TREE" => tree = root_of(data),
                // Others that begin with a capital letter may be left out.
                [b'A'..=b'Z', ..] => {}
                _ => return None,
            }
        }
        Some(Self { entries, tree })
    }
}

/// The id of the root in the extension `TREE`. It begins with the root, whose name is empty; a negative
/// number of entries says that the tree is not known.
fn root_of(data: &[u8]) -> Option<Id> {
    let mut rest = Reader(data);
    let name = rest.until(0)?;
    let count = rest.until(b' ')?;
    rest.until(b'\n')?;
    if !name.is_empty() || count.starts_with(b"-") {
        return None;
    }
    rest.take(20)?.try_into().ok()
}

/// What is left of the bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = self.0.iter().position(|byte| *byte == end)?;
        let taken = self.take(at)?;
        self.take(1)?;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn entry(&mut self, version: u32, previous: &[u8]) -> Option<Entry<'a>> {
        let begin = self.0.len();
        self.take(8)?; // ctime
        let mtime = (self.number()?, self.number()?);
        self.take(8)?; // dev and ino
        let mode = self.number()?;
        self.take(8)?; // uid and gid
        let size = self.number()?;
        let id = self.take(20)?.try_into().ok()?;
        let flags = self.short()?;
        let extended = if flags & EXTENDED != 0 {
            self.short()?
        } else {
            0
        };
        debug_assert!(begin - self.0.len() >= FIXED);
        let path = if version == 4 {
            let dropped = self.varint()?;
            let kept = previous.get(..previous.len().checked_sub(dropped)?)?;
            let added = self.until(0)?;
            if kept.len() + added.len() > MAX_PATH {
                return None;
            }
            [kept, added].concat().into()
        } else {
            let path = self.until(0)?;
            // Up to eight bytes, so that the length is a multiple of eight.
            let length = begin - self.0.len();
            self.take(length.next_multiple_of(8) - length)?;
            path.into()
        };
        Some(Entry {
            path,
            mode,
            size,
            mtime,
            id,
            is_assumed: flags & ASSUME_VALID != 0 || extended & SKIP_WORKTREE != 0,
            is_open: flags & STAGE != 0 || extended & INTENT_TO_ADD != 0,
        })
    }

    /// A number of variable length, as in an offset of a pack.
    fn varint(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        loop {
            let byte = *self.take(1)?.first()?;
            value = value
                .checked_shl(7)?
                .checked_add(usize::from(byte & 0x7f))?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            value = value.checked_add(1)?;
            if value > 1 << 20 {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Index;

    /// An index of version 4 whose first path has this length. The others name the same path again.
    fn index(length: usize, count: u32) -> Vec<u8> {
        let mut bytes = b"DIRC".to_vec();
        bytes.extend(4_u32.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        for number in 0..count {
            bytes.extend([0; 62]);
            // Nothing of the previous path is dropped.
            bytes.push(0);
            if number == 0 {
                bytes.extend(vec![b'a'; length]);
            }
            bytes.push(0);
        }
        bytes.extend([0; 20]);
        bytes
    }

    #[test]
    fn a_small_index_cannot_name_more_paths_than_memory_holds() {
        assert_eq!(Index::parse(&index(4096, 3)).unwrap().entries.len(), 3);
        assert!(Index::parse(&index(4097, 3)).is_none());
        // 16,385 paths of 4,096 bytes are more than 64 MiB, in an index of one MiB.
        assert!(Index::parse(&index(4096, 16_385)).is_none());
    }
}
