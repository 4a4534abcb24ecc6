//! The plan: what a deploy would change, as data.
//!
//! The preview prints it, `apply` consumes it, tests compare it. Pure: what the host looks like
//! comes in as [`Observed`].

mod show;
mod units;

pub use show::Diff;
pub use units::{Action, UnitPlan};

use crate::app::{App, Text};
use crate::render::made_for;
use crate::stage::{Item, Kind, Payload, PreviousIndex};
use crate::store::{FileChange, State, Stored};
use crate::tree::{Entry, FileTree};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the host looks like before.
#[derive(Debug, Default)]
pub struct Observed {
    /// The live release, with its app, files and payload.
    pub live: Option<LiveRelease>,
    /// What is wrong with the live release's own place, if anything is: its link or its directory.
    pub repair: Option<String>,
    /// What lies at each path that the new or the live release's files name.
    pub files: BTreeMap<String, Entry>,
    /// The paths of files that pin a service to a release of its own.
    pub pinned: Vec<String>,
    /// Units that are active now.
    pub active: BTreeSet<String>,
    /// Units that have failed.
    pub failed: BTreeSet<String>,
    /// Units that the administrator masked.
    pub masked: BTreeSet<String>,
    /// Accounts that the new release names and the host lacks, such as `user shop`.
    pub missing: Vec<String>,
    /// Units that this host has no memory for twice, each with what is needed and what is there.
    pub low_memory: BTreeMap<String, String>,
}

impl Observed {
    /// Whether a release is live, whole and in its place.
    fn is_live(&self, id: &str) -> bool {
        self.repair.is_none() && self.live.as_ref().is_some_and(|live| live.id == id)
    }
}

/// The live release.
#[derive(Debug)]
pub struct LiveRelease {
    /// Its id.
    pub id: String,
    /// Its app.
    pub app: App,
    /// The files that it put on the host.
    pub tree: FileTree,
    /// What it has of the new payload, when it was looked at and the index was kept.
    pub payload: Option<PreviousIndex>,
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
    /// Bytes that it takes on the disk, in whole blocks, beside what it shares.
    pub disk_bytes: u64,
    /// Inodes likewise.
    pub disk_inodes: u64,
    /// Files that the live release has already, and that get a second name.
    pub shared: usize,
    /// Whether the release is on the disk already: then it takes nothing more.
    pub there: bool,
    /// Paths that are new.
    pub added: Vec<String>,
    /// Paths with other content.
    pub changed: Vec<String>,
    /// Paths that are gone.
    pub removed: Vec<String>,
}

/// A command of the manifest that a deploy runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandPlan {
    /// The key that it comes from: `build`, `before-switch`, `after-switch`.
    pub when: &'static str,
    /// The command.
    pub argv: Vec<String>,
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
    /// Keys of the manifest with other values than those of the live release, but for the version.
    pub manifest: Vec<String>,
    /// What is put right although the release stays.
    pub repair: Option<String>,
    /// Files outside the release, by path.
    pub files: Vec<FileChange>,
    /// Commands of the manifest that are run, in their order.
    pub commands: Vec<CommandPlan>,
    /// Accounts that are made, such as `user shop`.
    pub accounts: Vec<String>,
    /// Units, in the order in which they are treated.
    pub units: Vec<UnitPlan>,
    /// What to know although nothing is wrong.
    pub warnings: Vec<String>,
    /// What was measured a moment ago and is another number the next: no part of the hash.
    pub notes: Vec<String>,
    /// The release that a rollback would put back afterwards, when there is one and it was
    /// looked for: no part of the hash.
    pub back: Option<String>,
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

impl PayloadPlan {
    /// What a first release would take.
    pub fn first(payload: &Payload, app: &App) -> Self {
        payload_plan(payload, None, app)
    }
}

/// Makes the plan that takes a host from what was observed to a candidate.
pub fn plan(new: &Candidate<'_>, observed: &Observed) -> Plan {
    let empty = FileTree::default();
    let old_tree = observed.live.as_ref().map_or(&empty, |live| &live.tree);
    let (files, mut warnings) = file_changes(
        new.app.name.as_str(),
        new.tree,
        old_tree,
        &observed.files,
        &observed.pinned,
    );
    let old_payload = observed
        .live
        .as_ref()
        .filter(|_| observed.repair.is_none())
        .and_then(|live| live.payload.as_ref());
    let same = observed.is_live(new.id);
    let hits = crate::app::lint(new.app, None).into_iter();
    warnings.extend(hits.map(|hit| hit.message));
    let units = units::units(new, observed, &files);
    Plan {
        app: new.app.name.to_string(),
        version: new.app.version.to_string(),
        from: observed.live.as_ref().map(|live| live.id.clone()),
        to: new.id.to_owned(),
        payload: match (new.payload, same) {
            (Some(payload), false) => payload_plan(payload, old_payload, new.app),
            _ => PayloadPlan::default(),
        },
        manifest: observed.live.as_ref().map_or(Vec::new(), |live| {
            new.app.manifest.differing(&live.app.manifest)
        }),
        notes: notes(&units, observed),
        units,
        repair: observed.repair.clone(),
        files,
        commands: Vec::new(),
        accounts: observed.missing.clone(),
        warnings,
        back: None,
    }
}

