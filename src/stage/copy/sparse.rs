//! Files with holes: ranges without blocks on the disk, which read as zeros (lseek(2), "SEEK_HOLE").
//!
//! The hash of a file with holes is that of its bytes. A copy has the same holes.

use crate::payload::ContentHash;
use rustix::fs::{SeekFrom, fstat, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Smaller files are copied whole: their holes are not worth the calls that find them.
const MIN_BYTES: u64 = 1024 * 1024;
/// The unit of `st_blocks` (stat(2)).
const BLOCK_BYTES: u64 = 512;
/// Zeros for the hash of a hole.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Whether a file of this size in bytes, with this number of `st_blocks`, may have holes that count. So may
/// one that its file system has compressed.
pub(super) fn may_be_sparse(len: u64, blocks: u64) -> bool {
    len > MIN_BYTES && blocks.saturating_mul(BLOCK_BYTES) < len
}

/// The same for an open file. `len` is the size that it should have.
pub(super) fn is_sparse(file: &File, len: u64) -> io::Result<bool> {
    if len <= MIN_BYTES {
        return Ok(false);
    }
    let stat = fstat(file)?;
    let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
    Ok(may_be_sparse(len_of(stat.st_size), blocks))
}

fn len_of(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default()
}

/// How many bytes of a file are in holes.
pub(super) fn hole_bytes(file: &File) -> io::Result<u64> {
    let len = len_of(fstat(file)?.st_size);
    let (mut at, mut holes) = (0, 0);
    while at < len {
        let data = next_data(file, at, len)?;
        holes += data - at;
        at = next_hole(file, data, len)?;
    }
    Ok(holes)
}

/// Hashes a file with holes, and copies it to an empty one, if there is one. Returns the hash and the size.
pub(super) fn copy_and_hash_sparse(
    from: &File,
    to: Option<&File>,
    buffer: &mut [u8],
) -> io::Result<(ContentHash, u64)> {
    let len = len_of(fstat(from)?.st_size);
    let mut hasher = blake3::Hasher::new();
    while hasher.count() < len {
        let data = next_data(from, hasher.count(), len)?;
        hash_zeros(&mut hasher, data);
        let end = next_hole(from, data, len)?;
        while hasher.count() < end {
            let at = hasher.count();
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let max = buffer.len().min(left);
            let part = buffer.get_mut(..max).unwrap_or_default();
            let count = match from.read_at(part, at) {
                // It is shorter than when it was asked for its size.
                Ok(0) => return ended(&hasher, to),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let part = part.get(..count).unwrap_or_default();
            if let Some(to) = to {
                to.write_all_at(part, at)?;
            }
            hasher.update(part);
        }
    }
    ended(&hasher, to)
}

/// Gives the copy its size, with which a hole at the end begins to exist.
fn ended(hasher: &blake3::Hasher, to: Option<&File>) -> io::Result<(ContentHash, u64)> {
    if let Some(to) = to {
        to.set_len(hasher.count())?;
    }
    Ok((hasher.finalize().into(), hasher.count()))
}

fn hash_zeros(hasher: &mut blake3::Hasher, end: u64) {
    while hasher.count() < end {
        let left = usize::try_from(end - hasher.count()).unwrap_or(usize::MAX);
        hasher.update(ZEROS.get(..left.min(ZEROS.len())).unwrap_or_default());
    }
}

/// Where data begins at or after `at`; `len` when there is none.
fn next_data(file: &File, at: u64, len: u64) -> io::Result<u64> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(data.clamp(at, len)),
        Err(Errno::NXIO) => Ok(len),
        // A file system that knows no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(at),
        Err(errno) => Err(errno.into()),
    }
}

/// Where a hole begins after the data at `at`; `len` when there is none.
fn next_hole(file: &File, at: u64, len: u64) -> io::Result<u64> {
    if at >= len {
        return Ok(len);
    }
    match seek(file, SeekFrom::Hole(at)) {
        // Otherwise no progress would be made.
        Ok(hole) if hole > at => Ok(hole.min(len)),
        Ok(_) | Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => Ok(len),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{copy_and_hash_sparse, hole_bytes, is_sparse};
    use std::fs::File;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    const MIB: u64 = 1024 * 1024;

    /// A file of this size with data at these offsets.
    fn sparse(len: u64, data: &[(u64, Vec<u8>)]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        for (at, bytes) in data {
            file.write_all_at(bytes, *at).unwrap();
        }
        file
    }

    #[test]
    fn a_copy_has_the_same_bytes_hash_and_holes() {
        let block = || vec![7; 4096];
        for (len, data) in [
            (8 * MIB, vec![]),
            (8 * MIB, vec![(0, block())]),
            (8 * MIB, vec![(8 * MIB - 4096, block())]),
            (8 * MIB + 1, vec![(3 * MIB, block()), (5 * MIB, vec![1])]),
            (2 * MIB, vec![(0, vec![1; 2 * 1024 * 1024])]),
            (0, vec![]),
        ] {
            let (from, to) = (sparse(len, &data), tempfile::tempfile().unwrap());
            let mut plain = vec![0; usize::try_from(len).unwrap()];
            from.read_exact_at(&mut plain, 0).unwrap();
            let hash = blake3::hash(&plain).into();
            let mut buffer = [0; 5000];
            let copied = copy_and_hash_sparse(&from, Some(&to), &mut buffer).unwrap();
            assert_eq!(copied, (hash, len));
            let hashed = copy_and_hash_sparse(&from, None, &mut buffer).unwrap();
            assert_eq!(hashed, (hash, len));
            let mut same = vec![1; plain.len()];
            to.read_exact_at(&mut same, 0).unwrap();
            assert!(same == plain && to.metadata().unwrap().len() == len);
            let blocks = |file: &File| file.metadata().unwrap().blocks();
            assert!(blocks(&to) <= blocks(&from), "{len} {}", data.len());
            assert_eq!(hole_bytes(&from).unwrap(), hole_bytes(&to).unwrap());
        }
    }

    #[test]
    fn holes_of_small_files_do_not_count() {
        for (len, expected) in [(MIB, false), (MIB + 1, true)] {
            let file = sparse(len, &[]);
            assert_eq!(is_sparse(&file, len).unwrap(), expected, "{len}");
            assert_eq!(hole_bytes(&file).unwrap(), len);
        }
        let full = sparse(2 * MIB, &[(0, vec![1; 2 * 1024 * 1024])]);
        assert!(!is_sparse(&full, 2 * MIB).unwrap());
    }
}
