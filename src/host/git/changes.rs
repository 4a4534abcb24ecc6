//! Whether tracked files differ from the index.

use super::files::OpenDir;
use super::index::{Entry, Index};
use super::sha1::{Id, Sha1};
use rustix::fs::{FileType, OFlags, fstat, readlinkat};
use rustix::io::Errno;
use std::io::Read as _;

/// The mode of a submodule, whose files are not those of this repository.
const SUBMODULE: u32 = 0o160_000;
/// The most bytes that are read to compare files.
const MAX_READ_BYTES: u64 = 512 * 1024 * 1024;

/// Whether a tracked file differs from the index, which was written at this time; `None` when that cannot
/// be known.
pub(super) fn differs(worktree: &OpenDir, index: &Index<'_>, written: (i64, i64)) -> Option<bool> {
    let mut left = MAX_READ_BYTES;
    for entry in &index.entries {
        if entry.is_open {
            return Some(true);
        }
        if entry.is_assumed || entry.mode == SUBMODULE {
            continue;
        }
        if file_differs(worktree, entry, written, &mut left)? {
            return Some(true);
        }
    }
    Some(false)
}

fn file_differs(
    worktree: &OpenDir,
    entry: &Entry<'_>,
    written: (i64, i64),
    left: &mut u64,
) -> Option<bool> {
    let opened = match worktree.open_below(entry.path.as_ref(), OFlags::PATH) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Some(true),
        Err(_) => return None,
    };
    let stat = fstat(&opened).ok()?;
    let size = u64::try_from(stat.st_size).ok()?;
    let (kind, is_program) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (0o100, stat.st_mode & 0o100 != 0),
        FileType::Symlink => (0o120, false),
        _ => return Some(true),
    };
    if entry.mode >> 9 != kind || (kind == 0o100 && (entry.mode & 0o100 != 0) != is_program) {
        return Some(true);
    }
    let mtime = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).ok()?);
    let seen = (i64::from(entry.mtime.0), i64::from(entry.mtime.1));
    let is_same_time = mtime == seen || (seen.1 == 0 && mtime.0 == seen.0);
    // A file that was written after Git had looked may have the same time as the index.
    let is_racy = seen.0 >= written.0;
    if is_same_time && !is_racy && u64::from(entry.size) == size {
        return Some(false);
    }
    *left = left.checked_sub(size)?;
    let id = if kind == 0o120 {
        let target = readlinkat(&opened, "", Vec::new()).ok()?;
        blob(target.as_bytes())
    } else {
        // The name may lead to another file by now.
        let (file, size) = worktree
            .file(entry.path.as_ref())
            .filter(|(_, found)| *found == size)?;
        let mut hash = Sha1::new();
        hash.update(format!("blob {size}\0").as_bytes());
        let mut file = file.take(size);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = file.read(&mut buffer).ok()?;
            let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
                break;
            };
            hash.update(read);
        }
        hash.finish()
    };
    Some(id != entry.id)
}

/// The id of a file with this content.
fn blob(content: &[u8]) -> Id {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()).as_bytes());
    hash.update(content);
    hash.finish()
}
