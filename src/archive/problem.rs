//! Why an archive cannot be read, and what to type.

use crate::error::HintedError;
use std::path::Path;

/// Why an archive cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// It cannot be decoded. Each decoder words its own errors differently, and none helps.
    Damaged,
    /// The headers of one member are too long.
    LongHeaders,
    /// A name or a link target is too long for a path.
    LongName,
    /// It was compressed with a larger window than is decoded.
    LargeWindow,
    /// The child had to take more memory than it may.
    Memory,
    /// The child could not give up its rights, so it has read nothing.
    NotConfined,
}

/// What to type for an archive that has too much in it besides files.
const PLAIN: &str =
    "create the archive again without extended attributes: `tar --format=gnu -C DIR -cf app.tar .`";

/// Each problem, its byte on the pipe, what follows "the archive `NAME` ", and the hint.
const TABLE: [(Problem, u8, &str, &str); 6] = [
    (
        Problem::Damaged,
        0,
        "is damaged, truncated, or not of the type that its name says",
        "create it again, for example: `tar --create --auto-compress --file app.tar.zst -C DIR .`",
    ),
    (
        Problem::LongHeaders,
        1,
        "has a member with headers of more than 1 MiB",
        PLAIN,
    ),
    (
        Problem::LongName,
        2,
        "has a member whose name or link target is longer than 4095 bytes",
        "shorten the path, or leave it out of the archive with `tar --exclude`",
    ),
    (
        Problem::LargeWindow,
        3,
        "was compressed with a window of more than 128 MiB",
        "compress it again without `--long` and without a larger dictionary: `zstd -19` or `xz -9`",
    ),
    (
        Problem::Memory,
        4,
        "needs more memory than robotctl gives to an archive",
        PLAIN,
    ),
    (
        Problem::NotConfined,
        5,
        "cannot be read here: this host does not let a process give up its rights (seccomp(2), setrlimit(2))",
        "unpack it as an ordinary user, and deploy the directory",
    ),
];

impl Problem {
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] = [
        Self::Damaged,
        Self::LongHeaders,
        Self::LongName,
        Self::LargeWindow,
        Self::Memory,
        Self::NotConfined,
    ];

    /// Its byte on the pipe.
    pub(super) fn byte(self) -> u8 {
        let row = TABLE.iter().find(|(problem, ..)| *problem == self);
        row.map_or(0, |(_, byte, ..)| *byte)
    }

    /// The problem of a byte on the pipe.
    pub(super) fn of(byte: u8) -> Self {
        let row = TABLE.iter().find(|(_, known, ..)| *known == byte);
        row.map_or(Self::Damaged, |(problem, ..)| *problem)
    }

    /// The refusal of an archive.
    pub(super) fn refusal(self, archive: &Path) -> HintedError {
        let row = TABLE.iter().find(|(problem, ..)| *problem == self);
        let (what, hint) = row.map_or(("cannot be read", PLAIN), |(_, _, what, hint)| (what, hint));
        HintedError::new(format!("the archive `{}` {what}", archive.display()), hint)
    }
}
