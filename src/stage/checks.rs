//! What a source must not hold, and the errors that say so.

use crate::bytesize::format_bytes;
use crate::error::HintedError;
use std::path::Path;

/// The path of an item as text. It must be UTF-8 without control characters.
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
    if !is_plain && text.chars().any(char::is_control) {
        return Err(refuse("contains a control character"));
    }
    Ok(text.to_owned())
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
