//! What differs in a release from what was staged, beyond length and time stamp.

use super::records::Store;
use crate::app::App;
use crate::app::PYTHON_DIR;
use crate::host::files::{self, WalkEntry};
use crate::payload::{ContentHash, Item, Kind, Payload};
use anyhow::Result;

/// The permission bits that are compared. The check `permissions` of the doctor reports write access of
/// others and setuid bits.
const COMPARED_BITS: u32 = 0o755;

/// Paths of a release that are not as they were staged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExactChanges {
    /// Paths with another kind, another target, or another content.
    pub changed: Vec<String>,
    /// Paths with other permission bits: those that they have, and those that they should have.
    pub modes: Vec<(String, u32, u32)>,
    /// Paths that were not staged. What is below an added directory is not listed.
    pub added: Vec<String>,
}

impl Store {
    /// Compares kinds, targets of links, modes and names with the payload that was staged; with `digests`
    /// also the content of every file. What a build made is not in the payload, so that modes and names are
    /// not compared where the commands of a build could change them.
    ///
    /// # Errors
    /// When the release cannot be read.
    pub fn exact_changes(
        &self,
        id: &str,
        app: &App,
        payload: &Payload,
        digests: bool,
    ) -> Result<ExactChanges> {
        let dir = self.root.path(&self.layout.release(id));
        let mut out = ExactChanges::default();
        let is_built = !app.release.build.is_empty();
        let has_python = app.release.python.is_some();
        for entry in files::below(&dir) {
            let entry = entry?;
            let path = match &entry {
                WalkEntry::Dir(path)
                | WalkEntry::File(path, _)
                | WalkEntry::Link(path, _)
                | WalkEntry::Special(path) => path.strip_prefix(&dir)?,
            };
            let path = path.to_string_lossy();
            if path.is_empty() || (has_python && is_at_or_below(&path, PYTHON_DIR)) {
                continue;
            }
            let Some(item) = payload.get(&path) else {
                let is_below = out
                    .added
                    .last()
                    .is_some_and(|last| is_at_or_below(&path, last));
                if !is_built && !is_below {
                    out.added.push(path.into_owned());
                }
                continue;
            };
            let mode = match (&entry, &item.kind) {
                (WalkEntry::File(_, mode), Kind::File { .. }) => Some(*mode),
                (WalkEntry::Dir(path), Kind::Dir) => files::mode(path)?,
                (WalkEntry::Link(_, is), Kind::Link(wanted))
                    if is.as_os_str() == wanted.as_str() =>
                {
                    None
                }
                _ => {
                    out.changed.push(path.into_owned());
                    continue;
                }
            };
            let mode = mode.map(|mode| mode & COMPARED_BITS);
            if let Some(mode) = mode.filter(|mode| *mode != item.mode() && !is_built) {
                out.modes.push((path.into_owned(), mode, item.mode()));
            }
        }
        if digests {
            let is_file = |item: &&Item| item.is_file();
            let items: Vec<&Item> = payload.items.iter().filter(is_file).collect();
            let paths: Vec<_> = items.iter().map(|item| dir.join(&item.path)).collect();
            let hashes = files::hashes(&paths)?;
            for (item, is) in items.into_iter().zip(hashes) {
                let Kind::File { hash, .. } = &item.kind else {
                    continue;
                };
                if is.is_some_and(|is| ContentHash::from(is) != *hash)
                    && !out.changed.contains(&item.path)
                {
                    out.changed.push(item.path.clone());
                }
            }
        }
        Ok(out)
    }
}

fn is_at_or_below(path: &str, dir: &str) -> bool {
    let rest = path.strip_prefix(dir);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
