//! What a source must not hold, and the errors that say so.

use crate::bytesize::format_bytes;
use crate::error::HintedError;
use crate::printable::is_refused;
use std::path::Path;

/// The longest path of an item, in bytes. With the directory of a release before it, and with that of a service's own
/// root, it is still a path (PATH_MAX, path_resolution(7)).
const MAX_PATH_BYTES: usize = 3800;
/// The longest name of a file, in bytes (NAME_MAX, path_resolution(7)).
const MAX_NAME_BYTES: usize = 255;
/// How many directories an item may be in.
const MAX_DEPTH: usize = 128;

/// The path of an item as text. It must be UTF-8 without control characters, and no longer than a path can be.
pub(super) fn check_name(path: &Path) -> Result<String, HintedError> {
    let refuse = |what: &str| {
        HintedError::new(
            format!(
                "the source has a file name that {what}: `{}`",
                path.to_string_lossy().escape_debug()
            ),
            "rename it, or list it in `release.exclude`",
        )
    };
    let text = path.to_str().ok_or_else(|| refuse("is not UTF-8"))?;
    // Most names are ASCII, which is quick to check.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !is_plain && text.chars().any(is_refused) {
        return Err(refuse("contains a control character"));
    }
    check_length(path)?;
    Ok(text.to_owned())
}

/// Refuses a path that is longer or deeper than a release can have.
pub(super) fn check_length(path: &Path) -> Result<(), HintedError> {
    let text = path.to_string_lossy();
    if text.len() > MAX_PATH_BYTES || text.split('/').any(|name| name.len() > MAX_NAME_BYTES) {
        return Err(too_long(&text, "has a file name that is too long"));
    }
    if text.split('/').count() > MAX_DEPTH + 1 {
        return Err(too_long(
            &text,
            &format!("has a file in more than {MAX_DEPTH} directories"),
        ));
    }
    Ok(())
}

/// How much of a long path is shown, in characters.
const SHOWN_CHARACTERS: usize = 60;

fn too_long(path: &str, what: &str) -> HintedError {
    let start: String = path.chars().take(SHOWN_CHARACTERS).collect();
    HintedError::new(
        format!("the source {what}: `{start}…`"),
        "shorten the path, or list it in `release.exclude`",
    )
}

/// Refuses a file with a setuid or setgid bit.
pub(super) fn check_mode(path: &str, mode: u32) -> Result<(), HintedError> {
    if mode & 0o6000 == 0 {
        return Ok(());
    }
    Err(HintedError::new(
        format!("the source holds a setuid or setgid file: `{path}`"),
        "clear the bit with `chmod ug-s`; a service gets its privileges from its unit",
    ))
}

/// The error for a file that is neither a regular file, a directory nor a link.
pub(super) fn special_file(path: &str, what: &str) -> HintedError {
    HintedError::new(
        format!("the source holds a {what}: `{path}`"),
        "a release holds files, directories and links; list it in `release.exclude`",
    )
}

/// The error for files whose holes would take long to hash. Sizes in bytes.
pub(super) fn too_many_holes(path: &str, len: u64, holes: u64, max: u64) -> HintedError {
    HintedError::new(
        format!(
            "the source holds a file with large holes: {} of the {} of `{path}` have no data, and all \
             holes of a source can have {}",
            format_bytes(holes),
            format_bytes(len),
            format_bytes(max)
        ),
        "list it in `release.exclude`; a service can create such a file in its state directory",
    )
}

/// The error for a source that changed while it was read.
pub(super) fn source_changed(message: String) -> HintedError {
    HintedError::new(
        message,
        "stop the program that writes there, or build to another directory; then deploy again",
    )
}
