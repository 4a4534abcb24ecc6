//! What a unit does and is about to do: a table over its state and its job.
//!
//! A unit is in between while someone restarts it. Its state alone does not show whether it will run: a service
//! in `deactivating` may be stopped, restarted, or have ended by itself. Its job shows it (systemctl(1),
//! "list-jobs").

use super::status::{ActiveState, UnitJob, UnitStatus};

/// What a unit does and is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is up.
    Up,
    /// It starts, or its start is queued.
    Starting,
    /// It stops, or is still up, and starts again after that.
    Restarting,
    /// It has ended, and systemd waits before it starts it again.
    BetweenRuns,
    /// It ends by itself. What follows is not known yet.
    Ending,
    /// Someone stops it.
    Stopping,
    /// It has failed.
    Failed,
    /// It is down.
    Down,
}

/// What a plan takes a unit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlannedAs {
    /// It runs.
    Running,
    /// It runs, but no process of it can answer while it restarts.
    InBetween,
    /// It has failed.
    Failed,
    /// The administrator has stopped it.
    Stopped,
}

/// When the checks after a change, of a release and of a restored one, include a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// At once.
    Now,
    /// When it is no longer in between.
    AfterWait,
    /// Only if the change has started it.
    IfStarted,
}

/// What the doctor reports about a unit that should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// Nothing.
    Nothing,
    /// A note.
    Note,
    /// A warning.
    Warning,
    /// An error.
    Error,
}

/// A row of the table: what robotctl does with a unit in a phase.
#[derive(Debug, Clone, Copy)]
pub struct PhaseRow {
    /// The phase.
    pub phase: Phase,
    /// What the unit does, as a clause about `it`.
    pub words: &'static str,
    /// What a plan takes it for, and with it the pre-check, which tries what the plan starts.
    pub planned: PlannedAs,
    /// When it is checked.
    pub checked: Checked,
    /// What the doctor reports.
    pub reported: Reported,
}

/// What robotctl does with a unit in each phase.
pub const PHASES: [PhaseRow; 8] = {
    use Checked::{AfterWait, IfStarted, Now};
    use Phase::{BetweenRuns, Down, Ending, Failed, Restarting, Starting, Stopping, Up};
    use PlannedAs::{InBetween, Running, Stopped};
    const fn row(
        phase: Phase,
        words: &'static str,
        (planned, checked, reported): (PlannedAs, Checked, Reported),
    ) -> PhaseRow {
        PhaseRow {
            phase,
            words,
            planned,
            checked,
            reported,
        }
    }
    [
        row(Up, "it is up", (Running, Now, Reported::Nothing)),
        row(
            Starting,
            "it is starting",
            (InBetween, AfterWait, Reported::Warning),
        ),
        row(
            Restarting,
            "it is restarting",
            (InBetween, AfterWait, Reported::Note),
        ),
        row(
            BetweenRuns,
            "it has ended, and systemd is about to start it again",
            (PlannedAs::Failed, IfStarted, Reported::Warning),
        ),
        row(
            Ending,
            "it is ending by itself",
            (PlannedAs::Failed, AfterWait, Reported::Note),
        ),
        row(
            Stopping,
            "it is being stopped",
            (Stopped, IfStarted, Reported::Note),
        ),
        row(
            Failed,
            "it has failed",
            (PlannedAs::Failed, IfStarted, Reported::Error),
        ),
        row(Down, "it is down", (Stopped, IfStarted, Reported::Warning)),
    ]
};

impl Phase {
    /// What robotctl does with a unit in this phase.
    pub fn row(self) -> &'static PhaseRow {
        let [
            up,
            starting,
            restarting,
            between_runs,
            ending,
            stopping,
            failed,
            down,
        ] = &PHASES;
        match self {
            Self::Up => up,
            Self::Starting => starting,
            Self::Restarting => restarting,
            Self::BetweenRuns => between_runs,
            Self::Ending => ending,
            Self::Stopping => stopping,
            Self::Failed => failed,
            Self::Down => down,
        }
    }
}

/// States in which a unit is in a phase. The first state that fits decides.
#[derive(Debug, Clone, Copy)]
pub struct StateRow {
    /// `ActiveState=`, any of these.
    pub active: &'static [&'static str],
    /// How `SubState=` begins.
    pub sub: &'static str,
    /// Its job; `None` for any.
    pub job: Option<UnitJob>,
    /// The phase.
    pub phase: Phase,
}

/// The phase of every state. A state that is not here, such as `maintenance`, is down.
pub const STATES: [StateRow; 15] = {
    const UP: &[&str] = &["active", "reloading", "refreshing"];
    const STARTING: &[&str] = &["activating"];
    const ENDING: &[&str] = &["deactivating"];
    const FAILED: &[&str] = &["failed"];
    const DOWN: &[&str] = &["inactive"];
    const fn row(
        active: &'static [&'static str],
        sub: &'static str,
        job: Option<UnitJob>,
        phase: Phase,
    ) -> StateRow {
        StateRow {
            active,
            sub,
            job,
            phase,
        }
    }
    let (start, stop, none) = (
        Some(UnitJob::Start),
        Some(UnitJob::Stop),
        Some(UnitJob::None),
    );
    [
        row(UP, "", none, Phase::Up),
        row(UP, "", start, Phase::Restarting),
        row(UP, "", stop, Phase::Stopping),
        row(STARTING, "", stop, Phase::Stopping),
        row(STARTING, "auto-restart", None, Phase::BetweenRuns),
        row(STARTING, "", None, Phase::Starting),
        row(ENDING, "", start, Phase::Restarting),
        row(ENDING, "", stop, Phase::Stopping),
        row(ENDING, "", none, Phase::Ending),
        row(FAILED, "", start, Phase::Starting),
        row(FAILED, "", stop, Phase::Failed),
        row(FAILED, "", none, Phase::Failed),
        row(DOWN, "", start, Phase::Starting),
        row(DOWN, "", stop, Phase::Down),
        row(DOWN, "", none, Phase::Down),
    ]
};

