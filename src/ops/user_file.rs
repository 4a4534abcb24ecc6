//! A file that the user names on the command line.

use crate::error::fail;
use crate::host::{is_link_error, read_user_bytes, read_user_file, read_user_file_without_links};
use anyhow::Result;
use std::io::ErrorKind;
use std::path::Path;

/// What becomes of links on the way to a file, and at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// They are followed.
    Followed,
    /// They are refused: the user who writes the file may not read all that root reads.
    Refused,
}

/// Reads it. `hint` says which file to name.
///
/// # Errors
/// A sentence about the file, with what to do.
pub(super) fn read_text(path: &Path, links: Links, hint: &str) -> Result<String> {
    let read = match links {
        Links::Followed => read_user_file(path),
        Links::Refused => read_user_file_without_links(path),
    };
    read.or_else(|error| explain(path, links, hint, &error))
}

/// The same for a file that need not be text. Links are followed.
///
/// # Errors
/// A sentence about the file, with what to do.
pub(super) fn read_bytes(path: &Path, hint: &str) -> Result<Vec<u8>> {
    let read = read_user_bytes(path);
    read.or_else(|error| explain(path, Links::Followed, hint, &error))
}

fn explain<T>(path: &Path, links: Links, hint: &str, error: &std::io::Error) -> Result<T> {
    let (shown, path) = (path, path.display());
    match error.kind() {
        ErrorKind::NotFound => fail(format!("`{path}` does not exist"), hint),
        ErrorKind::IsADirectory => fail(format!("`{path}` is a directory"), hint),
        ErrorKind::Unsupported => fail(format!("`{path}` is not a regular file"), hint),
        ErrorKind::FileTooLarge => fail(format!("`{path}` is larger than 1 MiB"), hint),
        ErrorKind::InvalidData => fail(format!("`{path}` is not text in UTF-8"), hint),
        ErrorKind::PermissionDenied => fail(
            format!("you may not read `{path}`"),
            "type `sudo` before the command, or let the owner of the file change its mode",
        ),
        _ if links == Links::Refused && is_link_error(error) => refused_link(shown),
        _ => fail(format!("`{path}` cannot be read: {error}"), hint),
    }
}

/// Refuses a file that holds the manifest, because of a link.
pub(super) fn refused_link<T>(path: &Path) -> Result<T> {
    fail(
        format!("`{}` is a link, or a link leads to it", path.display()),
        "name the manifest by its path without links: `realpath FILE` prints it",
    )
}
