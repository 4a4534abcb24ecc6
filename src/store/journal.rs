//! The crash journal: what a change does, and how to undo it.
//!
//! It is written, whole and synced, before the first visible change, and removed after the last. It
//! names the release that was live and the earlier content of every file. With the state, which says
//! whether the change succeeded, `recover` needs nothing else.

use super::records::Store;
use super::state::State;
use crate::host::{ProcessIdentity, is_in_unit};
use crate::tree::FileChange;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const FILE: &str = "journal.json";

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Files, link and units are being changed. Recovery undoes the change, unless the state says that
    /// the new release has passed its checks.
    Switching,
    /// The change failed and is being reverted. Recovery continues with that.
    Reverting,
    /// A removal has removed units and link. Recovery continues with the rest.
    Removed,
}

/// The units that a change touches, grouped by how the change is undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitChanges {
    /// Units that were stopped, because the new release does not have them. To undo it, start them.
    pub stopped: Vec<String>,
    /// Units that were not running and were started. To undo it, stop those whose file is new; after a
    /// first deploy, stop all.
    pub started: Vec<String>,
    /// Units that were restarted on the new release. To undo it, restart them on the previous one.
    pub restarted: Vec<String>,
    /// Services that run on with the same files. To undo it, restart those that have started from the new
    /// release meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Units that were restarted with another address. To undo it, stop all of them before one starts.
    #[serde(default)]
    pub rebound: Vec<String>,
    /// Units whose processes move aside before the units restart. To undo it, restart the units, then
    /// end those processes.
    #[serde(default)]
    pub handed_over: Vec<Handover>,
}

/// What a unit that is handed over is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandoverRole {
    /// A service that accepts connections itself.
    Service,
    /// `robotctl relay`.
    Proxy,
    /// The server behind it.
    Proxied,
}

impl UnitChanges {
    /// Whether the change hands a unit over.
    pub fn is_handed_over(&self, unit: &str) -> bool {
        self.handed_over.iter().any(|one| one.unit == unit)
    }
}

/// A unit that is handed over to the next release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The unit.
    pub unit: String,
    /// What it is.
    pub role: HandoverRole,
    /// The scope that its processes move to.
    pub scope: String,
    /// Its main process before the change.
    pub process: ProcessIdentity,
    /// Its user.
    pub user: String,
    /// How long the next release may take to start, in milliseconds.
    pub start_ms: u64,
    /// How long its processes may drain, in milliseconds.
    pub drain_ms: u64,
}

impl Handover {
    /// Whether its main process runs, and has moved to the scope.
    pub fn has_moved(&self) -> bool {
        is_in_unit(self.process.pid, &self.scope) && self.process.is_running()
    }

    /// How long the next release may take to start.
    pub fn start_time(&self) -> Duration {
        Duration::from_millis(self.start_ms)
    }

    /// How long the processes of the previous release may drain.
    pub fn drain_time(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

/// A change under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Format of this file.
    pub format: u32,
    /// The trace id of the command that makes the change.
    pub trace_id: String,
    /// `deploy`, `rollback` or `remove`.
    pub operation: String,
    /// How far it has come.
    pub step: Step,
    /// The release that was live before; `None` on the first deploy.
    pub from: Option<String>,
    /// The text of `current` before the change, when no release was recorded as live: the state was
    /// lost, or another tool created the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The release that `current` names after the change.
    pub to: Option<String>,
    /// The files outside the releases that change.
    pub files: Vec<FileChange>,
    /// The units that the change touches.
    pub units: UnitChanges,
    /// Whether services restart on the same release, because their settings have changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_settings: bool,
    /// The secrets that have a new value. To undo it, restore the previous ones. No value is here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Whether a removal also deletes state, environment and secrets.
    #[serde(default)]
    pub purge: bool,
    /// The state to save when the change is undone.
    pub state_before: State,
    /// The state to save when the change succeeds.
    pub state_after: State,
}

impl Journal {
    /// Whether this change wrote a state. A change that was switching then goes forward, because the
    /// state is the last thing that a successful change writes.
    pub fn made(&self, state: &State) -> bool {
        state.change.as_ref() == Some(&self.trace_id)
    }
}

impl Store {
    /// The journal of a change that is under way or was interrupted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn journal(&self) -> Result<Option<Journal>> {
        self.read(FILE)
    }

    /// The path of the journal.
    pub fn journal_path(&self) -> String {
        self.path(FILE)
    }

    /// Whether a change is under way or was interrupted; any user may ask this.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn has_journal(&self) -> Result<bool> {
        Ok(self.root.meta(&self.path(FILE))?.is_some())
    }

    /// Writes a step before it is taken.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_journal(&self, journal: &Journal) -> Result<()> {
        self.write(FILE, journal)
    }

    /// Ends the change.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn clear_journal(&self) -> Result<()> {
        self.root.remove_file(&self.path(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, Step, UnitChanges};
    use crate::store::State;

    #[test]
    fn a_change_succeeded_only_if_the_state_is_its_own() {
        let journal = Journal {
            format: 1,
            trace_id: "b".to_owned(),
            operation: "deploy".to_owned(),
            step: Step::Switching,
            from: None,
            link: None,
            to: None,
            files: Vec::new(),
            units: UnitChanges::default(),
            is_of_settings: false,
            secrets: Vec::new(),
            purge: false,
            state_before: State::default(),
            state_after: State::default(),
        };
        let proven = |change: Option<&str>| {
            journal.made(&State {
                change: change.map(str::to_owned),
                ..State::default()
            })
        };
        assert!(!proven(None));
        assert!(!proven(Some("a")));
        assert!(proven(Some("b")));
    }
}