/// The phase of a unit in a state with a job.
fn phase_of(active: &ActiveState, sub: &str, job: UnitJob) -> Phase {
    let fits = |row: &&StateRow| {
        row.active.contains(&active.as_str())
            && sub.starts_with(row.sub)
            && row.job.is_none_or(|one| one == job)
    };
    STATES
        .iter()
        .find(fits)
        .map_or(Phase::Down, |row| row.phase)
}

impl UnitStatus {
    /// What the unit does and is about to do.
    pub fn phase(&self) -> Phase {
        phase_of(&self.active_state, &self.sub_state, self.job)
    }

    /// Whether the unit is in another phase soon, without anything that robotctl does.
    pub fn is_in_between(&self) -> bool {
        self.phase().row().checked == Checked::AfterWait
    }

    /// Whether someone else than systemd restarts the unit, or has restarted it since it had the status `before`.
    /// systemd counts its own restarts (systemd.service(5), "Restart=").
    pub fn is_restarted_since(&self, before: &Self) -> bool {
        let is_next = self.invocation_id != before.invocation_id && self.is_active();
        self.n_restarts == 0 && (is_next || self.is_in_between())
    }
}

#[cfg(test)]
mod tests {
    use super::{PHASES, Phase, UnitJob, UnitStatus};
    use crate::host::ActiveState;

    fn status(active: &str, sub: &str, job: &str) -> UnitStatus {
        let text = format!("ActiveState={active}\nSubState={sub}\n");
        let mut status = UnitStatus::parse(&text).remove(0);
        status.job = UnitJob::parse(job);
        status
    }

    #[test]
    fn every_state_with_every_job_is_in_a_phase() {
        use Phase::{BetweenRuns, Down, Ending, Failed, Restarting, Starting, Stopping, Up};
        // The phases without a job, with `start`, with `restart` and with `stop`.
        let table = [
            ("active", "running", [Up, Restarting, Restarting, Stopping]),
            (
                "active",
                "listening",
                [Up, Restarting, Restarting, Stopping],
            ),
            (
                "reloading",
                "reload",
                [Up, Restarting, Restarting, Stopping],
            ),
            (
                "refreshing",
                "refresh",
                [Up, Restarting, Restarting, Stopping],
            ),
            (
                "activating",
                "start-pre",
                [Starting, Starting, Starting, Stopping],
            ),
            (
                "activating",
                "start",
                [Starting, Starting, Starting, Stopping],
            ),
            (
                "activating",
                "auto-restart",
                [BetweenRuns, BetweenRuns, BetweenRuns, Stopping],
            ),
            (
                "activating",
                "auto-restart-queued",
                [BetweenRuns, BetweenRuns, BetweenRuns, Stopping],
            ),
            (
                "deactivating",
                "stop-sigterm",
                [Ending, Restarting, Restarting, Stopping],
            ),
            (
                "deactivating",
                "final-sigkill",
                [Ending, Restarting, Restarting, Stopping],
            ),
            ("failed", "failed", [Failed, Starting, Starting, Failed]),
            ("inactive", "dead", [Down, Starting, Starting, Down]),
            ("maintenance", "cleaning", [Down, Down, Down, Down]),
            ("", "", [Down, Down, Down, Down]),
        ];
        for (active, sub, phases) in table {
            for (job, phase) in ["", "start", "restart", "stop"].into_iter().zip(phases) {
                let status = status(active, sub, job);
                assert_eq!(status.phase(), phase, "{active} ({sub}), job `{job}`");
            }
            // A reload neither starts nor stops a unit.
            assert_eq!(status(active, sub, "reload").phase(), phases[0], "{active}");
        }
    }

    #[test]
    fn each_phase_has_its_row() {
        for row in &PHASES {
            assert_eq!(row.phase.row().words, row.words);
        }
    }

    #[test]
    fn a_restart_of_someone_else_is_not_one_of_systemd() {
        let run = |active: &str, job: &str, id: &str, n_restarts| UnitStatus {
            invocation_id: Some(id.to_owned()),
            n_restarts,
            ..status(active, "", job)
        };
        let before = run("active", "", "a", 0);
        for (now, expected) in [
            (run("active", "", "a", 0), false),
            (run("active", "", "b", 0), true),
            (run("deactivating", "restart", "a", 0), true),
            (run("inactive", "start", "a", 0), true),
            // It crashed, and systemd starts it again.
            (run("active", "", "b", 1), false),
            (run("inactive", "start", "a", 1), false),
            (run("failed", "", "a", 0), false),
            (run("inactive", "", "a", 0), false),
            (run("deactivating", "stop", "a", 0), false),
        ] {
            assert_eq!(now.is_restarted_since(&before), expected, "{now:?}");
        }
        // A restart by hand begins to count anew.
        let crashed = run("active", "", "a", 3);
        assert!(run("active", "", "b", 0).is_restarted_since(&crashed));
        assert_eq!(before.active_state, ActiveState::Active);
    }
}
