//! The crash journal: what is being changed, and how to put it back.
//!
//! It is written, whole and synced, before the first visible change, and removed after the
//! last. Whoever finds it knows the release that was live and the earlier content of every
//! file: with the state, which
//! tells whether the change was proven, `recover` needs nothing else.

use super::State;
use crate::tree::FileChange;
use serde::{Deserialize, Serialize};

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Files, link and units are being changed: recovery goes back, unless the state says that the
    /// new release has passed its checks.
    Switching,
    /// The change failed and is being put back: recovery goes on with that.
    Reverting,
    /// A removal has taken everything out of sight: recovery goes on to its end.
    Removed,
}

/// Units that a change touches, by what has to be done to put them back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitChanges {
    /// Stopped because the new release has them no more: start again.
    pub stopped: Vec<String>,
    /// Started, and down before: stop those of a first deploy; of a later one, those whose file goes again.
    pub started: Vec<String>,
    /// Restarted on the new release: restart on the old one.
    pub restarted: Vec<String>,
    /// Those of the restarted whose address changed hands: all are stopped before one starts.
    #[serde(default)]
    pub rebound: Vec<String>,
    /// Stand-ins: stop.
    pub standins: Vec<String>,
}

/// A change under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Format of this file.
    pub format: u32,
    /// The command's trace id.
    pub trace_id: String,
    /// `deploy`, `rollback` or `remove`.
    pub operation: String,
    /// How far it has come.
    pub step: Step,
    /// The release that was live before; `None` on the first deploy.
    pub from: Option<String>,
    /// What `current` said before, when nothing was recorded as live: records were lost, or another
    /// tool had made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The release that `current` names after.
    pub to: Option<String>,
    /// Files outside the releases.
    pub files: Vec<FileChange>,
    /// Units.
    pub units: UnitChanges,
    /// A removal that takes state, environment and secrets along.
    #[serde(default)]
    pub purge: bool,
    /// The state to record when it goes back.
    pub state_before: State,
    /// The state to record when it goes forward.
    pub state_after: State,
}

impl Journal {
    /// Whether this change wrote a state. One that was switching goes forward then: the state that
    /// it leads to is written down, which is the last thing before its end.
    pub fn made(&self, state: &State) -> bool {
        state.change.as_ref() == Some(&self.trace_id)
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, State, Step, UnitChanges};

    #[test]
    fn only_its_own_state_proves_a_change() {
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
