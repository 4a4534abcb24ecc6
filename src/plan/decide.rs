//! What happens to a unit: a table over its facts.

use super::data::Action;
use super::overlap::Overlap;

/// What a unit is, and the facts that matter for units of that kind only.
#[derive(Debug, Clone, Copy)]
pub(super) enum UnitKind {
    /// A socket.
    Socket {
        /// Whether its service is active and has bound the addresses itself until now. systemd
        /// cannot start a socket while its service is active.
        bound_by_service: bool,
    },
    /// A service that runs all the time, or its socket proxy.
    Daemon {
        /// Whether the service binds an address that moves from or to another service: one must
        /// stop before the other starts.
        moves_address: bool,
        /// Whether the previous release can answer while it restarts.
        overlap: Overlap,
    },
    /// A service that a timer or another unit starts, and that ends by itself.
    Job {
        /// Whether it has a timer.
        has_timer: bool,
    },
    /// A timer.
    Timer,
    /// The target of the app.
    Target,
}

/// The state of a unit before the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitState {
    /// The administrator has masked it.
    Masked,
    /// It is active.
    Active,
    /// It has failed.
    Failed,
    /// It is neither active nor failed.
    Inactive,
}

/// What is new about a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Neither its release nor its files change.
    None,
    /// Its release changes.
    Release,
    /// Its unit file or a drop-in changes.
    Files,
    /// Both change.
    ReleaseAndFiles,
}

impl Change {
    fn changes_files(self) -> bool {
        matches!(self, Self::Files | Self::ReleaseAndFiles)
    }

    fn why(self) -> &'static str {
        match self {
            Self::None => "unchanged",
            Self::Release => "new release",
            Self::Files => "unit changed",
            Self::ReleaseAndFiles => "new release, unit changed",
        }
    }
}

/// Everything that decides what happens to a unit of the new release.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnitFacts {
    pub(super) kind: UnitKind,
    pub(super) state: UnitState,
    pub(super) change: Change,
    /// Whether the manifest enables its service.
    pub(super) is_enabled: bool,
    /// Whether the live release has the unit.
    pub(super) is_known: bool,
    /// Whether no release is live yet.
    pub(super) is_first_release: bool,
}

/// What happens to a unit, and why.
pub(super) fn decide(facts: UnitFacts) -> (Action, String) {
    if facts.state == UnitState::Masked {
        return (Action::Unchanged, "masked by the administrator".to_owned());
    }
    let (action, why) = match facts.kind {
        UnitKind::Socket { bound_by_service } => socket(facts, bound_by_service),
        UnitKind::Daemon {
            moves_address,
            overlap,
        } => return daemon(facts, moves_address, overlap),
        UnitKind::Job { has_timer } => job(facts, has_timer),
        UnitKind::Timer => timer(facts),
        UnitKind::Target => target(facts),
    };
    (action, why.to_owned())
}

const NOT_ENABLED: (Action, &str) = (Action::Unchanged, "not enabled");
const STOPPED: (Action, &str) = (Action::Unchanged, "not running; it is not started");
const NEW: (Action, &str) = (Action::Start, "new");

fn socket(facts: UnitFacts, bound_by_service: bool) -> (Action, &'static str) {
    match facts.state {
        UnitState::Active if facts.change.changes_files() => (
            Action::Rebind,
            "its unit changed; it refuses connections for a moment",
        ),
        UnitState::Failed | UnitState::Inactive if !facts.is_enabled => NOT_ENABLED,
        // Its service may be active: then the socket cannot be started.
        UnitState::Failed => (Action::Rebind, "it has failed"),
        _ if !facts.is_known && bound_by_service => (
            Action::Rebind,
            "its service had bound the address itself; it refuses connections for a moment",
        ),
        _ if !facts.is_known => NEW,
        UnitState::Active => (Action::Unchanged, "queues requests during the deploy"),
        _ => STOPPED,
    }
}

fn daemon(facts: UnitFacts, moves_address: bool, overlap: Overlap) -> (Action, String) {
    let (action, why) = match facts.state {
        UnitState::Failed | UnitState::Inactive if !facts.is_enabled => NOT_ENABLED,
        UnitState::Failed => (Action::Restart, "it has failed"),
        UnitState::Active if facts.change == Change::None => (Action::Unchanged, "unchanged"),
        UnitState::Active if moves_address => (
            Action::Rebind,
            "an address moves to another service; it refuses connections for a moment",
        ),
        UnitState::Active => match overlap {
            Overlap::Yes => (Action::Overlap, facts.change.why()),
            _ => {
                let obstacle = overlap.obstacle().map(|text| format!("; {text}"));
                let why = facts.change.why().to_owned() + &obstacle.unwrap_or_default();
                return (Action::Restart, why);
            }
        },
        _ if facts.is_first_release || !facts.is_known => NEW,
        _ => STOPPED,
    };
    (action, why.to_owned())
}

