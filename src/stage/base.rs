//! Sharing files with the live release through hard links.

use super::copy::{Dir, FileSpec};
use crate::app::App;
use crate::host::Host;
use crate::payload::{InstalledStat, Item, PreviousIndex};
use anyhow::Result;

/// The live release, whose files a new one may share.
#[derive(Debug)]
pub struct Base<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its index, compared with the new payload.
    pub previous: &'a PreviousIndex,
}

/// The directory of the live release.
pub(super) struct BaseTree<'a> {
    dir: Dir,
    previous: &'a PreviousIndex,
}

impl<'a> BaseTree<'a> {
    pub(super) fn open(host: &Host, app: &App, base: &Base<'a>) -> Result<Self> {
        Ok(Self {
            dir: Dir::open(&host.root.path(&app.layout.release(base.id)))?,
            previous: base.previous,
        })
    }

    /// One directory in both releases, opened once for all its files. `None` if the live release
    /// does not have it.
    pub(super) fn subdir(&self, path: &str, to: &Dir) -> Option<BaseDir<'a>> {
        Some(BaseDir {
            previous: self.previous,
            name_start: if path.is_empty() { 0 } else { path.len() + 1 },
            old: self.dir.subdir(path).ok()?,
            new: to.subdir(path).ok()?,
        })
    }
}

/// One directory, in the live release and in the staged one.
pub(super) struct BaseDir<'a> {
    previous: &'a PreviousIndex,
    /// Where the file name begins in the path of an item of this directory.
    name_start: usize,
    old: Dir,
    new: Dir,
}

impl BaseDir<'_> {
    /// Links item `at` of the payload, if the live release has the same file, unchanged since it
    /// was installed.
    pub(super) fn link(&self, at: usize, item: &Item) -> Option<InstalledStat> {
        let same = self.previous.kind(at).filter(|kind| **kind == item.kind);
        let installed = self.previous.installed(at).filter(|_| same.is_some())?;
        let file = FileSpec {
            path: item.path.get(self.name_start..)?,
            ..FileSpec::of(item)
        };
        let is_linked = self.old.link(&file, &installed, &self.new);
        is_linked.then_some(installed)
    }
}
