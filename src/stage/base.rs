//! What a new tree shares with the live release: second names for files that are the same.

use super::Base;
use super::payload::Item;
use super::previous::PreviousIndex;
use crate::app::App;
use crate::host::Host;
use crate::host::copy::{Dir, InstalledStat, Wanted};
use anyhow::Result;

/// The live release, and where it has files of the new one.
pub(super) struct BaseTree<'a> {
    dir: Dir,
    previous: &'a PreviousIndex,
}

impl<'a> BaseTree<'a> {
    pub(super) fn new(host: &Host, app: &App, base: &Base<'a>) -> Result<Self> {
        Ok(Self {
            dir: Dir::open(&host.root.path(&app.layout.release(base.id)))?,
            previous: base.previous,
        })
    }

    /// One directory of both trees, so that it is looked up once for all its files; none when the
    /// live release has no such directory.
    pub(super) fn dir(&self, path: &str, to: &Dir) -> Option<BaseDir<'a>> {
        Some(BaseDir {
            previous: self.previous,
            name_at: if path.is_empty() { 0 } else { path.len() + 1 },
            old: self.dir.below(path).ok()?,
            new: to.below(path).ok()?,
        })
    }
}

/// One directory, in the live release and in the staged tree.
pub(super) struct BaseDir<'a> {
    previous: &'a PreviousIndex,
    /// Where the rest of a path that lies in it begins.
    name_at: usize,
    old: Dir,
    new: Dir,
}

impl BaseDir<'_> {
    /// Gives the file at `at` a second name, if it is still what was once placed.
    pub(super) fn link(&self, at: usize, item: &Item) -> Option<InstalledStat> {
        let kind = self.previous.kind(at).filter(|kind| **kind == item.kind);
        let placed = self.previous.placed(at).filter(|_| kind.is_some())?;
        let wanted = Wanted {
            path: item.path.get(self.name_at..)?,
            ..item.wanted()
        };
        self.old.link(&wanted, &placed, &self.new).then_some(placed)
    }
}
