//! What identifies a file's content, and a file on disk.

/// The content of a file: the first 192 bits of its BLAKE3 hash.
///
/// BLAKE3 may be truncated anywhere. At this length a collision takes 2^96 tries, and the index of
/// many small files is a quarter smaller than with 256 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentHash(pub [u8; Self::LEN]);

impl ContentHash {
    /// The length in bytes.
    pub const LEN: usize = 24;
    /// What a file has before its content is read.
    pub const UNKNOWN: Self = Self([0; Self::LEN]);
}

impl From<blake3::Hash> for ContentHash {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// Identifies one state of a source file: it changes whenever the content may have changed. Git's
/// index uses the same fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileStat {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
    /// The last change of the content, in nanoseconds since 1970.
    pub mtime: i64,
    /// The last change of the inode, in nanoseconds since 1970. No program can set it.
    pub ctime: i64,
}

/// Identifies one state of a file in a release. The ctime is not part of it: every further hard
/// link changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InstalledStat {
    /// The inode.
    pub ino: u64,
    /// The last change of the content, in nanoseconds since 1970.
    pub mtime: i64,
}

/// Where a file's content was read and written, so that robotctl need not read it again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// The file in the source. `None` if it changed so recently that a further change may leave
    /// the same time stamps (Git calls such a file "racily clean").
    pub source: Option<FileStat>,
    /// The file in the release.
    pub installed: Option<InstalledStat>,
}
