//! Which files outside the release change.

use super::input::{Candidate, Observed};
use crate::render::{made_for, possible_links};
use crate::tree::{Entry, FileChange, FileTree, Stored};
use crate::units::WantsLink;
use std::collections::BTreeSet;

/// The files that differ from those on the host, and warnings about them.
///
/// Two files are left alone:
///
/// - An enablement link that the live release installed and that is gone: the administrator has
///   disabled the unit, and it stays disabled.
/// - A file that the new release does not have and that belongs to another app now.
pub(super) fn file_changes(
    new: &Candidate<'_>,
    observed: &Observed,
) -> (Vec<FileChange>, Vec<String>) {
    let empty = FileTree::default();
    let live = observed.live.as_ref().map_or(&empty, |live| &live.tree);
    let mut changes = Vec::new();
    let mut warnings = Vec::new();
    let paths: BTreeSet<&str> = new.tree.paths().chain(live.paths()).collect();
    for path in paths {
        let installed = live.get(path);
        let before = observed.files.get(path);
        let mut after = new.tree.get(path);
        let is_link = matches!(after.or(installed), Some(Entry::Symlink(_)));
        if is_link && installed.is_some() && before.is_none() && after.is_some() {
            let unit = WantsLink::parse(path).map_or(path, |link| link.unit);
            warnings.push(format!(
                "`{unit}` was disabled by the administrator and stays disabled"
            ));
            after = None;
        }
        let owner = before.and_then(made_for);
        let is_of_another_app = owner.is_some_and(|owner| owner != new.app.name.as_str());
        if before == after || (after.is_none() && is_of_another_app) {
            continue;
        }
        if let (Some(installed), Some(before)) = (installed, before)
            && installed != before
            && !is_link
            && !observed.pinned.iter().any(|pin| path == *pin)
        {
            warnings.push(format!("`{path}` was changed by hand and will be replaced"));
        }
        changes.push(FileChange {
            path: path.to_owned(),
            before: before.map(Stored::new),
            after: after.map(Stored::new),
        });
    }
    changes.extend(links_of_removed_units(new, observed));
    (changes, warnings)
}

/// The links with which the administrator has enabled units that the new release does not have.
fn links_of_removed_units(new: &Candidate<'_>, observed: &Observed) -> Vec<FileChange> {
    let Some(live) = &observed.live else {
        return Vec::new();
    };
    let kept = possible_links(new.app);
    let links = possible_links(&live.app);
    let made_by_administrator = links.paths().filter(|path| {
        let is_in = |tree: &FileTree| tree.get(path).is_some();
        !is_in(&kept) && !is_in(&live.tree) && !is_in(new.tree)
    });
    let gone = made_by_administrator.filter_map(|path| {
        Some(FileChange {
            path: path.to_owned(),
            before: Some(Stored::new(observed.files.get(path)?)),
            after: None,
        })
    });
    gone.collect()
}
