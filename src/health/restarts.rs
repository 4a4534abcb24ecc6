//! Services that restart again and again, or fail, after a deploy.

use super::cause::cause_text;
use crate::host::UnitStatus;
use std::collections::BTreeMap;

/// How many restarts by systemd are one too many.
const MAX_RESTARTS: u64 = 2;

/// Counts the restarts of units from the first sample on.
#[derive(Debug, Default)]
pub(crate) struct RestartCounter {
    first: BTreeMap<String, u64>,
}

impl RestartCounter {
    /// Takes a sample of a unit. Returns what happened when the unit has failed or restarts again and
    /// again. A unit that the administrator stopped is fine.
    pub(crate) fn step(&mut self, unit: &str, state: &UnitStatus) -> Option<String> {
        if state.is_failed() {
            return Some(cause_text(state));
        }
        let first = self
            .first
            .entry(unit.to_owned())
            .or_insert(state.n_restarts);
        // A restart by the administrator resets the counter of systemd.
        *first = (*first).min(state.n_restarts);
        let restarts = state.n_restarts - *first;
        (restarts >= MAX_RESTARTS).then(|| format!("it restarted {restarts} times by itself"))
    }
}

#[cfg(test)]
mod tests {
    use super::RestartCounter;
    use crate::host::{ActiveState, UnitStatus};

    #[test]
    fn two_restarts_after_the_first_sample_are_too_many() {
        let mut counter = RestartCounter::default();
        let mut step = |n_restarts| {
            let state = UnitStatus {
                active_state: ActiveState::Active,
                n_restarts,
                ..UnitStatus::default()
            };
            counter.step("demo-web.service", &state)
        };
        assert_eq!(step(5), None);
        assert_eq!(step(6), None);
        // A restart by hand.
        assert_eq!(step(0), None);
        assert_eq!(step(1), None);
        assert_eq!(step(2).unwrap(), "it restarted 2 times by itself");
    }

    #[test]
    fn a_failure_counts_and_a_stop_does_not() {
        let mut counter = RestartCounter::default();
        let mut step = |active_state| {
            let state = UnitStatus {
                active_state,
                ..UnitStatus::default()
            };
            counter.step("demo-web.service", &state).is_some()
        };
        assert!(!step(ActiveState::Active));
        assert!(!step(ActiveState::Inactive));
        assert!(step(ActiveState::Failed));
    }
}
