//! The records of releases.
//!
//! The public part lists what any user may know, the private part holds the content. The mark is in
//! the public part only, so that marking a release replaces one file.

use super::built::built_name;
use super::damage::Damaged;
use super::format::{FORMAT, UnsupportedFormat};
use super::on_host::OnHost;
use super::records::{PRIVATE, PUBLIC, Store};
use crate::app::{App, HostOverlay};
use crate::host::{Batch, files};
use crate::manifest::parse;
use crate::payload::{Payload, PreviousIndex, index};
use crate::provenance::Provenance;
use crate::tree::{Entry, FileTree, Stored};
use anyhow::{Context as _, Result, anyhow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What every user learns of a failure that format 1 recorded. Its own text may hold the output of a
/// service.
pub(super) const UNKNOWN_FAILURE: &str = "it failed under an earlier robotctl";

/// How a release has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "mark", content = "why")]
pub enum Mark {
    /// Staged, and never live.
    Staged,
    /// It was live and passed its checks.
    Good,
    /// It failed; the text says how, for every user. Only `--force` deploys it again.
    #[serde(rename = "bad")]
    Failed(String),
}

/// Paths of a release that are not as they were staged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentChanges {
    /// Paths that do not exist.
    pub missing: Vec<String>,
    /// Paths with another length or time stamp.
    pub changed: Vec<String>,
}

impl ContentChanges {
    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty()
    }
}

impl Mark {
    /// A mark of format 1, which only root could read, as every user may read it.
    fn for_every_user(self) -> Self {
        match self {
            Self::Failed(_) => Self::Failed(UNKNOWN_FAILURE.to_owned()),
            other => other,
        }
    }
}

/// What a unit does for its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnitRole {
    /// The service itself, which runs until it is stopped.
    Daemon,
    /// A service that runs to its end: a job.
    Job,
    /// A socket of the service.
    Socket,
    /// The timer of the service.
    Timer,
}

/// A unit of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublicUnit {
    /// The unit's name, such as `shop-web.service`.
    pub unit: String,
    /// The short name of its service.
    pub service: String,
    /// What it does for the service.
    pub role: UnitRole,
    /// Whether the manifest enables it.
    pub enabled: bool,
}

/// The exposure of a unit when it was staged (systemd-analyze(1), "security").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// The unit's name.
    pub unit: String,
    /// From `0.0` to `10.0`.
    pub score: String,
}

/// What any user may know of a release: `releases/<id>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublicRelease {
    /// Format of this file.
    pub format: u32,
    /// The release's id.
    pub id: String,
    /// The version in the manifest; empty in records of format 1.
    #[serde(default)]
    pub version: String,
    /// The environment that was asked for.
    pub environment: Option<String>,
    /// What was proved of its archive before robotctl read it; absent if nothing was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<Provenance>,
    /// When it was staged: RFC 3339 with nanoseconds, so that it also orders releases of one second.
    pub staged: String,
    /// How it has done.
    #[serde(flatten)]
    pub mark: Mark,
    /// Units of daemons that were down in every change that made it live, such as for a condition: nothing has
    /// shown that they work.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unproved: BTreeSet<String>,
    /// Its units, in the order of the manifest.
    #[serde(default)]
    pub units: Vec<PublicUnit>,
    /// The exposure of its services.
    #[serde(default)]
    pub scores: Vec<Score>,
}

/// The content of a release: `releases/<id>.private`. Format 1 kept it in the public file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PrivateRelease {
    #[serde(default)]
    format: u32,
    manifest: String,
    files: BTreeMap<String, Stored>,
    origin: String,
}

/// All that is recorded of a release: enough to make it live again without its source.
#[derive(Debug, Clone)]
pub struct ReleaseRecord {
    /// The public part.
    pub public: PublicRelease,
    /// The text of the manifest.
    pub manifest: String,
    /// Every file that the release puts on a host without an overlay, by path.
    pub files: BTreeMap<String, Stored>,
    /// The real path of the source.
    pub origin: String,
    /// What the overlay of this host makes of it, if it is live with one.
    pub on_host: Option<OnHost>,
}

