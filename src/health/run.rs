//! One run of a unit, which its main process shows.

use crate::host::{ProcessIdentity, UnitStatus};

/// One run of a unit, or a unit that was down.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// The status of the unit when it was seen first.
    pub(super) first: UnitStatus,
    process: Option<ProcessIdentity>,
}

impl Run {
    /// The run that a status has just shown.
    pub(super) fn of(first: &UnitStatus) -> Self {
        Self {
            process: first.main_pid.and_then(ProcessIdentity::of),
            first: first.clone(),
        }
    }

    /// Whether the unit was up and its main process still runs. Such a unit has not restarted, so systemd
    /// need not be asked. When this is false, only systemd knows.
    pub(super) fn is_known_to_last(&self) -> bool {
        self.first.is_active() && self.process.is_some_and(|one| one.is_running())
    }
}

#[cfg(test)]
mod tests {
    use super::Run;
    use crate::host::{ActiveState, ProcessIdentity, UnitStatus, pid};

    #[test]
    fn a_run_lasts_as_long_as_its_main_process() {
        let status = |active_state, main_pid| UnitStatus {
            active_state,
            main_pid,
            ..UnitStatus::default()
        };
        let lasts = |state, main_pid| Run::of(&status(state, main_pid)).is_known_to_last();
        assert!(lasts(ActiveState::Active, Some(pid())));
        assert!(!lasts(ActiveState::Activating, Some(pid())));
        assert!(!lasts(ActiveState::Active, None));
        // Another process got the same id.
        let mut run = Run::of(&status(ActiveState::Active, Some(pid())));
        run.process = run.process.map(|one| ProcessIdentity { started: 0, ..one });
        assert!(!run.is_known_to_last());
    }
}
