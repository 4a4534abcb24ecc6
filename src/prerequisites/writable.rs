//! Whether what a change writes can be written.

use super::PlannedChange;
use super::protection::protected;
use crate::app::Layout;
use crate::app::layout::{SYSUSERS_DIR, TMPFILES_DIR};
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Mismatch, Root};
use crate::tree::Entry;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where systemd-sysusers(8) writes users and groups.
const ACCOUNTS_DIR: &str = "/etc";

/// The directories that every change of an app writes to.
pub(crate) fn directories_of_changes(layout: &Layout) -> [String; 4] {
    let store = layout.store();
    [
        store.clone(),
        format!("{store}/releases"),
        layout.opt(),
        layout.releases(),
    ]
}

/// Everything that a plan writes, and cannot.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn unwritable_files(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let PlannedChange {
        host,
        app,
        tree,
        plan,
        ..
    } = change;
    let (root, layout) = (&host.root, &app.layout);
    let mut dirs = directories_of_changes(layout).to_vec();
    let paths: Vec<&str> = plan.files.iter().map(|one| one.path.as_str()).collect();
    let parents = paths.iter().filter_map(|path| path.rsplit_once('/'));
    let parents: BTreeSet<&str> = parents.map(|(dir, _)| dir).collect();
    dirs.extend(parents.into_iter().map(str::to_owned));
    // systemd-sysusers(8) locks the user database, although nothing is missing in it.
    let sysusers = format!("{SYSUSERS_DIR}/{}.conf", app.name);
    if !plan.accounts.is_empty() || paths.contains(&sysusers.as_str()) {
        dirs.push(ACCOUNTS_DIR.to_owned());
    }
    let generated = app.secrets.iter().any(|secret| secret.generate.is_some());
    if generated && !change.is_rollback {
        dirs.push(layout.credentials());
    }
    let tmpfiles = format!("{TMPFILES_DIR}/{}.conf", app.name);
    let text = tree.get(&tmpfiles).map(Entry::text).unwrap_or_default();
    // systemd-tmpfiles(8) creates, or changes the owner and the mode of, what differs.
    for (path, how) in root.tmpfiles_mismatches(&text)? {
        let parent = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
        match how {
            Mismatch::Missing => dirs.push(parent.to_owned()),
            // What is there instead has a fault of its own.
            Mismatch::Kind => {}
            _ if root.meta(&path)?.is_some_and(|meta| meta.is_dir) => dirs.push(path),
            _ => dirs.push(parent.to_owned()),
        }
    }
    let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
    let mut faults = unwritable_directories(root, &dirs)?;
    for fault in protected(root, &paths)? {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    Ok(faults)
}

/// Directories on a read-only file system, those that an attribute protects, and those that something else
/// is in place of. Of the directories of one file system, the first is named. A directory that does not
/// exist yet is created in the nearest one above it.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn unwritable_directories(root: &Root, dirs: &[&str]) -> Result<Vec<Fault>> {
    let (mut faults, mut writable) = (Vec::new(), Vec::new());
    let mut named: BTreeSet<PathBuf> = BTreeSet::new();
    for path in dirs {
        if let Some(file) = root.not_a_directory(path)? {
            if named.insert(file.clone()) {
                faults.push(Fault::new(
                    Impact::Blocking,
                    format!("`{}` is not a directory", file.display()),
                    "move it aside: files of the app are written below it",
                ));
            }
        } else if root.is_read_only(path)? {
            let mount = root.mount_of(path)?;
            if named.insert(mount.clone()) {
                let mount = mount.display().to_string();
                let remount = CommandLine::sudo(["mount", "-o", "remount,rw", &mount]);
                faults.push(Fault::new(
                    Impact::Blocking,
                    format!("the file system of `{path}` is read-only"),
                    Hint::to("make it writable", remount),
                ));
            }
        } else {
            writable.push(*path);
        }
    }
    faults.extend(protected(root, &writable)?);
    Ok(faults)
}
