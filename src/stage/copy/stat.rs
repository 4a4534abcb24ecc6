//! The state of a file, from stat(2).

use crate::payload::FileStat;
use rustix::fs::Stat;

/// What identifies the state of a source file.
pub(super) fn file_stat(stat: &Stat) -> FileStat {
    FileStat {
        dev: stat.st_dev,
        ino: stat.st_ino,
        mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
    }
}

fn nanoseconds(seconds: i64, rest: u64) -> i64 {
    let rest = i64::try_from(rest).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
