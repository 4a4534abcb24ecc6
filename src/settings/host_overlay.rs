//! The overlay of this host, `/etc/<app>/robot.local.toml`.
//!
//! It decides what root starts and as what, so only root may write it.

use crate::app::HostOverlay;
use crate::app::Layout;
use crate::command_line::CommandLine;
use crate::error::{AS_ROOT, Hint, HintedError, fail};
use crate::host::Root;
use anyhow::Result;
use std::io::ErrorKind;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads the overlay of this host, if there is one.
///
/// # Errors
/// When another user than root can replace it, it cannot be read, or it has a mistake.
pub(crate) fn host_overlay(root: &Root, layout: &Layout) -> Result<Option<HostOverlay>> {
    let path = layout.local_manifest();
    let Some(meta) = root.meta(&path)? else {
        return Ok(None);
    };
    let shown = path.as_str();
    if !meta.is_file() {
        return fail(
            format!("`{shown}` is not a regular file"),
            "write the overlay of this host there, or remove it",
        );
    }
    if meta.len > MAX_BYTES {
        let hint = "check that it is the overlay of this host";
        return fail(format!("`{shown}` is larger than 1 MiB"), hint);
    }
    let etc = layout.etc();
    let dir = root.meta_followed(&etc)?;
    let dir = dir.map(|meta| (etc.as_str(), meta));
    for (path, meta) in dir.into_iter().chain([(shown, meta)]) {
        if meta.uid == 0 && meta.mode & 0o022 == 0 {
            continue;
        }
        let real = root.path(path).display().to_string();
        let chown = CommandLine::sudo(["chown", "root:root", &real]);
        let chmod = CommandLine::sudo(["chmod", "go-w", &real]);
        let owner = Hint::to("make root the owner", chown);
        let mode = Hint::to("let only root write", chmod);
        let steps = [(meta.uid != 0, owner), (meta.mode & 0o022 != 0, mode)];
        let hints = steps
            .into_iter()
            .filter_map(|(is_wrong, hint)| is_wrong.then_some(hint));
        return Err(HintedError {
            message: format!(
                "another user than root can change `{path}`, so `{shown}` is not used"
            ),
            hints: hints.collect(),
        }
        .into());
    }
    let text = match root.read_text(&path) {
        Ok(text) => text.unwrap_or_default(),
        Err(error) => {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied) {
                return fail(format!("only root can read `{shown}`"), AS_ROOT);
            }
            return Err(error);
        }
    };
    let overlay = HostOverlay::parse(shown, &text).map_err(|problem| {
        let line = problem
            .line
            .map_or(String::new(), |line| format!(":{line}"));
        HintedError::new(format!("{shown}{line}: {}", problem.message), problem.hint)
    })?;
    Ok(Some(overlay))
}
