//! The plan: what a deploy would change, as data.
//!
//! The preview prints it, `apply` consumes it, tests compare it. Pure: what the host looks like
//! comes in as [`Observed`].

mod show;
mod units;

pub use show::Diff;
pub(crate) use show::bytes;
pub use units::{Action, UnitPlan};

use crate::model::App;
use crate::record::{FileChange, Stored};
use crate::stage::Payload;
use crate::tree::{Entry, FileTree};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the host looks like before.
#[derive(Debug, Default)]
pub struct Observed {
    /// The live release, with its app, files and payload.
    pub live: Option<Live>,
    /// What lies at each path that the new or the live release's files name.
    pub files: BTreeMap<String, Entry>,
    /// Ends of the paths of files that pin a service to a release of its own.
    pub pinned: Vec<String>,
    /// Units that are active now.
    pub active: BTreeSet<String>,
    /// Units that have failed.
    pub failed: BTreeSet<String>,
    /// Units that the administrator masked.
    pub masked: BTreeSet<String>,
    /// Units that this host has no memory for twice, each with what is needed and what is there.
    pub tight: BTreeMap<String, String>,
}

/// The live release.
#[derive(Debug)]
pub struct Live {
    /// Its id.
    pub id: String,
    /// Its app.
    pub app: App,
    /// The files that it put on the host.
    pub tree: FileTree,
    /// Its payload, when the index was kept.
    pub payload: Option<Payload>,
}

/// How the new payload differs from the live one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PayloadPlan {
    /// Files and links in the new release.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that the live release does not have already.
    pub new_bytes: u64,
    /// Paths that are new.
    pub added: Vec<String>,
    /// Paths with other content.
    pub changed: Vec<String>,
    /// Paths that are gone.
    pub removed: Vec<String>,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The app.
    pub app: String,
    /// The version that goes live.
    pub version: String,
    /// The live release.
    pub from: Option<String>,
    /// The release that goes live.
    pub to: String,
    /// Content of the release.
    pub payload: PayloadPlan,
    /// Files outside the release, by path.
    pub files: Vec<FileChange>,
    /// Units, in the order in which they are treated.
    pub units: Vec<UnitPlan>,
    /// What to know although nothing is wrong.
    pub warnings: Vec<String>,
}

/// A release that could go live, from whatever source.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its app.
    pub app: &'a App,
    /// The files that it wants on the host.
    pub tree: &'a FileTree,
    /// Its payload, when known.
    pub payload: Option<&'a Payload>,
}

/// Makes the plan that takes a host from what was observed to a candidate.
pub fn plan(new: &Candidate<'_>, observed: &Observed) -> Plan {
    let empty = FileTree::default();
    let old_tree = observed.live.as_ref().map_or(&empty, |live| &live.tree);
    let (files, mut warnings) = file_changes(new.tree, old_tree, &observed.files, &observed.pinned);
    let old_payload = observed
        .live
        .as_ref()
        .and_then(|live| live.payload.as_ref());
    let same = observed.live.as_ref().is_some_and(|live| live.id == new.id);
    warnings.extend(new.app.warnings());
    Plan {
        app: new.app.name.to_string(),
        version: new.app.version.to_string(),
        from: observed.live.as_ref().map(|live| live.id.clone()),
        to: new.id.to_owned(),
        payload: match (new.payload, same) {
            (Some(payload), false) => payload_plan(payload, old_payload),
            _ => PayloadPlan::default(),
        },
        units: units::units(new, observed, &files),
        files,
        warnings,
    }
}

impl Plan {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        let Self {
            from,
            to,
            files,
            units,
            app: _,
            version: _,
            payload: _,
            warnings: _,
        } = self;
        from.as_ref() == Some(to)
            && files.is_empty()
            && units.iter().all(|unit| unit.action == Action::Keep)
    }

    /// A digest of all that the plan would do: the same plan, the same hash.
    pub fn hash(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).to_hex().chars().take(16).collect()
    }
}

/// Which files differ from what lies on the host.
///
/// An enablement link that the live release had and the host has no more was taken away by the
/// administrator: it stays away.
fn file_changes(
    new: &FileTree,
    old: &FileTree,
    host: &BTreeMap<String, Entry>,
    pins: &[String],
) -> (Vec<FileChange>, Vec<String>) {
    let mut changes = Vec::new();
    let mut warnings = Vec::new();
    let paths: BTreeSet<&str> = new.paths().chain(old.paths()).collect();
    for path in paths {
        let before = host.get(path);
        let mut after = new.get(path);
        let enables = matches!(after.or(old.get(path)), Some(Entry::Symlink(_)));
        if enables && old.get(path).is_some() && before.is_none() && after.is_some() {
            let unit = path.rsplit('/').next().unwrap_or(path);
            warnings.push(format!(
                "`{unit}` was disabled by the administrator and stays so"
            ));
            after = None;
        }
        if before == after {
            continue;
        }
        if let (Some(was), Some(now)) = (old.get(path), before)
            && was != now
            && !enables
            && !pins.iter().any(|pin| path.ends_with(pin))
        {
            warnings.push(format!("`{path}` was changed by hand and will be replaced"));
        }
        changes.push(FileChange {
            path: path.to_owned(),
            before: before.map(Stored::new),
            after: after.map(Stored::new),
        });
    }
    (changes, warnings)
}

fn payload_plan(new: &Payload, old: Option<&Payload>) -> PayloadPlan {
    let mut out = PayloadPlan {
        files: new.files(),
        bytes: new.bytes(),
        ..PayloadPlan::default()
    };
    let is_dir = |item: &crate::stage::Item| item.kind == crate::stage::Kind::Dir;
    for item in new.items.iter().filter(|item| !is_dir(item)) {
        let was = old.and_then(|old| old.get(&item.path));
        if was == Some(item) {
            continue;
        }
        if let crate::stage::Kind::File { len, .. } = &item.kind {
            out.new_bytes += len;
        }
        match was {
            Some(_) => out.changed.push(item.path.clone()),
            None => out.added.push(item.path.clone()),
        }
    }
    let gone = old.iter().flat_map(|old| &old.items);
    let gone = gone.filter(|item| !is_dir(item) && new.get(&item.path).is_none());
    out.removed = gone.map(|item| item.path.clone()).collect();
    out
}
