//! What is live.

use super::format::FORMAT;
use super::records::Store;
use anyhow::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many previous releases the state keeps.
const MAX_PREVIOUS: usize = 100;

/// The live release and the order of those before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Format of this file.
    #[serde(default)]
    pub format: u32,
    /// The live release.
    pub live: Option<String>,
    /// The releases that were live before it, the latest last.
    #[serde(default, rename = "before")]
    pub previous: Vec<String>,
    /// Services that stay on a release of their own: short name to release.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// Releases that have the same files for a service as the live one, by the short name of the service. It
    /// was not restarted, and may run one of them until its next start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub same_files: BTreeMap<String, Vec<String>>,
    /// The digest of the overlay of this host with which the live release is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<String>,
    /// When the live release went live (RFC 3339).
    pub since: Option<String>,
    /// The trace id of the change that wrote this. A journal with the same trace id is of a change
    /// that has succeeded ([`super::Journal::made`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

impl State {
    /// The release that a service starts from: the one to which it is pinned, or the live one.
    pub fn starts_from(&self, service: &str) -> Option<&String> {
        self.pins.get(service).or(self.live.as_ref())
    }

    /// Whether a service runs a release that it may run: the one that it starts from, or one that has the
    /// same files for it.
    pub fn may_run(&self, service: &str, release: &str) -> bool {
        let equal = self.same_files.get(service);
        self.starts_from(service).is_some_and(|id| id == release)
            || equal.is_some_and(|equal| equal.iter().any(|id| id == release))
    }

    /// The state once `release` is live. After a rollback, the releases after it are no longer previous
    /// ones, so that the next rollback goes back further.
    #[must_use]
    pub fn after(mut self, release: &str, is_rollback: bool) -> Self {
        if self.live.as_deref() != Some(release) {
            match self.previous.iter().rposition(|id| id == release) {
                Some(at) if is_rollback => self.previous.truncate(at),
                _ => self.previous.extend(self.live.take()),
            }
        }
        self.live = Some(release.to_owned());
        self
    }

    /// When the live release went live, if that is recorded.
    pub fn live_since(&self) -> Option<Timestamp> {
        self.since.as_ref()?.parse().ok()
    }
}

impl Store {
    /// Whether a state was ever saved.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn has_saved_state(&self) -> Result<bool> {
        Ok(self.root.meta(&self.path("state.json"))?.is_some())
    }

    /// The state as it was last saved. [`Store::state`] also covers a state that was lost.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn saved_state(&self) -> Result<Option<State>> {
        self.read("state.json")
    }

    /// Replaces the state. An equal state is not written again, only made durable, because undoing
    /// a change must work on a full disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_state(&self, state: &State) -> Result<()> {
        let with_format = |state: State| State {
            format: FORMAT,
            ..state
        };
        let state = with_format(state.clone());
        let saved = self.saved_state().ok().flatten().map(with_format);
        if saved.as_ref() == Some(&state) {
            return self.sync();
        }
        self.write("state.json", &state)
    }

    /// Drops releases that no longer exist from a long list of previous releases, and then all but
    /// the last hundred.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub fn trim_previous(&self) -> Result<()> {
        let state = self.saved_state()?;
        let Some(mut state) = state.filter(|state| state.previous.len() > MAX_PREVIOUS) else {
            return Ok(());
        };
        let known = self.releases()?;
        state.previous.retain(|id| known.contains(id));
        let excess = state.previous.len().saturating_sub(MAX_PREVIOUS);
        state.previous.drain(..excess);
        self.set_state(&state)
    }

    /// The environment that the app was deployed with: as its live release says, or another one where
    /// that cannot be read.
    pub fn environment(&self) -> Option<String> {
        let live = self.state().ok().and_then(|state| state.live);
        let others = self.releases().unwrap_or_default().into_iter().rev();
        let all = live.into_iter().chain(others);
        let mut readable = all.filter_map(|id| self.public_release(&id).ok()?);
        readable.next()?.environment
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn a_service_may_run_what_it_starts_from_and_what_is_equal() {
        let state = State {
            live: Some("3-c".to_owned()),
            pins: [("api".to_owned(), "1-a".to_owned())].into(),
            same_files: [("web".to_owned(), vec!["1-a".to_owned(), "2-b".to_owned()])].into(),
            ..State::default()
        };
        for (service, release, may_run) in [
            ("web", "3-c", true),
            ("web", "1-a", true),
            ("web", "2-b", true),
            ("web", "0-z", false),
            ("api", "1-a", true),
            ("api", "3-c", false),
            ("other", "3-c", true),
            ("other", "1-a", false),
        ] {
            assert_eq!(
                state.may_run(service, release),
                may_run,
                "{service} {release}"
            );
        }
        assert!(!State::default().may_run("web", "3-c"));
        // A state without the key is one in which no service runs an earlier release.
        let read: State = serde_json::from_str(r#"{"format": 2, "live": "3-c"}"#).unwrap();
        assert!(read.same_files.is_empty());
        assert!(!serde_json::to_string(&read).unwrap().contains("same_files"));
    }
}
