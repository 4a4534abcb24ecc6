//! The store of one app: reading and writing its files.

use super::format::{FORMAT, UnsupportedFormat, Version};
use crate::app::layout::STORES_DIR;
use crate::app::{Layout, Name};
use crate::error::{AS_ROOT, fail};
use crate::host::{Batch, Root};
use crate::tree::Entry;
use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Mode of the files that any user may read.
pub(super) const PUBLIC: u32 = 0o644;
/// Mode of the files that only root may read.
pub(super) const PRIVATE: u32 = 0o600;
/// Mode of an app's directory: any user may open a file whose name they know, only root may list it.
pub(super) const DIR_MODE: u32 = 0o711;

/// The store of one app.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) root: Root,
    pub(super) layout: Layout,
    pub(super) dir: String,
}

impl Store {
    /// The store of the app with this layout. Nothing is read or created.
    pub fn new(root: &Root, layout: &Layout) -> Self {
        Self {
            root: root.clone(),
            layout: layout.clone(),
            dir: layout.store(),
        }
    }

    /// Names of all apps of this host that have a store. A store that holds only a lock does not
    /// count.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn apps_with_records(root: &Root) -> Result<Vec<String>> {
        let mut apps = Vec::new();
        for name in Self::all_store_names(root)? {
            // A directory that no app can be called is not a store. A store that this user cannot
            // read counts: the command that reads it says why it cannot.
            if let Ok(valid) = Name::parse(&name)
                && !matches!(Self::new(root, &Layout::new(&valid)).is_empty(), Ok(true))
            {
                apps.push(name);
            }
        }
        Ok(apps)
    }

    /// Names of all stores, also of those that a killed first deploy left empty.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn all_store_names(root: &Root) -> Result<Vec<String>> {
        let mut names = root.list(STORES_DIR)?;
        // A dot begins the name of a store that is being deleted.
        names.retain(|name| !name.starts_with('.'));
        Ok(names)
    }

    /// Whether the store's directory exists, with or without records.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn exists(&self) -> Result<bool> {
        Ok(self.root.meta(&self.dir)?.is_some())
    }

    /// Whether nothing is recorded of the app.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(!self.has_saved_state()?
            && self.root.meta(&self.path("journal.json"))?.is_none()
            && self.root.list(&self.path("releases"))?.is_empty())
    }

    /// Refuses data of a newer `robotctl`. Other damage shows when the file is read.
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

    /// The errors of the files that cannot be read: the state, the journal, the list of failed releases,
    /// and the records of all releases. One does not hide the others.
    ///
    /// # Errors
    /// When the releases cannot be listed.
    pub fn unreadable_files(&self) -> Result<Vec<anyhow::Error>> {
        let state = self.state();
        let live = state.as_ref().ok().and_then(|state| state.live.clone());
        let others = self.releases()?.into_iter();
        let others = others.filter(|id| Some(id) != live.as_ref());
        let releases = live.iter().cloned().chain(others);
        let releases = releases.map(|id| self.release(&id).map(drop));
        let files = [
            state.map(drop),
            self.journal().map(drop),
            self.failures().map(drop),
        ];
        let read = files.into_iter().chain(releases);
        Ok(read.filter_map(Result::err).collect())
    }

    /// Makes the names of state and journal durable, as they are.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn sync(&self) -> Result<()> {
        self.root.sync_dir(&self.dir)
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path(name);
        let bytes = match self.root.read(&path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) if is_denied(&error) => {
                let message = format!("`{path}` can be read by root only");
                return fail(message, AS_ROOT);
            }
            Err(error) => return Err(error),
        };
        let damaged = |error: serde_json::Error| self.damaged(&path, &error.to_string());
        let Version { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(UnsupportedFormat::new(path, format).into_error());
        }
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// The error of a state that names a release without a record.
    pub fn missing_record(&self, id: &str) -> anyhow::Error {
        let reason = format!("the live release {id} has no record");
        self.damaged(&self.path("state.json"), &reason)
    }

    /// A file that gets its name at the end of the batch.
    pub(super) fn prepared<T: Serialize>(&self, name: &str, value: &T) -> Result<Batch<'_>> {
        let mut batch = Batch::new(&self.root);
        self.prepare_in(&mut batch, name, value)?;
        Ok(batch)
    }

    /// Adds a file to a batch.
    pub(super) fn prepare_in<T: Serialize>(
        &self,
        batch: &mut Batch<'_>,
        name: &str,
        value: &T,
    ) -> Result<()> {
        let (mode, bytes) = (mode_of(name), json(value)?);
        batch.prepare(&self.path(name), &Entry::File { mode, bytes })
    }

    pub(super) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.root
            .write_atomic(&self.path(name), &json(value)?, mode_of(name))
    }
}

/// Whether a file exists that this user may not read.
fn is_denied(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The mode of a file of the store, by its name.
fn mode_of(name: &str) -> u32 {
    let is_public = ["state.json", "package.json"].contains(&name)
        || ["history.jsonl", "attempts.jsonl"].contains(&name)
        || (name.starts_with("releases/") && name.ends_with(".json"));
    if is_public { PUBLIC } else { PRIVATE }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).context("writing a record")?;
    text.push(b'\n');
    Ok(text)
}
