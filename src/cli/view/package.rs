//! A package that was made.

use crate::bytesize::format_bytes;
use crate::ops::MadePackage;
use schemars::JsonSchema;
use serde::Serialize;

/// A package in JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct PackageData {
    /// The file.
    path: String,
    /// Its size in bytes.
    bytes: u64,
    /// How many files of the release it holds.
    files: usize,
    /// Its `Depends:`.
    depends: String,
}

impl PackageData {
    pub(in crate::cli) fn new(made: &MadePackage) -> Self {
        Self {
            path: made.path.display().to_string(),
            bytes: made.bytes,
            files: made.files,
            depends: made.depends.clone(),
        }
    }
}

/// The lines for people.
pub(in crate::cli) fn text(made: &MadePackage) -> String {
    format!(
        "{}\n  {} of the release, {}\n  depends on {}\n",
        made.path.display(),
        super::counted(made.files, "file"),
        format_bytes(made.bytes),
        made.depends
    )
}