impl ReleaseRecord {
    /// The app that the release is, on this host if it is live.
    ///
    /// # Errors
    /// When this version of robotctl cannot read the manifest. It reads what it no longer allows.
    pub fn app(&self) -> Result<App> {
        let on_host = self.on_host.as_ref();
        let overlay = on_host.map(OnHost::overlay).transpose()?;
        self.app_with(overlay.as_ref())
    }

    /// The app that the release is with an overlay of a host.
    ///
    /// # Errors
    /// As [`app`](Self::app), or if the overlay does not fit the release.
    pub fn app_with(&self, overlay: Option<&HostOverlay>) -> Result<App> {
        let environment = self.public.environment.as_deref();
        let read = || App::from_record(&parse(&self.manifest)?, environment, overlay);
        read()
            .map_err(|problem| anyhow!("{}", problem.at(&self.manifest)))
            .with_context(|| format!("reading the manifest of release `{}`", self.public.id))
    }

    /// The files that it puts on the host.
    ///
    /// # Errors
    /// When the record is damaged.
    pub fn tree(&self) -> Result<FileTree> {
        let on_host = self.on_host.as_ref().map(|on_host| &on_host.files);
        tree_of(on_host.unwrap_or(&self.files))
    }

    /// The files that it puts on a host without an overlay.
    ///
    /// # Errors
    /// When the record is damaged.
    pub fn tree_without_overlay(&self) -> Result<FileTree> {
        tree_of(&self.files)
    }
}

fn tree_of(files: &BTreeMap<String, Stored>) -> Result<FileTree> {
    let mut tree = FileTree::default();
    for (path, stored) in files {
        tree.insert(path, stored.entry()?);
    }
    Ok(tree)
}

/// The units of an app, as its public record lists them.
pub fn public_units(app: &App) -> Vec<PublicUnit> {
    let mut units = Vec::new();
    for service in &app.services {
        let mut add = |unit: String, role, enabled| {
            units.push(PublicUnit {
                unit,
                service: service.name.to_string(),
                role,
                enabled,
            });
        };
        for socket in app.socket_units(service) {
            add(socket, UnitRole::Socket, service.enable);
        }
        if service.timer.is_some() {
            add(app.timer_unit(service), UnitRole::Timer, service.enable);
        }
        let role = if service.is_daemon() {
            UnitRole::Daemon
        } else {
            UnitRole::Job
        };
        add(app.unit(service), role, service.enable);
    }
    units
}

