//! Files and links that are replaced in one step; several of them, durable together.

use super::root::absent;
use super::temp::temp_path;
use super::{Flush, Root};
use crate::parallel::par_map;
use crate::tree::{Entry, FileTree};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Changes of which the names may not be on the disk before its end. A directory is synced once,
/// however many names in it change.
#[derive(Debug)]
#[must_use = "nothing is durable before its end"]
pub struct Batch<'a> {
    root: &'a Root,
    prepared: Vec<PreparedFile>,
    parents: BTreeSet<PathBuf>,
}

/// What is there under a name that nobody reads. It is removed again unless it gets its own.
#[derive(Debug)]
pub(super) struct PreparedFile {
    temporary: PathBuf,
    real: PathBuf,
    /// What is not on the disk yet: a link's text comes there with its name.
    unsynced: Option<File>,
    is_named: bool,
}

impl Drop for PreparedFile {
    fn drop(&mut self) {
        if !self.is_named {
            // What cannot be removed now, the next run sweeps away.
            let _ = fs::remove_file(&self.temporary);
        }
    }
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
            prepared: Vec::new(),
            parents: BTreeSet::new(),
        }
    }

    /// Puts an entry in place, or removes what is there. The content is on the disk before the
    /// name is there; one file at a time needs room beside the old one.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn put(&mut self, path: &str, entry: Option<&Entry>) -> Result<()> {
        match entry {
            Some(entry) => {
                let mut ready = self.written(path, entry)?;
                ready.sync()?;
                ready.publish()?;
            }
            None => {
                let real = self.root.path(path);
                let removed = absent(fs::remove_file(&real));
                removed.with_context(|| format!("removing `{}`", real.display()))?;
            }
        }
        self.sync_name(path);
        Ok(())
    }

    /// Writes an entry that gets its name at the end, or never.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn prepare(&mut self, path: &str, entry: &Entry) -> Result<()> {
        let ready = self.written(path, entry)?;
        self.prepared.push(ready);
        self.sync_name(path);
        Ok(())
    }

    fn written(&self, path: &str, entry: &Entry) -> Result<PreparedFile> {
        if let Some(parent) = Path::new(path).parent().and_then(Path::to_str) {
            self.root.make_dir(parent, 0o755)?;
        }
        let real = self.root.path(path);
        match entry {
            Entry::File { mode, bytes } => PreparedFile::file(real, bytes, *mode),
            Entry::Symlink(target) => PreparedFile::link(real, target),
        }
    }

    /// Counts a name that is as it should be among those that will be durable.
    pub fn sync_name(&mut self, path: &str) {
        let real = self.root.path(path);
        self.parents.extend(real.parent().map(Path::to_owned));
    }

    /// Brings to the disk what is prepared in several batches, at once: a file system commits it
    /// together. Their ends need not write it any more.
    ///
    /// # Errors
    /// The operating system's, with the path; the batches are of no use then.
    pub fn sync<'b>(batches: impl IntoIterator<Item = &'b mut Self>) -> Result<()>
    where
        'a: 'b,
    {
        let ready = batches.into_iter().flat_map(|batch| &mut batch.prepared);
        let unsynced = ready.filter_map(|one| Some((one.unsynced.take()?, one.doing())));
        let unsynced: Vec<(File, String)> = unsynced.collect();
        let sync = |(file, doing): &(File, String), (): &mut ()| {
            file.sync_all().with_context(|| doing.clone())
        };
        par_map(&unsynced, || (), sync).map(drop)
    }

    /// Makes all of it durable, and names what is prepared: its content is on the disk before.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn end(mut self) -> Result<()> {
        Self::sync([&mut self])?;
        self.publish()
    }

    /// As [`Batch::end`], after the flush of a tree, which ends with it: what lies on its file
    /// system is on the disk by that.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn end_with(mut self, mut flush: Flush) -> Result<()> {
        flush.end()?;
        let mut ready = self.prepared.iter_mut();
        ready.try_for_each(|one| match flush.covers(&one.temporary) {
            true => Ok(()),
            false => one.sync(),
        })?;
        self.publish()
    }

    fn publish(mut self) -> Result<()> {
        self.prepared
            .iter_mut()
            .try_for_each(PreparedFile::publish)?;
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

impl PreparedFile {
    /// The temporary name is unique: a leftover of a killed run can never be published or be in
    /// the way.
    fn new(real: PathBuf) -> Self {
        Self {
            temporary: temp_path(&real),
            real,
            unsynced: None,
            is_named: false,
        }
    }

    /// A file.
    pub(super) fn file(real: PathBuf, bytes: &[u8], mode: u32) -> Result<Self> {
        let mut ready = Self::new(real);
        let write = || -> std::io::Result<File> {
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&ready.temporary)?;
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            Ok(file)
        };
        ready.unsynced = Some(write().with_context(|| ready.doing())?);
        Ok(ready)
    }

    /// A symbolic link.
    pub(super) fn link(real: PathBuf, target: &str) -> Result<Self> {
        let ready = Self::new(real);
        symlink(target, &ready.temporary).with_context(|| ready.doing())?;
        Ok(ready)
    }

    /// Brings the content to the disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        // By the descriptor that wrote it: what went wrong since is told to that one.
        match self.unsynced.take() {
            Some(file) => file.sync_all().with_context(|| self.doing()),
            None => Ok(()),
        }
    }

    /// Gives it its name, which may not be on the disk then.
    pub(super) fn publish(&mut self) -> Result<()> {
        fs::rename(&self.temporary, &self.real).with_context(|| self.doing())?;
        self.is_named = true;
        Ok(())
    }

    fn doing(&self) -> String {
        format!("writing `{}`", self.real.display())
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Entry, Flush, Root};

    #[test]
    fn what_is_prepared_gets_its_name_at_the_end_or_never() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let list = || root.list("/d").unwrap();
        let link = Entry::Symlink("f".to_owned());
        let entries = [("/d/f", Entry::file("x")), ("/d/l", link)];
        let begun = || {
            let mut batch = Batch::new(&root);
            for (path, entry) in &entries {
                batch.prepare(path, entry).unwrap();
            }
            assert_eq!(list().len(), 2);
            assert!(list().iter().all(|name| name.starts_with('.')));
            batch
        };
        drop(begun());
        assert_eq!(list(), [""; 0]);
        begun().end().unwrap();
        assert_eq!(list(), ["f", "l"]);
        for (path, entry) in &entries {
            assert_eq!(root.entry(path).unwrap().as_ref(), Some(entry));
            root.remove_file(path).unwrap();
        }
        let flush = Flush::begin(dir.path()).unwrap();
        begun().end_with(flush).unwrap();
        assert_eq!(list(), ["f", "l"]);
    }

    #[test]
    fn a_flush_covers_its_own_file_system_alone() {
        let dir = tempfile::tempdir().unwrap();
        let flush = Flush::begin(dir.path()).unwrap();
        assert!(flush.covers(dir.path()));
        assert!(!flush.covers(std::path::Path::new("/proc/self")));
        assert!(!flush.covers(&dir.path().join("absent")));
    }
}
