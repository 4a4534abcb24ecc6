//! Which decoder a file needs, by its name.

use std::path::Path;

/// How a tar file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Not at all.
    Tar,
    /// With gzip (RFC 1952).
    Gzip,
    /// With xz.
    Xz,
    /// With Zstandard (RFC 8878).
    Zstd,
}

/// The suffixes of the archives that can be decoded.
const SUFFIXES: [(&str, Format); 6] = [
    (".tar", Format::Tar),
    (".tar.gz", Format::Gzip),
    (".tgz", Format::Gzip),
    (".tar.zst", Format::Zstd),
    (".tar.xz", Format::Xz),
    (".txz", Format::Xz),
];

/// One mebibyte.
const MIB: u64 = 1024 * 1024;

impl Format {
    /// The largest window of a decoder, in bytes. `zstd --ultra` uses as much, `xz -9` half of it.
    pub(super) const MAX_WINDOW: u64 = 128 * MIB;
    /// What reading may take besides the window, in bytes.
    const WORKING_MEMORY: u64 = 64 * MIB;

    /// The format of a file with this name; `None` if the name is not that of an archive.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.to_string_lossy();
        let mut known = SUFFIXES.iter();
        let found = known.find(|(suffix, _)| name.ends_with(suffix));
        found.map(|(_, format)| *format)
    }

    /// How much memory reading may take, in bytes.
    pub(super) fn max_memory(self) -> u64 {
        Self::WORKING_MEMORY
            + match self {
                Self::Tar | Self::Gzip => 0,
                Self::Xz | Self::Zstd => Self::MAX_WINDOW,
            }
    }

    /// The word for it on the command line of the child.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;
    use clap::ValueEnum;
    use std::path::Path;

    #[test]
    fn the_word_of_a_format_is_that_of_the_command_line() {
        for format in Format::value_variants() {
            assert_eq!(Format::from_str(format.word(), false), Ok(*format));
        }
    }

    #[test]
    fn the_name_decides() {
        let of = |name: &str| Format::of(Path::new(name));
        assert_eq!(of("/a/app.tar.zst"), Some(Format::Zstd));
        assert_eq!(of("app-1.tgz"), Some(Format::Gzip));
        assert_eq!(of("app.tar.bz2"), None);
        assert_eq!(of("tar"), None);
    }
}
