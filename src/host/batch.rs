//! Files and links that are replaced in one step; several of them, durable together.

use super::Root;
use super::leftovers::beside;
use super::root::absent;
use crate::tree::{Entry, FileTree};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Changes of which the names are not on the disk yet. A directory is synced once, however many
/// names in it change.
#[derive(Debug)]
#[must_use = "nothing is durable before its end"]
pub struct Batch<'a> {
    root: &'a Root,
    parents: BTreeSet<PathBuf>,
}

impl Root {
    /// Puts every entry of a tree in place, durably.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn put_tree(&self, tree: &FileTree) -> Result<()> {
        let mut batch = Batch::new(self);
        for (path, entry) in tree.iter() {
            batch.put(path, Some(entry))?;
        }
        batch.end()
    }
}

impl<'a> Batch<'a> {
    /// A batch of no changes yet.
    pub fn new(root: &'a Root) -> Self {
        Self {
            root,
            parents: BTreeSet::new(),
        }
    }

    /// Puts an entry in place, or removes what is there. The content is on the disk before the
    /// name is there.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn put(&mut self, path: &str, entry: Option<&Entry>) -> Result<()> {
        let real = self.root.path(path);
        if entry.is_some()
            && let Some(parent) = Path::new(path).parent().and_then(Path::to_str)
        {
            self.root.make_dir(parent, 0o755)?;
        }
        match entry {
            Some(Entry::File { mode, bytes }) => replace_file(&real, bytes, *mode)?,
            Some(Entry::Symlink(target)) => replace_link(&real, target)?,
            None => {
                let removed = absent(fs::remove_file(&real));
                removed.with_context(|| format!("removing `{}`", real.display()))?;
            }
        }
        self.name(path);
        Ok(())
    }

    /// Counts a name that is as it should be among those that will be durable.
    pub fn name(&mut self, path: &str) {
        let real = self.root.path(path);
        self.parents.extend(real.parent().map(Path::to_owned));
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn end(self) -> Result<()> {
        // Of a directory that is gone, its own name is what has changed.
        let there = |dir: &PathBuf| dir.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned);
        let dirs: BTreeSet<PathBuf> = self.parents.iter().filter_map(there).collect();
        for dir in dirs {
            let sync = || File::open(&dir)?.sync_all();
            sync().with_context(|| format!("syncing `{}`", dir.display()))?;
        }
        Ok(())
    }
}

/// Replaces a file; its content is on the disk then, its name may not be.
pub(super) fn replace_file(real: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let make = |temporary: &Path| -> std::io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    };
    replace(real, make).with_context(|| format!("writing `{}`", real.display()))
}

/// Replaces a link; its name may not be on the disk then.
pub(super) fn replace_link(real: &Path, target: &str) -> Result<()> {
    replace(real, |temporary| symlink(target, temporary))
        .with_context(|| format!("pointing `{}` at `{target}`", real.display()))
}

/// Makes something new and gives it a name that may be taken. The temporary name is unique: a
/// leftover of a killed run can never be published or be in the way.
fn replace(real: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let temporary = beside(real);
    make(&temporary)
        .and_then(|()| fs::rename(&temporary, real))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
}