fn job(facts: UnitFacts, has_timer: bool) -> (Action, &'static str) {
    match facts.state {
        UnitState::Active => (
            Action::Unchanged,
            "a running job finishes on its own release",
        ),
        _ if has_timer => (Action::Unchanged, "started by its timer"),
        _ => (Action::Unchanged, "a deploy starts no jobs"),
    }
}

fn timer(facts: UnitFacts) -> (Action, &'static str) {
    match facts.state {
        UnitState::Active if facts.change.changes_files() => (Action::Restart, "unit changed"),
        UnitState::Active if facts.is_known => (Action::Unchanged, "unchanged"),
        UnitState::Failed | UnitState::Inactive if !facts.is_enabled => NOT_ENABLED,
        UnitState::Failed => (Action::Start, "it has failed"),
        _ if !facts.is_known => NEW,
        _ => STOPPED,
    }
}

fn target(facts: UnitFacts) -> (Action, &'static str) {
    if facts.state != UnitState::Active && facts.is_first_release {
        NEW
    } else {
        (Action::Unchanged, "unchanged")
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Change, Overlap, UnitFacts, UnitKind, UnitState, decide};
    use Action::{Rebind, Restart, Start, Unchanged};
    use Change::{Files, Release, ReleaseAndFiles};
    use UnitState::{Active, Failed, Inactive, Masked};

    const SOCKET: UnitKind = UnitKind::Socket {
        bound_by_service: false,
    };
    const BOUND_SOCKET: UnitKind = UnitKind::Socket {
        bound_by_service: true,
    };
    const DAEMON: UnitKind = daemon(Overlap::No);
    const fn daemon(overlap: Overlap) -> UnitKind {
        UnitKind::Daemon {
            moves_address: false,
            overlap,
        }
    }

    const OVERLAPPING: UnitKind = daemon(Overlap::Yes);
    const MOVING: UnitKind = UnitKind::Daemon {
        moves_address: true,
        overlap: Overlap::Yes,
    };
    const JOB: UnitKind = UnitKind::Job { has_timer: false };
    const TIMED_JOB: UnitKind = UnitKind::Job { has_timer: true };
    const TIMER: UnitKind = UnitKind::Timer;
    const TARGET: UnitKind = UnitKind::Target;

    /// An enabled unit that the live release has.
    fn known(kind: UnitKind, state: UnitState, change: Change) -> UnitFacts {
        UnitFacts {
            kind,
            state,
            change,
            is_enabled: true,
            is_known: true,
            is_first_release: false,
        }
    }

    fn new(kind: UnitKind, state: UnitState) -> UnitFacts {
        UnitFacts {
            is_known: false,
            ..known(kind, state, ReleaseAndFiles)
        }
    }

    fn first(kind: UnitKind, state: UnitState) -> UnitFacts {
        UnitFacts {
            is_first_release: true,
            ..new(kind, state)
        }
    }

    fn disabled(kind: UnitKind, state: UnitState, change: Change) -> UnitFacts {
        UnitFacts {
            is_enabled: false,
            ..known(kind, state, change)
        }
    }

    #[track_caller]
    fn check(table: &[(UnitFacts, Action, &str)]) {
        for (facts, action, why) in table {
            assert_eq!(decide(*facts), (*action, (*why).to_owned()), "{facts:?}");
        }
    }

    #[test]
    fn a_masked_unit_is_left_alone() {
        for kind in [SOCKET, DAEMON, JOB, TIMER, TARGET] {
            let masked = "masked by the administrator";
            check(&[
                (known(kind, Masked, ReleaseAndFiles), Unchanged, masked),
                (first(kind, Masked), Unchanged, masked),
            ]);
        }
    }

    #[test]
    fn a_socket_stays_open_unless_its_addresses_change() {
        check(&[
            (
                known(SOCKET, Active, Release),
                Unchanged,
                "queues requests during the deploy",
            ),
            (
                known(SOCKET, Active, Files),
                Rebind,
                "its unit changed; it refuses connections for a moment",
            ),
            (
                known(SOCKET, Inactive, Files),
                Unchanged,
                "not running; it is not started",
            ),
            (known(SOCKET, Failed, Change::None), Rebind, "it has failed"),
            (new(SOCKET, Inactive), Start, "new"),
            (
                new(BOUND_SOCKET, Inactive),
                Rebind,
                "its service had bound the address itself; it refuses connections for a moment",
            ),
            (disabled(SOCKET, Inactive, Files), Unchanged, "not enabled"),
            (disabled(SOCKET, Failed, Files), Unchanged, "not enabled"),
            (
                disabled(SOCKET, Active, Files),
                Rebind,
                "its unit changed; it refuses connections for a moment",
            ),
        ]);
    }

    #[test]
    fn a_daemon_that_is_active_changes_with_its_release_or_its_unit() {
        check(&[
            (known(DAEMON, Active, Change::None), Unchanged, "unchanged"),
            (known(DAEMON, Active, Release), Restart, "new release"),
            (known(DAEMON, Active, Files), Restart, "unit changed"),
            (
                known(DAEMON, Active, ReleaseAndFiles),
                Restart,
                "new release, unit changed",
            ),
            (
                known(OVERLAPPING, Active, Release),
                Action::Overlap,
                "new release",
            ),
            (
                known(OVERLAPPING, Active, Change::None),
                Unchanged,
                "unchanged",
            ),
            (
                known(daemon(Overlap::NoMemory), Active, Release),
                Restart,
                "new release; no overlap: two releases need more memory than is free",
            ),
            (
                known(daemon(Overlap::OwnGroups), Active, Release),
                Restart,
                "new release; no overlap: it has control groups of its own",
            ),
            (
                known(daemon(Overlap::OtherUser), Active, Release),
                Restart,
                "new release; no overlap: its user changes",
            ),
            (
                known(MOVING, Active, Release),
                Rebind,
                "an address moves to another service; it refuses connections for a moment",
            ),
            (known(MOVING, Active, Change::None), Unchanged, "unchanged"),
            (disabled(DAEMON, Active, Release), Restart, "new release"),
        ]);
    }

    #[test]
    fn a_daemon_that_is_not_active_is_started_if_it_is_new_or_has_failed() {
        check(&[
            (
                known(DAEMON, Failed, Change::None),
                Restart,
                "it has failed",
            ),
            (
                known(OVERLAPPING, Failed, Release),
                Restart,
                "it has failed",
            ),
            (
                known(DAEMON, Inactive, Release),
                Unchanged,
                "not running; it is not started",
            ),
            (new(DAEMON, Inactive), Start, "new"),
            (first(DAEMON, Inactive), Start, "new"),
            (
                disabled(DAEMON, Inactive, Release),
                Unchanged,
                "not enabled",
            ),
            (disabled(DAEMON, Failed, Release), Unchanged, "not enabled"),
        ]);
    }

    #[test]
    fn a_job_is_never_started_or_stopped() {
        check(&[
            (
                known(TIMED_JOB, Active, ReleaseAndFiles),
                Unchanged,
                "a running job finishes on its own release",
            ),
            (new(TIMED_JOB, Inactive), Unchanged, "started by its timer"),
            (
                known(TIMED_JOB, Failed, Release),
                Unchanged,
                "started by its timer",
            ),
            (new(JOB, Inactive), Unchanged, "a deploy starts no jobs"),
        ]);
    }

    #[test]
    fn a_timer_is_restarted_if_its_unit_changes() {
        check(&[
            (known(TIMER, Active, Release), Unchanged, "unchanged"),
            (known(TIMER, Active, Files), Restart, "unit changed"),
            (known(TIMER, Failed, Change::None), Start, "it has failed"),
            (
                known(TIMER, Inactive, Files),
                Unchanged,
                "not running; it is not started",
            ),
            (new(TIMER, Inactive), Start, "new"),
            (disabled(TIMER, Inactive, Files), Unchanged, "not enabled"),
        ]);
    }

    #[test]
    fn the_target_is_started_with_the_first_release() {
        check(&[
            (first(TARGET, Inactive), Start, "new"),
            (first(TARGET, Active), Unchanged, "unchanged"),
            (known(TARGET, Inactive, Release), Unchanged, "unchanged"),
        ]);
    }
}
