//! Several files and links that are replaced together, with one sync for each directory.

use super::flush::Flush;
use super::prepared_file::PreparedFile;
use super::root::{Root, absent};
use crate::parallel::par_map;
use crate::tree::{Entry, FileTree};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Changes whose names become durable together at the end. A directory is synced once, no matter how
/// many names in it change.
#[derive(Debug)]
#[must_use = "nothing is durable before its end"]
pub struct Batch<'a> {
    root: &'a Root,
    prepared: Vec<PreparedFile>,
    parents: BTreeSet<PathBuf>,
}

impl Root {
    /// Writes every entry of a tree, durably.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn put_tree(&self, tree: &FileTree) -> Result<()> {
        let mut batch = Batch::new(self);
        for (path, entry) in tree.iter() {
            batch.replace_or_remove(path, Some(entry))?;
        }
        batch.end()
    }
}

impl<'a> Batch<'a> {
    /// A batch without changes.
    pub fn new(root: &'a Root) -> Self {
        Self {
            root,
            prepared: Vec::new(),
            parents: BTreeSet::new(),
        }
    }

    /// Replaces the entry at a path now, or removes it. The content is on the disk before the name
    /// is, and only one file at a time needs space beside the old one.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn replace_or_remove(&mut self, path: &str, entry: Option<&Entry>) -> Result<()> {
        match entry {
            Some(entry) => {
                let mut file = self.write(path, entry)?;
                file.sync()?;
                file.publish()?;
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

    /// Writes an entry that gets its name at the end of the batch.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn prepare(&mut self, path: &str, entry: &Entry) -> Result<()> {
        let file = self.write(path, entry)?;
        self.prepared.push(file);
        self.sync_name(path);
        Ok(())
    }

    fn write(&self, path: &str, entry: &Entry) -> Result<PreparedFile> {
        if let Some(parent) = Path::new(path).parent().and_then(Path::to_str) {
            self.root.make_dir(parent, 0o755)?;
        }
        let real = self.root.path(path);
        match entry {
            Entry::File { mode, bytes } => PreparedFile::file(real, bytes, *mode),
            Entry::Symlink(target) => PreparedFile::link(real, target),
        }
    }

    /// Makes an unchanged name durable at the end too.
    pub fn sync_name(&mut self, path: &str) {
        let real = self.root.path(path);
        self.parents.extend(real.parent().map(Path::to_owned));
    }

    /// Writes the prepared content of several batches to the disk in parallel, because a file system
    /// can commit it together. Their ends need not write it again.
    ///
    /// # Errors
    /// The operating system's, with the path. The batches cannot be used afterwards.
    pub fn sync<'b>(batches: impl IntoIterator<Item = &'b mut Self>) -> Result<()>
    where
        'a: 'b,
    {
        let prepared = batches.into_iter().flat_map(|batch| &mut batch.prepared);
        let unsynced: Vec<(File, String)> =
            prepared.filter_map(PreparedFile::take_unsynced).collect();
        let sync = |(file, context): &(File, String), (): &mut ()| {
            file.sync_all().with_context(|| context.clone())
        };
        par_map(&unsynced, || (), sync).map(drop)
    }

    /// Publishes what is prepared, after its content is on the disk, and makes all names durable.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn end(mut self) -> Result<()> {
        Self::sync([&mut self])?;
        self.publish()
    }

    /// As [`Batch::end`], together with the flush of a tree. That flush writes the content of all
    /// files on its file system.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn end_with(mut self, mut flush: Flush) -> Result<()> {
        flush.end()?;
        for file in &mut self.prepared {
            if !flush.covers(file.temporary()) {
                file.sync()?;
            }
        }
        self.publish()
    }

    fn publish(mut self) -> Result<()> {
        self.prepared
            .iter_mut()
            .try_for_each(PreparedFile::publish)?;
        // For a directory that was removed, the change is in the directory above it.
        let existing = |dir: &PathBuf| dir.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned);
        let dirs: BTreeSet<PathBuf> = self.parents.iter().filter_map(existing).collect();
        for dir in dirs {
            let sync = || File::open(&dir)?.sync_all();
            sync().with_context(|| format!("syncing `{}`", dir.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Entry, Flush, Root};

    #[test]
    fn prepared_files_get_their_names_at_the_end_or_never() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let list = || root.list("/d").unwrap();
        let link = Entry::Symlink("f".to_owned());
        let entries = [("/d/f", Entry::file("x")), ("/d/l", link)];
        let begin = || {
            let mut batch = Batch::new(&root);
            for (path, entry) in &entries {
                batch.prepare(path, entry).unwrap();
            }
            assert_eq!(list().len(), 2);
            assert!(list().iter().all(|name| name.starts_with('.')));
            batch
        };
        drop(begin());
        assert_eq!(list(), [""; 0]);
        begin().end().unwrap();
        assert_eq!(list(), ["f", "l"]);
        for (path, entry) in &entries {
            assert_eq!(root.entry(path).unwrap().as_ref(), Some(entry));
            root.remove_file(path).unwrap();
        }
        let flush = Flush::begin(dir.path()).unwrap();
        begin().end_with(flush).unwrap();
        assert_eq!(list(), ["f", "l"]);
    }

    #[test]
    fn a_flush_covers_only_its_own_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let flush = Flush::begin(dir.path()).unwrap();
        assert!(flush.covers(dir.path()));
        assert!(!flush.covers(std::path::Path::new("/proc/self")));
        assert!(!flush.covers(&dir.path().join("absent")));
    }
}
