//! The units that someone has stopped with `robotctl stop`.
//!
//! The record is in `/run`: a boot starts what is enabled, and ends the record with it. Every user may read it, so
//! that `status` and `doctor` call such a unit stopped and not broken.

use crate::app::Name;
use crate::host::{self, Root, UnitStatus};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The directory of the records.
const DIR: &str = "/run/robotctl/stopped";

/// The stopped units of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedUnits {
    units: BTreeMap<String, Stop>,
}

/// The stop of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stop {
    /// When (RFC 3339, UTC).
    at: String,
    /// The invocation id of the run that was stopped.
    run: Option<String>,
}

fn path(app: &Name) -> String {
    format!("{DIR}/{app}.json")
}

impl StoppedUnits {
    /// Reads the record. One that is missing or damaged is empty: the units then count as down.
    pub fn read(root: &Root, app: &Name) -> Self {
        let bytes = root.read(&path(app)).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Adds units that are stopped now, each with its status while it was up.
    pub fn add(&mut self, states: &[&UnitStatus]) {
        let at = host::now().to_string();
        for state in states {
            let (at, run) = (at.clone(), state.invocation_id.clone());
            self.units.insert(state.id.clone(), Stop { at, run });
        }
    }

    /// Removes units that are to run again.
    pub fn remove(&mut self, units: &[String]) {
        for unit in units {
            self.units.remove(unit);
        }
    }

    /// Whether a unit is in the record, whatever has become of it.
    pub fn contains(&self, unit: &str) -> bool {
        self.units.contains_key(unit)
    }

    /// When someone stopped a unit that is down since then. A later run of the unit has another id.
    pub fn since(&self, state: &UnitStatus) -> Option<&str> {
        let stop = self.units.get(&state.id).filter(|_| state.is_down())?;
        let is_later = state.invocation_id.is_some() && state.invocation_id != stop.run;
        (!is_later && !state.is_failed()).then_some(stop.at.as_str())
    }

    /// Writes the record, or removes it when it is empty.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn save(&self, root: &Root, app: &Name) -> Result<()> {
        if self.units.is_empty() {
            return root.remove_file(&path(app));
        }
        root.make_dir("/run/robotctl", 0o755)?;
        root.make_dir(DIR, 0o755)?;
        root.write_atomic(&path(app), &serde_json::to_vec(self)?, 0o644)
    }
}

#[cfg(test)]
mod tests {
    use super::StoppedUnits;
    use crate::app::Name;
    use crate::host::{ActiveState, Root, UnitStatus};

    #[test]
    fn a_unit_counts_as_stopped_until_it_runs_again() {
        let run = |active_state, id: &str| UnitStatus {
            id: "shop-web.service".to_owned(),
            active_state,
            invocation_id: Some(id.to_owned()).filter(|id| !id.is_empty()),
            ..UnitStatus::default()
        };
        let mut stopped = StoppedUnits::default();
        stopped.add(&[&run(ActiveState::Active, "a")]);
        for (state, id, expected) in [
            (ActiveState::Inactive, "a", true),
            // systemd has unloaded it.
            (ActiveState::Inactive, "", true),
            (ActiveState::Inactive, "b", false),
            (ActiveState::Active, "a", false),
            (ActiveState::Failed, "a", false),
        ] {
            let state = run(state, id);
            assert_eq!(stopped.since(&state).is_some(), expected, "{state:?}");
        }
    }

    #[test]
    fn the_record_is_removed_with_its_last_unit() {
        let dir = tempfile::tempdir().unwrap();
        let (root, app) = (Root::new(dir.path()), Name::parse("shop").unwrap());
        let mut stopped = StoppedUnits::default();
        let state = UnitStatus {
            id: "shop-web.service".to_owned(),
            ..UnitStatus::default()
        };
        stopped.add(&[&state]);
        stopped.save(&root, &app).unwrap();
        assert_eq!(StoppedUnits::read(&root, &app), stopped);
        stopped.remove(&[state.id]);
        stopped.save(&root, &app).unwrap();
        assert_eq!(StoppedUnits::read(&root, &app), StoppedUnits::default());
        assert!(
            root.meta("/run/robotctl/stopped/shop.json")
                .unwrap()
                .is_none()
        );
    }
}
