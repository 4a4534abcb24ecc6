//! Services that restart again and again, run out of memory, or fail, after a deploy.

use super::cause::cause_failure;
use crate::failure::Failure;
use crate::host::UnitStatus;
use crate::stability::{Instability, SOAK_RESTARTS};
use std::collections::BTreeMap;

/// Counts the restarts of units, and their processes that the kernel killed for memory, from the first
/// sample on.
#[derive(Debug, Default)]
pub(crate) struct RestartCounter {
    restarts: BTreeMap<String, u64>,
    /// The run of each unit, and what was counted when it was seen first.
    kills: BTreeMap<String, (Option<String>, u64)>,
}

impl RestartCounter {
    /// Takes a sample of a unit. Returns what happened when the unit has failed or restarts again and
    /// again. A unit that the administrator stopped is fine.
    /// `kills` is what its control group has counted.
    pub(crate) fn step(
        &mut self,
        unit: &str,
        state: &UnitStatus,
        kills: Option<u64>,
    ) -> Option<Failure> {
        if state.is_failed() {
            return Some(cause_failure(state));
        }
        let first = self
            .restarts
            .entry(unit.to_owned())
            .or_insert(state.n_restarts);
        // A restart by the administrator resets the counter of systemd.
        *first = (*first).min(state.n_restarts);
        let restarts = state.n_restarts - *first;
        if restarts >= SOAK_RESTARTS {
            return Some(Failure::public(format!(
                "it restarted {restarts} times by itself"
            )));
        }
        let is_known = self.kills.contains_key(unit);
        let run = state.invocation_id.clone();
        let kills = kills.unwrap_or(0);
        let (known_run, first) = self
            .kills
            .entry(unit.to_owned())
            .or_insert_with(|| (run.clone(), kills));
        if is_known && *known_run != run {
            // Its control group is new, and has counted from zero since.
            (*known_run, *first) = (run, 0);
        }
        out_of_memory(kills.saturating_sub(*first))
    }
}

/// The failure of a unit of which the kernel has killed so many processes because memory ran out.
pub(super) fn out_of_memory(kills: u64) -> Option<Failure> {
    let what = Instability::of_kills(kills)?.in_words();
    Some(Failure::public(format!(
        "it {what}; raise `limits.memory-max`, or make it use less"
    )))
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
            counter.step("demo-web.service", &state, None)
        };
        assert_eq!(step(5), None);
        assert_eq!(step(6), None);
        // A restart by hand.
        assert_eq!(step(0), None);
        assert_eq!(step(1), None);
        assert_eq!(
            step(2).unwrap().to_string(),
            "it restarted 2 times by itself"
        );
    }

    #[test]
    fn a_failure_counts_and_a_stop_does_not() {
        let mut counter = RestartCounter::default();
        let mut step = |active_state| {
            let state = UnitStatus {
                active_state,
                ..UnitStatus::default()
            };
            counter.step("demo-web.service", &state, None).is_some()
        };
        assert!(!step(ActiveState::Active));
        assert!(!step(ActiveState::Inactive));
        assert!(step(ActiveState::Failed));
    }

    #[test]
    fn a_kill_after_the_first_sample_counts_in_this_run_and_in_the_next() {
        let mut counter = RestartCounter::default();
        let mut step = |run: &str, kills| {
            let state = UnitStatus {
                active_state: ActiveState::Active,
                invocation_id: Some(run.to_owned()),
                ..UnitStatus::default()
            };
            counter.step("demo-web.service", &state, kills).is_some()
        };
        // Those before the first sample do not count.
        assert!(!step("a", Some(4)));
        assert!(!step("a", None));
        assert!(step("a", Some(5)));
        // The control group of the next run begins at zero.
        assert!(!step("b", Some(0)));
        assert!(step("b", Some(1)));
    }
}