impl Store {
    /// What any user may know of a release.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn public_release(&self, id: &str) -> Result<Option<PublicRelease>> {
        let public: Option<PublicRelease> = self.read(&public_name(id))?;
        let Some(mut public) = public else {
            return Ok(None);
        };
        // Format 1 had neither version nor units; root can tell them from the manifest.
        if public.format < 2
            && let Ok(Some(record)) = self.with_private(public.clone())
            && let Ok(app) = record.app()
        {
            public.version = app.version.to_string();
            public.units = public_units(&app);
        }
        if public.format < 2 {
            public.mark = public.mark.for_every_user();
        }
        Ok(Some(public))
    }

    /// All that is recorded of a release.
    ///
    /// # Errors
    /// When a file cannot be read, or the private one is missing.
    pub fn release(&self, id: &str) -> Result<Option<ReleaseRecord>> {
        match self.read(&public_name(id))? {
            Some(public) => self.with_private(public),
            None => Ok(None),
        }
    }

    fn with_private(&self, public: PublicRelease) -> Result<Option<ReleaseRecord>> {
        let id = public.id.clone();
        // A kill between the two files of a migration leaves both places; they are equal then.
        let private: Option<PrivateRelease> = match self.read(&private_name(&id))? {
            None if public.format < 2 => self.read(&public_name(&id))?,
            private => private,
        };
        let Some(private) = private else {
            let path = self.path(&private_name(&id));
            return Err(self.damaged(&path, "the file is missing"));
        };
        Ok(Some(ReleaseRecord {
            on_host: self.on_host(&id)?,
            public,
            manifest: private.manifest,
            files: private.files,
            origin: private.origin,
        }))
    }

    /// Replaces the record of a release.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_release(&self, record: &ReleaseRecord) -> Result<()> {
        self.prepare_release(record, None)?.end()
    }

    /// Marks a release; nothing for one without a record.
    ///
    /// # Errors
    /// When the record cannot be read or written.
    pub fn set_mark(&self, id: &str, mark: Mark) -> Result<()> {
        self.rewrite_release(id, |public| public.mark = mark)
    }

    /// Sets the units of a release that nothing has shown to work.
    ///
    /// # Errors
    /// When the record cannot be read or written.
    pub fn set_unproved(&self, id: &str, unproved: BTreeSet<String>) -> Result<()> {
        match self.public_release(id)? {
            Some(public) if public.unproved != unproved => {
                self.rewrite_release(id, |public| public.unproved = unproved)
            }
            _ => Ok(()),
        }
    }

    fn rewrite_release(&self, id: &str, change: impl FnOnce(&mut PublicRelease)) -> Result<()> {
        let Some((mut public, private)) = self.release_to_rewrite(id)? else {
            return Ok(());
        };
        change(&mut public);
        match private {
            None => self.write(&public_name(id), &public),
            Some(private) => self.set_release(&ReleaseRecord { public, ..private }),
        }
    }

    /// A record before it is written again: the public part, and the whole of one of format 1, whose
    /// public file also holds the private part.
    pub(super) fn release_to_rewrite(
        &self,
        id: &str,
    ) -> Result<Option<(PublicRelease, Option<ReleaseRecord>)>> {
        let public: Option<PublicRelease> = self.read(&public_name(id))?;
        Ok(match public {
            None => None,
            Some(public) if public.format < 2 => self.release(id)?.map(|mut record| {
                if let Ok(app) = record.app() {
                    record.public.version = app.version.to_string();
                    record.public.units = public_units(&app);
                }
                record.public.format = FORMAT;
                record.public.mark = record.public.mark.for_every_user();
                (record.public.clone(), Some(record))
            }),
            Some(public) => Some((public, None)),
        })
    }

    /// The payload of a release; `None` when it was not kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn payload(&self, id: &str) -> Result<Option<Payload>> {
        let bytes = self.payload_index(id)?;
        Ok(bytes.and_then(|bytes| index::decode(&bytes)))
    }

    /// What was changed in a release since it was staged, as far as length, time stamp and existence
    /// show; `None` when its payload was not kept.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn content_changes(&self, id: &str) -> Result<Option<ContentChanges>> {
        let Some(payload) = self.payload(id)? else {
            return Ok(None);
        };
        let dir = self.layout.release(id);
        let mut changes = ContentChanges::default();
        for item in &payload.items {
            match self.root.meta(&format!("{dir}/{}", item.path))? {
                None => changes.missing.push(item.path.clone()),
                Some(meta) if item.is_changed(meta.len, meta.modified) => {
                    changes.changed.push(item.path.clone());
                }
                Some(_) => {}
            }
        }
        Ok(Some(changes))
    }

    /// What a release has at the paths of a payload; `None` when its own payload was not kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn previous_index(&self, id: &str, new: &Payload) -> Result<Option<PreviousIndex>> {
        let index = self.payload_index(id)?;
        Ok(index.and_then(|index| PreviousIndex::read(&index, new)))
    }

    /// The index of a release's payload, as it is on the disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn payload_index(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.root.read(&self.path(&index_name(id)))
    }

    /// Keeps the payload of a release.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_payload(&self, id: &str, payload: &Payload) -> Result<()> {
        let bytes = index::encode(payload);
        let path = self.path(&index_name(id));
        self.root.write_atomic(&path, &bytes, PRIVATE)
    }

    /// Prepares the record of a release that is being staged, with its payload unless that is known.
    /// The public part gets its name last: without it there is no record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare_release(
        &self,
        record: &ReleaseRecord,
        payload: Option<&Payload>,
    ) -> Result<Batch<'_>> {
        let mut batch = Batch::new(&self.root);
        let id = &record.public.id;
        if let Some(payload) = payload {
            let (mode, bytes) = (PRIVATE, index::encode(payload));
            let path = self.path(&index_name(id));
            batch.prepare(&path, &Entry::File { mode, bytes })?;
        }
        let private = PrivateRelease {
            format: FORMAT,
            manifest: record.manifest.clone(),
            files: record.files.clone(),
            origin: record.origin.clone(),
        };
        self.prepare_in(&mut batch, &private_name(id), &private)?;
        let public = PublicRelease {
            format: FORMAT,
            ..record.public.clone()
        };
        self.prepare_in(&mut batch, &public_name(id), &public)?;
        Ok(batch)
    }

    /// Ids of all releases that have a record.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn releases(&self) -> Result<Vec<String>> {
        self.ids(&[".json"])
    }

    /// What any user may know of the release that was staged last.
    ///
    /// # Errors
    /// When the directory cannot be listed, or a file cannot be read.
    pub fn newest_release(&self) -> Result<Option<PublicRelease>> {
        let mut newest: Option<PublicRelease> = None;
        for id in self.releases()? {
            if let Some(release) = self.public_release(&id)?
                && newest
                    .as_ref()
                    .is_none_or(|one| one.staged < release.staged)
            {
                newest = Some(release);
            }
        }
        Ok(newest)
    }

    /// Ids of all releases of which any file is there.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn releases_with_any_record(&self) -> Result<Vec<String>> {
        self.ids(&[".json", ".private", ".index", ".built"])
    }

    fn ids(&self, suffixes: &[&str]) -> Result<Vec<String>> {
        let names = self.root.list(&self.path("releases"))?;
        let mut ids: Vec<String> = names
            .iter()
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)))
            .map(str::to_owned)
            .collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// Removes the record of a release, the public part last.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_release_record(&self, id: &str) -> Result<()> {
        let names = [
            built_name(id),
            index_name(id),
            private_name(id),
            public_name(id),
        ];
        for name in names {
            self.root.remove_file(&self.path(&name))?;
        }
        Ok(())
    }

    /// Brings data of format 1 to today's: splits records, and opens the public files to all users.
    ///
    /// # Errors
    /// When a file cannot be read or written. Everything is then readable as before.
    pub fn migrate(&self) -> Result<()> {
        let is_closed = |path: &str, mode: u32| -> Result<bool> {
            let meta = self.root.meta(path)?;
            Ok(meta.is_some_and(|meta| meta.mode & 0o777 & mode != mode))
        };
        // Closed before its directory opens.
        let lock = self.path("lock");
        if let Some(meta) = self.root.meta(&lock)?
            && meta.mode & 0o077 != 0
        {
            files::set_mode(&self.root.followed(&lock), PRIVATE)?;
        }
        let dirs = [
            (self.dir.clone(), super::records::DIR_MODE),
            (self.path("releases"), 0o755),
        ];
        for (dir, mode) in dirs {
            if is_closed(&dir, mode)? {
                files::set_mode(&self.root.followed(&dir), mode)?;
            }
        }
        for id in self.releases()? {
            match self.release_to_rewrite(&id) {
                Ok(Some((_, Some(record)))) => self.set_release(&record)?,
                // The command that needs the record says what to do.
                Err(error) if error.is::<Damaged>() || error.is::<UnsupportedFormat>() => {}
                other => drop(other?),
            }
        }
        if is_closed(&self.path("history.jsonl"), PUBLIC)? {
            self.publish_history()?;
        }
        let state = self.path("state.json");
        if is_closed(&state, PUBLIC)? {
            files::set_mode(&self.root.followed(&state), PUBLIC)?;
        }
        Ok(())
    }
}

pub(super) fn public_name(id: &str) -> String {
    format!("releases/{id}.json")
}

fn private_name(id: &str) -> String {
    format!("releases/{id}.private")
}

fn index_name(id: &str) -> String {
    format!("releases/{id}.index")
}