/// Why units that change do so without a second copy, with the numbers; each text once.
fn notes(units: &[UnitPlan], observed: &Observed) -> Vec<String> {
    let changed = units.iter().filter(|unit| unit.action != Action::Keep);
    let low_memory = changed.filter_map(|unit| observed.low_memory.get(&unit.unit));
    let texts: BTreeSet<&String> = low_memory.collect();
    texts.into_iter().cloned().collect()
}

impl Plan {
    /// The same for a release that is on the disk already, whole.
    #[must_use]
    pub fn of_what_is_there(mut self) -> Self {
        let payload = &mut self.payload;
        if payload.files > 0 {
            (payload.disk_bytes, payload.disk_inodes, payload.shared) = (0, 0, 0);
            payload.there = true;
        }
        self
    }

    /// Adds what a deploy of the app runs besides: a rollback runs none of it.
    #[must_use]
    pub fn with_commands(mut self, app: &App) -> Self {
        if self.from.as_ref() == Some(&self.to) {
            return self;
        }
        let mut add = |when, argv: &[Text]| {
            let argv = argv.iter().map(ToString::to_string).collect();
            self.commands.push(CommandPlan { when, argv });
        };
        for argv in &app.release.build {
            add("build", argv);
        }
        let (before, after) = (&app.hooks.before_switch, &app.hooks.after_switch);
        for (when, job) in [("before-switch", before), ("after-switch", after)] {
            if let Some(job) = job {
                job.exec_start_pre.iter().for_each(|argv| add(when, argv));
                add(when, &job.exec);
            }
        }
        self
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        let Self {
            from,
            to,
            files,
            units,
            repair,
            app: _,
            version: _,
            payload: _,
            manifest: _, // Other values are another release.
            commands: _,
            accounts: _,
            warnings: _,
            notes: _,
            back: _,
        } = self;
        from.as_ref() == Some(to)
            && files.is_empty()
            && repair.is_none()
            && units.iter().all(|unit| unit.action == Action::Keep)
    }

    /// What is recorded as live once the plan is done, and in what order releases were before.
    /// `back` when a rollback does it: going back again goes further back.
    #[must_use]
    pub fn state_after(&self, mut state: State, back: bool) -> State {
        if state.live.as_deref() != Some(&self.to) {
            match state.before.iter().rposition(|id| *id == self.to) {
                Some(at) if back => state.before.truncate(at),
                _ => state.before.extend(state.live.take()),
            }
        }
        state.live = Some(self.to.clone());
        state
    }

    /// A digest of all that the plan would do: the same plan, the same hash.
    pub fn hash(&self) -> String {
        let done = Self {
            notes: Vec::new(),
            back: None,
            ..self.clone()
        };
        let mut hasher = blake3::Hasher::new();
        // Neither a plan nor the hasher can fail.
        let _ = serde_json::to_writer(&mut hasher, &done);
        hasher.finalize().to_hex().chars().take(16).collect()
    }
}

/// Which files differ from what lies on the host.
///
/// An enablement link that the live release had and the host has no more was taken away by the
/// administrator: it stays away. A file that another app has put in the place of one that is no
/// longer wanted stays there.
fn file_changes(
    app: &str,
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
        let gives_way = after.is_none() && before.and_then(made_for).is_some_and(|it| it != app);
        if before == after || gives_way {
            continue;
        }
        if let (Some(was), Some(now)) = (old.get(path), before)
            && was != now
            && !enables
            && !pins.iter().any(|pin| path == pin)
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

/// The unit in which file systems give space to files.
const BLOCK: u64 = 4096;

fn payload_plan(new: &Payload, old: Option<&PreviousIndex>, app: &App) -> PayloadPlan {
    let mut out = PayloadPlan {
        files: new.files(),
        bytes: new.bytes(),
        removed: old.map_or_else(Vec::new, |old| old.gone().to_vec()),
        ..PayloadPlan::default()
    };
    // What a build command may write to is never shared.
    let shares = app.release.build.is_empty();
    for (at, item) in new.items.iter().enumerate() {
        let was = old.and_then(|old| old.kind(at));
        let is_same = was == Some(&item.kind);
        let is_dir = item.kind == Kind::Dir;
        if !(shares && is_same) || is_dir {
            let least = if is_dir { BLOCK } else { 0 };
            out.disk_bytes += item.len().div_ceil(BLOCK) * BLOCK + least;
            out.disk_inodes += 1;
        } else if matches!(item.kind, Kind::File { .. }) {
            out.shared += 1;
        }
        if is_dir || is_same {
            continue;
        }
        out.new_bytes += item.len();
        match was {
            Some(_) => out.changed.push(path(item)),
            None => out.added.push(path(item)),
        }
    }
    out
}

fn path(item: &Item) -> String {
    item.path.clone()
}
