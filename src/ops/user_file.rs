//! A text file that the user names on the command line.

use crate::error::fail;
use crate::host::read_user_file;
use anyhow::Result;
use std::io::ErrorKind;
use std::path::Path;

/// Reads it. `hint` says which file to name.
///
/// # Errors
/// A sentence about the file, with what to do.
pub(super) fn read_text(path: &Path, hint: &str) -> Result<String> {
    let error = match read_user_file(path) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => fail(format!("`{path}` does not exist"), hint),
        ErrorKind::IsADirectory => fail(format!("`{path}` is a directory"), hint),
        ErrorKind::InvalidData => fail(format!("`{path}` is not text in UTF-8"), hint),
        ErrorKind::PermissionDenied => fail(
            format!("you may not read `{path}`"),
            "type `sudo` before the command, or let the owner of the file change its mode",
        ),
        _ => fail(format!("`{path}` cannot be read: {error}"), hint),
    }
}
