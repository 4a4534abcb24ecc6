//! Making a built tree fit for a release: plain modes, no special files, and links that stay in it.

use crate::app::App;
use crate::error::HintedError;
use crate::host::files::{self, WalkEntry};
use crate::payload::links::check_built_links;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// Sets plain modes below `written`, where the build could write. Refuses special files, and links of
/// the whole tree at `top` that lead neither into it nor to `/usr`.
///
/// # Errors
/// [`HintedError`] with the file or link.
pub fn normalise(written: &Path, top: &Path, app: &App) -> Result<()> {
    let found: Vec<WalkEntry> = files::below(top).collect::<Result<_>>()?;
    let mut links = BTreeMap::new();
    for found in found {
        match found {
            WalkEntry::Dir(path) if path.starts_with(written) => files::set_mode(&path, 0o755)?,
            WalkEntry::File(path, mode) if path.starts_with(written) => {
                // A process of the build may still have the file open, so a copy takes its place.
                files::replace_with_copy(&path, if mode & 0o111 != 0 { 0o755 } else { 0o644 })?;
            }
            WalkEntry::Dir(_) | WalkEntry::File(..) => {}
            WalkEntry::Link(path, target) => {
                let name = path.strip_prefix(top).unwrap_or(&path);
                let (name, target) = plain_link(name, &target)?;
                links.insert(name, target);
            }
            WalkEntry::Special(path) => {
                let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy();
                let refused = HintedError::new(
                    format!("the build made a special file: `{}`", name.escape_debug()),
                    "let the build remove it: a release can hold only files, directories and links",
                );
                return Err(refused.into());
            }
        }
    }
    Ok(check_built_links(&links, &app.layout.current())?)
}

/// The name and the target of a link of the build, as text.
fn plain_link(name: &Path, target: &Path) -> Result<(String, String), HintedError> {
    match (name.to_str(), target.to_str()) {
        (Some(name), Some(target)) => Ok((name.to_owned(), target.to_owned())),
        _ => Err(HintedError::new(
            format!(
                "the build made a link whose name or target is not UTF-8: `{}` -> `{}`",
                name.to_string_lossy().escape_debug(),
                target.to_string_lossy().escape_debug()
            ),
            "let the build remove or rename it",
        )),
    }
}
