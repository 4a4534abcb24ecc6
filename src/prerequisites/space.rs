//! Whether there are bytes and inodes for what a change writes, on each file system.

use super::PlannedChange;
use crate::app::Layout;
use crate::app::layout::{RUNTIME_UNIT_DIR, UNIT_DIR};
use crate::bytesize::format_bytes;
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::Root;
use crate::store::{Shortage, Space};
use anyhow::Result;

/// Bytes of the files of a few units on the host, beside the release.
const FILES_BYTES: u64 = 256 * 1024;
/// Inodes of those files. Each is written under a temporary name first.
const FILES_INODES: u64 = 16;
/// Where a deploy writes links that enable units, and accounts.
const ETC_DIR: &str = "/etc";

/// What so many files of the host need, wherever they are, and what the services need to begin.
pub(crate) fn spaces_of_files(layout: &Layout, files: usize) -> Vec<Space> {
    let files = u64::try_from(files).unwrap_or(u64::MAX);
    let inodes = FILES_INODES.saturating_add(files);
    let dirs = [
        UNIT_DIR.to_owned(),
        ETC_DIR.to_owned(),
        RUNTIME_UNIT_DIR.to_owned(),
        layout.state(),
    ];
    let space = |path| Space {
        path,
        bytes: FILES_BYTES,
        inodes,
    };
    dirs.into_iter().map(space).collect()
}

/// The file systems without space for what a plan writes, each once. An earlier release is on the disk
/// already, and robotctl keeps a reserve for a rollback.
///
/// # Errors
/// When the free space cannot be read.
pub(crate) fn shortages_of(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    if change.is_rollback || !change.is_new {
        return Ok(Vec::new());
    }
    let (root, layout) = (&change.host.root, &change.app.layout);
    let payload = &change.plan.payload;
    let (bytes, inodes) = (payload.disk_bytes, payload.disk_inodes);
    let mut spaces = Space::of_release(layout, payload.files, bytes, inodes).to_vec();
    spaces.extend(spaces_of_files(layout, change.plan.files.len()));
    let shortages = shortages(root, spaces)?.into_iter();
    let fault = |(path, shortage): (String, Shortage)| too_full(root, &path, shortage);
    Ok(shortages.map(fault).collect())
}

/// What the file systems have too little of, each once, with the first path on it.
///
/// # Errors
/// When the free space cannot be read.
pub(crate) fn shortages(root: &Root, spaces: Vec<Space>) -> Result<Vec<(String, Shortage)>> {
    let (mut found, mut full) = (Vec::new(), Vec::new());
    for space in spaces {
        let Some(shortage) = space.shortage(root)? else {
            continue;
        };
        let mount = root.mount_of(&space.path)?;
        if !full.contains(&mount) {
            full.push(mount);
            found.push((space.path, shortage));
        }
    }
    Ok(found)
}

/// What to do about a file system that is full.
pub(crate) fn how_to_free_space() -> Hint {
    Hint::to(
        "free disk space, or remove old releases",
        CommandLine::sudo_robotctl(["prune", "--apply"]),
    )
}

fn too_full(root: &Root, path: &str, shortage: Shortage) -> Fault {
    let place = root.path(path);
    let place = place.display();
    let message = match shortage {
        Shortage::Bytes { free, need } => format!(
            "the disk of `{place}` is too full: {} are free, the release needs {}",
            format_bytes(free),
            format_bytes(need)
        ),
        Shortage::Inodes { free, need } => format!(
            "the disk of `{place}` has too few inodes: {free} are free, the release needs {need}"
        ),
    };
    Fault::new(Impact::Blocking, message, how_to_free_space())
}
