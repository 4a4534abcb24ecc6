//! What `robotctl` remembers of an app, below `/var/lib/robotctl/<app>/`.
//!
//! | file | holds |
//! |---|---|
//! | `lock` | who works on the app now; the kernel's lock on it decides |
//! | `state.json` | the live release, those before it, and pins |
//! | `journal.json` | a change under way, with how to undo it; absent at rest |
//! | `reserve`, `reserve.N` | space and files that are given back when the disk is full |
//! | `failed.json` | releases that failed and are gone, the last hundred, each with the reason |
//! | `history.jsonl` | one line an event, the last thousand, for people and `robotctl history` |
//! | `releases/<id>.json` | manifest, rendered files and mark of a release |
//! | `releases/<id>.index` | the release's payload, and where each file was seen |
//!
//! Everything that decides is replaced in one step; the history only tells.

mod change;
mod damage;
mod failures;
mod history;
mod journal;
mod live;
mod lock;
mod release;

pub use crate::tree::{FileChange, Stored};
pub use change::{Change, Committed};
pub use damage::Damaged;
pub use journal::{Journal, Step, UnitChanges};
pub use release::{Mark, ReleaseRecord};

use crate::app::layout::STORES_DIR;
use crate::app::{Layout, Name};
use crate::host::{Batch, Root};
use crate::tree::Entry;
use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The version of the records' format: a newer one is refused ([`UnsupportedFormat`]), an older one is read.
/// An index says its own in its first line.
pub const FORMAT: u32 = 1;

/// The part of every record that is read first: it says whether the rest can be.
#[derive(Debug, Deserialize)]
struct Version {
    #[serde(default)]
    format: u32,
}

/// A record that a newer `robotctl` wrote: what it means cannot be known, so nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedFormat {
    path: String,
    format: u32,
}

impl fmt::Display for UnsupportedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, format } = self;
        write!(
            f,
            "`{path}` was written by a newer `robotctl`: it has format {format}, this one reads \
             up to {FORMAT}\n\nhint: install that `robotctl` again; nothing was changed"
        )
    }
}

impl std::error::Error for UnsupportedFormat {}

/// Bytes that are kept for going back on a full disk: the journal and the units, once more.
const RESERVE_BYTES: usize = 1024 * 1024;

/// Files that are kept for going back where no other can be made: the journal and the state, the one
/// that is being replaced, and units that only the earlier release has.
const RESERVE_FILES: u64 = 8;

/// How many steps back a prune leaves.
const MAX_PREVIOUS: usize = 100;

/// What is live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Format of this file.
    #[serde(default)]
    pub format: u32,
    /// The live release.
    pub live: Option<String>,
    /// The releases that were live before it, the latest last.
    #[serde(default)]
    pub before: Vec<String>,
    /// Services that stay on a release of their own: short name to release.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// When the live release went live.
    pub since: Option<String>,
    /// The trace id of the change that wrote this. A change under way is proven once it is its
    /// own ([`Journal::made`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

impl State {
    /// The state after `release` has gone live. After a rollback, the next rollback goes back
    /// further.
    #[must_use]
    pub fn after(mut self, release: &str, is_rollback: bool) -> Self {
        if self.live.as_deref() != Some(release) {
            match self.before.iter().rposition(|id| id == release) {
                Some(at) if is_rollback => self.before.truncate(at),
                _ => self.before.extend(self.live.take()),
            }
        }
        self.live = Some(release.to_owned());
        self
    }
}

/// The records of one app.
#[derive(Debug, Clone)]
pub struct Store {
    root: Root,
    layout: Layout,
    dir: String,
}

impl Store {
    /// The book of the app with this layout; nothing is read or made yet.
    pub fn new(root: &Root, layout: &Layout) -> Self {
        Self {
            root: root.clone(),
            layout: layout.clone(),
            dir: layout.store(),
        }
    }

