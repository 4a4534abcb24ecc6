//! What is known of each release.

use super::{Store, text};
use crate::app::App;
use crate::host::Batch;
use crate::manifest::parse;
use crate::payload::{Payload, PreviousIndex, index};
use crate::tree::{Entry, FileTree, Stored};
use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a release has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "mark", content = "why")]
pub enum Mark {
    /// In place, never live.
    Staged,
    /// It was live and passed its checks.
    Good,
    /// It failed; the text says how. Not chosen again without `--force`.
    Bad(String),
}

/// A release as it was staged: enough to put it back without its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Format of this file.
    pub format: u32,
    /// The release's id.
    pub id: String,
    /// The manifest's text.
    pub manifest: String,
    /// The overlay that was asked for.
    pub environment: Option<String>,
    /// Every file that it puts on the host.
    pub files: BTreeMap<String, Stored>,
    /// When it was staged, RFC 3339: releases of one second are in order too.
    pub staged: String,
    /// Where its content came from, as typed.
    pub origin: String,
    /// How it has done.
    #[serde(flatten)]
    pub mark: Mark,
}

impl ReleaseRecord {
    /// The app that the release is.
    ///
    /// # Errors
    /// When this version of `robotctl` no longer takes the manifest.
    pub fn app(&self) -> Result<App> {
        let read = || App::from_manifest(&parse(&self.manifest)?, self.environment.as_deref());
        read()
            .map_err(|problem| anyhow!("{}", problem.at(&self.manifest)))
            .with_context(|| format!("reading the manifest of release `{}`", self.id))
    }

    /// The files that it puts on the host.
    ///
    /// # Errors
    /// When the record was damaged.
    pub fn tree(&self) -> Result<FileTree> {
        let mut tree = FileTree::default();
        for (path, stored) in &self.files {
            tree.insert(path, stored.entry()?);
        }
        Ok(tree)
    }
}

impl Store {
    /// What is known of a release.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn release(&self, id: &str) -> Result<Option<ReleaseRecord>> {
        self.read(&format!("releases/{id}.json"))
    }

    /// Replaces what is known of a release.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_release(&self, record: &ReleaseRecord) -> Result<()> {
        self.write(&format!("releases/{}.json", record.id), record)
    }

    /// The payload of a release; `None` when it was not kept.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn payload(&self, id: &str) -> Result<Option<Payload>> {
        let bytes = self.payload_index(id)?;
        Ok(bytes.and_then(|bytes| index::decode(&bytes)))
    }

    /// What a release has at the paths of a payload; `None` when its own was not kept.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn previous_index(&self, id: &str, new: &Payload) -> Result<Option<PreviousIndex>> {
        let bytes = self.payload_index(id)?;
        Ok(bytes.and_then(|bytes| PreviousIndex::read(&bytes, new)))
    }

    /// What was kept of the payload of a release, as [`crate::payload::IndexHeader`] and [`PreviousIndex`] read it.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn payload_index(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.root.read(&self.index(id))
    }

    /// Keeps the payload of a release.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_payload(&self, id: &str, payload: &Payload) -> Result<()> {
        let bytes = index::encode(payload);
        self.root.write_atomic(&self.index(id), &bytes, 0o600)
    }

    /// What writes down a release that is being staged: its payload, unless that is known, and
    /// its record.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn prepare_release(
        &self,
        record: &ReleaseRecord,
        payload: Option<&Payload>,
    ) -> Result<Batch<'_>> {
        let mut batch = Batch::new(&self.root);
        let id = &record.id;
        let indexed = payload.map(|payload| (self.index(id), index::encode(payload)));
        for (path, bytes) in indexed
            .into_iter()
            .chain([(self.record(id), text(record)?)])
        {
            batch.prepare(&path, &Entry::File { mode: 0o600, bytes })?;
        }
        Ok(batch)
    }

    /// Ids of all releases that have a record.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn releases(&self) -> Result<Vec<String>> {
        self.ids(".json")
    }

    /// Ids of all releases of which something is written down, if only a part.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn partly_recorded(&self) -> Result<Vec<String>> {
        let mut ids = self.ids(".json")?;
        ids.extend(self.ids(".index")?);
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn ids(&self, suffix: &str) -> Result<Vec<String>> {
        let names = self.root.list(&self.path("releases"))?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(suffix));
        Ok(ids
            .filter(|id| !id.starts_with('.'))
            .map(str::to_owned)
            .collect())
    }

    /// Forgets a release.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget(&self, id: &str) -> Result<()> {
        self.root.remove_file(&self.index(id))?;
        self.root.remove_file(&self.record(id))
    }

    fn record(&self, id: &str) -> String {
        self.path(&format!("releases/{id}.json"))
    }

    fn index(&self, id: &str) -> String {
        self.path(&format!("releases/{id}.index"))
    }
}
