//! What a plan is made from: a candidate, and the host before the change.

use crate::app::App;
use crate::payload::{Payload, PreviousIndex};
use crate::tree::{Entry, FileTree};
use std::collections::{BTreeMap, BTreeSet};

/// A release that may become live.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its app.
    pub app: &'a App,
    /// The files that it installs on the host.
    pub tree: &'a FileTree,
    /// Its payload, if it is known.
    pub payload: Option<&'a Payload>,
}

/// What is known of the host before the change.
#[derive(Debug, Default)]
pub struct Observed {
    /// The live release.
    pub live: Option<LiveRelease>,
    /// What is wrong with the `current` link or the directory of the live release, if anything.
    pub repair: Option<String>,
    /// What is wrong with who can read the live release, if anything. A deploy of it sets that right.
    pub access: Option<String>,
    /// The files at the paths that the new or the live release names.
    pub files: BTreeMap<String, Entry>,
    /// Paths of drop-ins that pin a service to a release of its own.
    pub pinned: Vec<String>,
    /// Units that are active or about to be, without masked ones.
    pub active: BTreeSet<String>,
    /// Those of them that start or restart now: no process of theirs can answer while they restart.
    pub in_between: BTreeSet<String>,
    /// Units that are active, with masked ones: they hold their addresses.
    pub holding: BTreeSet<String>,
    /// Units that have failed.
    pub failed: BTreeSet<String>,
    /// Units that are enabled, by the manifest or by the administrator.
    pub enabled: BTreeSet<String>,
    /// Units that systemd did not start, because a condition was not met.
    pub skipped: BTreeSet<String>,
    /// Units that the administrator has masked.
    pub masked: BTreeSet<String>,
    /// Accounts that the new release names and the host does not have, such as `user shop`.
    pub missing: Vec<String>,
    /// Services that manage control groups of their own.
    pub own_groups: BTreeSet<String>,
    /// The running services whose settings have changed since they started, by unit, each with the names of
    /// what has changed. Only root can see it.
    pub stale: BTreeMap<String, String>,
    /// The services that the user asks to restart, by unit.
    pub asked: BTreeSet<String>,
    /// The secrets that the new release generates and that do not exist yet.
    pub missing_secrets: Vec<String>,
    /// The release that each running service runs, by unit.
    pub runs: BTreeMap<String, String>,
    /// Releases that have the same files for a service as the live one, by the short name of the service.
    pub same_files: BTreeMap<String, Vec<String>>,
    /// Services whose files were compared on the disk, because a build makes some of them, and are the same in
    /// the new release as in the one that the service runs.
    pub same_built_files: BTreeSet<String>,
    /// Whether every command of `release.build` is left out, because an earlier release has what it makes.
    pub keeps_source: bool,
    /// Units of which the host has no memory for a second instance, each with the numbers.
    pub low_memory: BTreeMap<String, String>,
    /// What the host says about the rights of the new release.
    pub facts: HostFacts,
}

/// What the host says about the rights of a release.
#[derive(Debug, Default)]
pub struct HostFacts {
    /// The source, if the release reads it from an unexpected place.
    pub outside_source: Option<OutsideSource>,
    /// Users that the release names, with notes such as `can log in`.
    pub users: BTreeMap<String, Vec<String>>,
    /// Groups that the release names, with their members.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Paths that the release opens, with notes such as who can replace them.
    pub paths: BTreeMap<String, Vec<String>>,
}

impl Observed {
    /// Whether the release is live, and its link and directory are as they should be.
    pub(super) fn is_live(&self, id: &str) -> bool {
        self.repair.is_none() && self.live.as_ref().is_some_and(|live| live.id == id)
    }
}

/// A source in an unexpected place.
#[derive(Debug, Clone)]
pub struct OutsideSource {
    /// Its real path.
    pub path: String,
    /// What is unexpected about it.
    pub note: &'static str,
}

/// The live release.
#[derive(Debug)]
pub struct LiveRelease {
    /// Its id.
    pub id: String,
    /// Its app.
    pub app: App,
    /// The real path of its source.
    pub origin: String,
    /// The files that it has installed on the host.
    pub tree: FileTree,
    /// Its index, compared with the new payload, if it was read.
    pub payload: Option<PreviousIndex>,
}
