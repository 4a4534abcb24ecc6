//! What a new tree shares with the live release: second names for files that are the same.

use super::Base;
use super::payload::{Item, Payload};
use crate::host::Host;
use crate::host::copy::{Dir, Placed, Wanted};
use crate::model::App;
use anyhow::Result;

/// The live release, and where it has files of the new one.
pub(super) struct BaseTree {
    dir: Dir,
    placed: Vec<Option<Placed>>,
}

impl BaseTree {
    pub(super) fn new(host: &Host, app: &App, base: &Base<'_>, payload: &Payload) -> Result<Self> {
        Ok(Self {
            dir: Dir::open(&host.root.path(&app.layout.release(base.id)))?,
            placed: shared(payload, base.payload),
        })
    }

    /// One directory of both trees, so that it is looked up once for all its files; none when the
    /// live release has no such directory.
    pub(super) fn dir(&self, path: &str, to: &Dir) -> Option<BaseDir<'_>> {
        Some(BaseDir {
            placed: &self.placed,
            name_at: if path.is_empty() { 0 } else { path.len() + 1 },
            old: self.dir.below(path).ok()?,
            new: to.below(path).ok()?,
        })
    }
}

/// One directory, in the live release and in the staged tree.
pub(super) struct BaseDir<'a> {
    placed: &'a [Option<Placed>],
    /// Where the rest of a path that lies in it begins.
    name_at: usize,
    old: Dir,
    new: Dir,
}

impl BaseDir<'_> {
    /// Gives the file at `at` a second name, if it is still what was once placed.
    pub(super) fn link(&self, at: usize, item: &Item) -> Option<Placed> {
        let placed = self.placed.get(at).copied().flatten()?;
        let wanted = Wanted {
            path: item.path.get(self.name_at..)?,
            ..item.wanted()
        };
        self.old.link(&wanted, &placed, &self.new).then_some(placed)
    }
}

/// For each item of `new`: where the very same file lies in the release `old`.
fn shared(new: &Payload, old: &Payload) -> Vec<Option<Placed>> {
    let both = new.beside(old).filter(|both| both.new.is_some());
    both.map(|both| match both.old {
        Some(old) if both.is_same() => old.traces.placed,
        _ => None,
    })
    .collect()
}
