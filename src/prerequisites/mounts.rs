//! Whether the file systems of fstab(5) that hold an app are mounted.

use crate::app::Layout;
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::fault::{Fault, Impact};
use crate::host::Root;
use anyhow::Result;
use std::collections::BTreeSet;

/// The file systems that are to be mounted at or above one of these directories, and are not. A release or
/// state that is written there would be hidden once they are. Below `--root`, nothing is mounted.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn unmounted(root: &Root, directories: &BTreeSet<String>) -> Result<Vec<Fault>> {
    let missing = unmounted_points(root)?.into_iter();
    let missing = missing.filter(|point| {
        let below = format!("{point}/");
        directories
            .iter()
            .any(|path| path == point || path.starts_with(&below))
    });
    Ok(missing.map(|point| fault(&point)).collect())
}

/// The mount points of fstab(5) at which a file system is missing; none below `--root`.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn unmounted_points(root: &Root) -> Result<Vec<String>> {
    match root.is_host() {
        true => root.unmounted_points(),
        false => Ok(Vec::new()),
    }
}

/// Refuses to look for releases while the file system that holds them is not mounted.
///
/// # Errors
/// [`HintedError`] with what to mount, or when the host cannot be read.
pub(crate) fn check_mounted(root: &Root, layout: &Layout) -> Result<()> {
    let directories = BTreeSet::from([layout.opt(), layout.releases()]);
    match unmounted(root, &directories)?.into_iter().next() {
        Some(fault) => Err(HintedError::from(fault).into()),
        None => Ok(()),
    }
}

fn fault(point: &str) -> Fault {
    Fault::new(
        Impact::Blocking,
        format!("`{point}` is not mounted, and /etc/fstab has a file system for it"),
        Hint::to("mount it", CommandLine::sudo(["mount", point])),
    )
    .then("if that file system is gone for good, remove its line from /etc/fstab")
}
