//! The version of the files of the store.

use crate::error::HintedError;
use serde::Deserialize;
use std::fmt;

/// The version of the format of all files. Data of a newer version is refused
/// ([`UnsupportedFormat`]), data of an older one is read. An index has a version of its own.
///
/// 2: the record of a release is split into a public and a private part.
pub const FORMAT: u32 = 2;

/// The part of every file that is read first: it says whether the rest can be read.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    #[serde(default)]
    pub(super) format: u32,
}

/// A file that a newer `robotctl` wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedFormat {
    path: String,
    format: u32,
}

impl UnsupportedFormat {
    pub(super) fn new(path: String, format: u32) -> Self {
        Self { path, format }
    }

    /// The error with its hint. `error.is::<UnsupportedFormat>()` finds it.
    pub(super) fn into_error(self) -> anyhow::Error {
        let hinted = HintedError::new(
            format!("`{}` was written by a newer robotctl", self.path),
            "install that version of robotctl again",
        );
        anyhow::Error::new(self).context(hinted)
    }
}

impl fmt::Display for UnsupportedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format;
        write!(
            f,
            "it has format {format}, this version reads up to {FORMAT}"
        )
    }
}

impl std::error::Error for UnsupportedFormat {}