    /// Names of all apps that have a book on this host; one that holds only a lock is none.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn apps(root: &Root) -> Result<Vec<String>> {
        let mut names = Self::all(root)?;
        let mut failed = Ok(());
        names.retain(|name| {
            // Nobody has a book by what is no name.
            let Ok(name) = Name::parse(name) else {
                return false;
            };
            let store = Self::new(root, &Layout::new(&name));
            let blank = store.is_empty().unwrap_or_else(|error| {
                failed = Err(error);
                false
            });
            !blank
        });
        failed.map(|()| names)
    }

    /// Names of all books, those of killed first deploys included, in which nothing is written.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn all(root: &Root) -> Result<Vec<String>> {
        let mut names = root.list(STORES_DIR)?;
        names.retain(|name| !name.starts_with('.')); // Burned ones that are going.
        Ok(names)
    }

    /// Whether nothing is recorded of the app: there is no book, or one that holds only a lock.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(!self.has_saved_state()?
            && self.root.meta(&self.path("journal.json"))?.is_none()
            && self.root.list(&self.path("releases"))?.is_empty())
    }

    /// Refuses what a newer `robotctl` wrote; anything else that is wrong shows when it is read.
    ///
    /// # Errors
    /// [`UnsupportedFormat`] names the file.
    pub fn check_format(&self) -> Result<()> {
        for read in [
            self.state().map(drop),
            self.journal().map(drop),
            self.failures().map(drop),
        ] {
            if let Err(error) = read
                && error.is::<UnsupportedFormat>()
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether a state was ever recorded.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn has_saved_state(&self) -> Result<bool> {
        Ok(self.root.meta(&self.path("state.json"))?.is_some())
    }

    /// The state as it was last written: what a change has proven. What is live is
    /// [`Store::state`].
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn saved_state(&self) -> Result<Option<State>> {
        self.read("state.json")
    }

    /// Replaces the state; one that is there already is made durable and not written anew, since
    /// going back must work on a full disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_state(&self, state: &State) -> Result<()> {
        let mut state = state.clone();
        state.format = FORMAT;
        let there = self.saved_state().ok().flatten().map(|there| State {
            format: FORMAT,
            ..there
        });
        if there.as_ref() == Some(&state) {
            return self.sync();
        }
        self.write("state.json", &state)
    }

    /// Makes the names of state and journal durable, as they are.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn sync(&self) -> Result<()> {
        self.root.sync_dir(&self.dir)
    }

    /// When the order in which releases were live has more than a hundred steps: drops those of
    /// releases that are no longer known, and all but the last hundred.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn trim_previous(&self) -> Result<()> {
        let state = self.saved_state()?;
        let Some(mut state) = state.filter(|state| state.before.len() > MAX_PREVIOUS) else {
            return Ok(());
        };
        let known = self.releases()?;
        state.before.retain(|id| known.contains(id));
        let excess = state.before.len().saturating_sub(MAX_PREVIOUS);
        state.before.drain(..excess);
        self.set_state(&state)
    }

    /// The environment that the app was deployed with, as its live release says.
    pub fn environment(&self) -> Option<String> {
        let live = self.state().ok()?.live;
        let any = || self.releases().ok()?.pop();
        self.release(&live.or_else(any)?).ok()??.environment
    }

    /// The change under way, if one was interrupted.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn journal(&self) -> Result<Option<Journal>> {
        self.read("journal.json")
    }

    /// Records a step before it is taken.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_journal(&self, journal: &Journal) -> Result<()> {
        self.write("journal.json", journal)
    }

    /// The change is over.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn clear_journal(&self) -> Result<()> {
        self.root.remove_file(&self.path("journal.json"))
    }

    /// Keeps space for going back on a full disk; it is fine when there is none.
    pub fn reserve(&self) {
        let mut batch = Batch::new(&self.root);
        for (at, path) in self.reserve_files() {
            let len = if at == 0 { RESERVE_BYTES } else { 0 };
            if let Ok(None) = self.root.meta(&path) {
                let bytes = vec![0; len];
                let _ = batch.prepare(&path, &Entry::File { mode: 0o600, bytes });
            }
        }
        let _ = batch.end();
    }

    /// Gives the kept space back when the disk is full.
    pub fn release_reserve(&self) {
        let free = self.root.free_space(&self.dir);
        if free.is_ok_and(|(bytes, files)| {
            bytes < 2 * RESERVE_BYTES as u64 || files < 2 * RESERVE_FILES
        }) {
            let mut batch = Batch::new(&self.root);
            for (_, path) in self.reserve_files() {
                let _ = batch.put(&path, None);
            }
            let _ = batch.end();
        }
    }

    /// The files that keep space: the first one bytes, the others their own places.
    fn reserve_files(&self) -> impl Iterator<Item = (u64, String)> + '_ {
        let name = |at| match at {
            0 => self.path("reserve"),
            _ => self.path(&format!("reserve.{at}")),
        };
        (0..RESERVE_FILES).map(move |at| (at, name(at)))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path(name);
        let Some(bytes) = self.root.read(&path)? else {
            return Ok(None);
        };
        let damaged_files = |error: serde_json::Error| Damaged {
            path: self.root.path(&path).display().to_string(),
            why: error.to_string(),
        };
        let Version { format } = serde_json::from_slice(&bytes).map_err(damaged_files)?;
        if format > FORMAT {
            return Err(UnsupportedFormat { path, format }.into());
        }
        Ok(serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(damaged_files)?)
    }

    /// A record that gets its name at the end of the batch.
    fn prepared<T: Serialize>(&self, name: &str, value: &T) -> Result<Batch<'_>> {
        let mut batch = Batch::new(&self.root);
        let bytes = text(value)?;
        batch.prepare(&self.path(name), &Entry::File { mode: 0o600, bytes })?;
        Ok(batch)
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.root
            .write_atomic(&self.path(name), &text(value)?, 0o600)
    }
}

fn text<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).context("writing a record")?;
    text.push(b'\n');
    Ok(text)
}
