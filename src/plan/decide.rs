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
        /// Whether another service of the live release has one of its addresses.
        takes_address: bool,
    },
    /// A service that runs all the time, or its socket proxy.
    Daemon {
        /// Whether the service binds an address that moves from or to another service: one must
        /// stop before the other starts.
        moves_address: bool,
        /// Whether it opens its addresses itself.
        binds: Binds,
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

/// Whether a service opens its addresses itself (`socket = "direct"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binds {
    /// It has none, or systemd opens them.
    No,
    /// It does, and has had them until now.
    Own,
    /// It does, and another service of the live release has one of them.
    FromOther,
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
    /// A condition was not met, so systemd did not start it.
    Skipped,
    /// It is neither active nor failed.
    Inactive,
}

/// What is new about a unit.
#[expect(clippy::struct_excessive_bools, reason = "facts of a table")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change<'a> {
    /// Whether it must run another release.
    pub(super) release: bool,
    /// Whether its unit file or a drop-in changes.
    pub(super) files: bool,
    /// What has changed in its settings since it started.
    pub(super) settings: Option<&'a str>,
    /// Whether the user asks for its restart.
    pub(super) asked: bool,
    /// A service of the app that it requires and that restarts: systemd then restarts it, too.
    pub(super) required: Option<&'a str>,
    /// Another release becomes live, and has the same files for it as the release that it runs.
    pub(super) runs: Option<&'a str>,
    /// It does not restart if a build makes the same files for it.
    pub(super) is_built: bool,
    /// Whether its socket is bound again.
    pub(super) is_rebound: bool,
}

impl Change<'_> {
    fn restarts(self) -> bool {
        let is_changed = self.release || self.files || self.settings.is_some();
        is_changed || self.asked || self.is_rebound || self.required.is_some()
    }

    fn why(self) -> String {
        let settings = self
            .settings
            .map(|text| format!("settings changed: {text}"));
        let required = self
            .required
            .map(|name| format!("requires `{name}`, which restarts"));
        let parts = [
            self.release.then(|| match self.is_built && !self.files {
                true => "new release, unless the build makes the same files for it".to_owned(),
                false => "new release".to_owned(),
            }),
            self.files.then(|| "unit changed".to_owned()),
            self.asked.then(|| "as you asked".to_owned()),
            settings,
            (self.is_rebound && !self.release).then(|| "its socket is bound again".to_owned()),
            required.filter(|_| !self.release),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match (parts.as_slice(), self.runs) {
            ([], Some(id)) => format!("goes on with {id}, which has the same files for it"),
            ([], None) => "unchanged".to_owned(),
            (parts, _) => parts.join(", "),
        }
    }
}

/// Everything that decides what happens to a unit of the new release.
#[derive(Debug, Clone)]
pub(super) struct UnitFacts<'a> {
    pub(super) kind: UnitKind,
    pub(super) state: UnitState,
    pub(super) change: Change<'a>,
    /// Whether the manifest enables its service, or the administrator has enabled it.
    pub(super) is_enabled: bool,
    /// A unit that stays up in its place: both are up, and cannot run at the same time.
    pub(super) yields_to: Option<&'a String>,
    /// A unit that runs or is to start, as a clause, and that its start would stop.
    pub(super) conflicts_with: Option<String>,
    /// Whether the live release has the unit.
    pub(super) is_known: bool,
    /// Whether no release is live yet.
    pub(super) is_first_release: bool,
}

/// What happens to a unit, and why.
pub(super) fn decide(facts: UnitFacts<'_>) -> (Action, String) {
    if facts.state == UnitState::Masked {
        return (Action::Unchanged, "masked by the administrator".to_owned());
    }
    if let (UnitState::Active, Some(other)) = (facts.state, facts.yields_to) {
        return (
            Action::Stop,
            format!("conflicts with `{other}`, which stays up"),
        );
    }
    let (action, why) = match facts.kind {
        UnitKind::Socket {
            bound_by_service,
            takes_address,
        } => in_words(socket(&facts, bound_by_service, takes_address)),
        UnitKind::Daemon {
            moves_address,
            binds,
            overlap,
        } => daemon(&facts, moves_address, binds, overlap),
        UnitKind::Job { has_timer } => in_words(job(&facts, has_timer)),
        UnitKind::Timer => in_words(timer(&facts)),
        UnitKind::Target => in_words(target(&facts)),
    };
    match facts.conflicts_with.filter(|_| action.starts()) {
        Some(clause) => {
            let why = format!("not started: {clause}, and its start would stop that");
            (Action::Unchanged, why)
        }
        None => (action, why),
    }
}

fn in_words((action, why): (Action, &str)) -> (Action, String) {
    (action, why.to_owned())
}

const NOT_ENABLED: (Action, &str) = (Action::Unchanged, "not enabled");
const STOPPED: (Action, &str) = (Action::Unchanged, "not running; it is not started");
const NEW: (Action, &str) = (Action::Start, "new");
/// A service or a socket is new, and has an address that another service of the live release has had.
const TAKES_ADDRESS: (Action, &str) = (
    Action::Start,
    "new; an address moves to it from another service, and refuses connections for a moment",
);
/// What a service that opens its address itself adds to the reason of its restart.
const GAP: &str = "; its address refuses connections for a moment";

/// A unit that systemd did not start the last time, because a condition was not met. A deploy of the same
/// release leaves it alone, so that there is nothing to do.
fn skipped(change: Change<'_>) -> (Action, &'static str) {
    // Another release with the same files for a unit may find the condition met.
    match change.restarts() || change.runs.is_some() {
        false => (Action::Unchanged, "its condition is not met"),
        true => (Action::Start, "its condition was not met before"),
    }
}

fn socket(
    facts: &UnitFacts<'_>,
    bound_by_service: bool,
    takes_address: bool,
) -> (Action, &'static str) {
    match facts.state {
        UnitState::Active if facts.change.files => (
            Action::Rebind,
            "its unit changed; it refuses connections for a moment",
        ),
        UnitState::Failed | UnitState::Inactive | UnitState::Skipped if !facts.is_enabled => {
            NOT_ENABLED
        }
        UnitState::Skipped => skipped(facts.change),
        // Its service may be active: then the socket cannot be started.
        UnitState::Failed => (Action::Rebind, "it has failed"),
        _ if !facts.is_known && bound_by_service => (
            Action::Rebind,
            "its service had bound the address itself; it refuses connections for a moment",
        ),
        _ if !facts.is_known && takes_address => TAKES_ADDRESS,
        _ if !facts.is_known => NEW,
        UnitState::Active => (Action::Unchanged, "queues requests during the deploy"),
        _ => STOPPED,
    }
}

fn daemon(
    facts: &UnitFacts<'_>,
    moves_address: bool,
    binds: Binds,
    overlap: Overlap,
) -> (Action, String) {
    let (action, why) = match facts.state {
        UnitState::Failed | UnitState::Inactive | UnitState::Skipped if !facts.is_enabled => {
            NOT_ENABLED
        }
        UnitState::Skipped => skipped(facts.change),
        UnitState::Failed => (Action::Restart, "it has failed"),
        UnitState::Active if !facts.change.restarts() => {
            return (Action::Unchanged, facts.change.why());
        }
        UnitState::Active if moves_address => (
            Action::Rebind,
            "an address moves to another service; it refuses connections for a moment",
        ),
        UnitState::Active if overlap == Overlap::Yes => {
            return (Action::Overlap, facts.change.why());
        }
        UnitState::Active => {
            let obstacle = overlap.obstacle().map(|text| format!("; {text}"));
            let gap = if binds == Binds::No { "" } else { GAP };
            let why = facts.change.why() + &obstacle.unwrap_or_default() + gap;
            return (Action::Restart, why);
        }
        _ if !facts.is_known && binds == Binds::FromOther => TAKES_ADDRESS,
        _ if facts.is_first_release || !facts.is_known => NEW,
        _ => STOPPED,
    };
    (action, why.to_owned())
}

fn job(facts: &UnitFacts<'_>, has_timer: bool) -> (Action, &'static str) {
    match facts.state {
        UnitState::Active => (
            Action::Unchanged,
            "a running job finishes on its own release",
        ),
        _ if has_timer => (Action::Unchanged, "started by its timer"),
        _ => (Action::Unchanged, "a deploy starts no jobs"),
    }
}

fn timer(facts: &UnitFacts<'_>) -> (Action, &'static str) {
    match facts.state {
        UnitState::Active if facts.change.files => (Action::Restart, "unit changed"),
        UnitState::Active if facts.is_known => (Action::Unchanged, "unchanged"),
        UnitState::Failed | UnitState::Inactive | UnitState::Skipped if !facts.is_enabled => {
            NOT_ENABLED
        }
        UnitState::Skipped => skipped(facts.change),
        UnitState::Failed => (Action::Start, "it has failed"),
        _ if !facts.is_known => NEW,
        _ => STOPPED,
    }
}

fn target(facts: &UnitFacts<'_>) -> (Action, &'static str) {
    if facts.state != UnitState::Active && facts.is_first_release {
        NEW
    } else {
        (Action::Unchanged, "unchanged")
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Binds, Change, Overlap, UnitFacts, UnitKind, UnitState, decide};
    use Action::{Rebind, Restart, Start, Unchanged};
    use UnitState::{Active, Failed, Inactive, Masked, Skipped};

    const NONE: Change<'_> = Change {
        release: false,
        files: false,
        settings: None,
        asked: false,
        required: None,
        runs: None,
        is_built: false,
        is_rebound: false,
    };
    const REBOUND: Change<'_> = Change {
        is_rebound: true,
        ..NONE
    };
    const RELEASE: Change<'_> = Change {
        release: true,
        ..NONE
    };
    const FILES: Change<'_> = Change {
        files: true,
        ..NONE
    };
    const RELEASE_AND_FILES: Change<'_> = Change {
        files: true,
        ..RELEASE
    };
    const SETTINGS: Change<'_> = Change {
        settings: Some("`A`"),
        ..NONE
    };
    const SAME_FILES: Change<'_> = Change {
        runs: Some("1-a"),
        ..NONE
    };

    const SOCKET: UnitKind = UnitKind::Socket {
        bound_by_service: false,
        takes_address: false,
    };
    const BOUND_SOCKET: UnitKind = UnitKind::Socket {
        bound_by_service: true,
        takes_address: false,
    };
    const TAKING_SOCKET: UnitKind = UnitKind::Socket {
        bound_by_service: false,
        takes_address: true,
    };
    const fn direct(binds: Binds) -> UnitKind {
        UnitKind::Daemon {
            moves_address: false,
            binds,
            overlap: Overlap::No,
        }
    }
    const DAEMON: UnitKind = daemon(Overlap::No);
    const fn daemon(overlap: Overlap) -> UnitKind {
        UnitKind::Daemon {
            moves_address: false,
            binds: Binds::No,
            overlap,
        }
    }

    const OVERLAPPING: UnitKind = daemon(Overlap::Yes);
    const MOVING: UnitKind = UnitKind::Daemon {
        moves_address: true,
        binds: Binds::Own,
        overlap: Overlap::Yes,
    };
    const JOB: UnitKind = UnitKind::Job { has_timer: false };
    const TIMED_JOB: UnitKind = UnitKind::Job { has_timer: true };
    const TIMER: UnitKind = UnitKind::Timer;
    const TARGET: UnitKind = UnitKind::Target;

    /// An enabled unit that the live release has.
    fn known(kind: UnitKind, state: UnitState, change: Change<'static>) -> UnitFacts<'static> {
        UnitFacts {
            kind,
            state,
            change,
            is_enabled: true,
            yields_to: None,
            conflicts_with: None,
            is_known: true,
            is_first_release: false,
        }
    }

    fn new(kind: UnitKind, state: UnitState) -> UnitFacts<'static> {
        UnitFacts {
            is_known: false,
            ..known(kind, state, RELEASE_AND_FILES)
        }
    }

    fn first(kind: UnitKind, state: UnitState) -> UnitFacts<'static> {
        UnitFacts {
            is_first_release: true,
            ..new(kind, state)
        }
    }

    fn disabled(kind: UnitKind, state: UnitState, change: Change<'static>) -> UnitFacts<'static> {
        UnitFacts {
            is_enabled: false,
            ..known(kind, state, change)
        }
    }

    #[track_caller]
    fn check(table: &[(UnitFacts<'_>, Action, &str)]) {
        for (facts, action, why) in table {
            let decided = decide(facts.clone());
            assert_eq!(decided, (*action, (*why).to_owned()), "{facts:?}");
        }
    }

    #[test]
    fn a_masked_unit_is_left_alone() {
        for kind in [SOCKET, DAEMON, JOB, TIMER, TARGET] {
            let masked = "masked by the administrator";
            check(&[
                (known(kind, Masked, RELEASE_AND_FILES), Unchanged, masked),
                (first(kind, Masked), Unchanged, masked),
            ]);
        }
    }

    #[test]
    fn a_socket_stays_open_unless_its_addresses_change() {
        check(&[
            (
                known(SOCKET, Active, RELEASE),
                Unchanged,
                "queues requests during the deploy",
            ),
            (
                known(SOCKET, Active, FILES),
                Rebind,
                "its unit changed; it refuses connections for a moment",
            ),
            (
                known(SOCKET, Inactive, FILES),
                Unchanged,
                "not running; it is not started",
            ),
            (known(SOCKET, Failed, NONE), Rebind, "it has failed"),
            (new(SOCKET, Inactive), Start, "new"),
            (
                new(BOUND_SOCKET, Inactive),
                Rebind,
                "its service had bound the address itself; it refuses connections for a moment",
            ),
            (disabled(SOCKET, Inactive, FILES), Unchanged, "not enabled"),
            (disabled(SOCKET, Failed, FILES), Unchanged, "not enabled"),
            (
                disabled(SOCKET, Active, FILES),
                Rebind,
                "its unit changed; it refuses connections for a moment",
            ),
        ]);
    }

    #[test]
    fn a_daemon_that_is_active_changes_with_its_release_or_its_unit() {
        check(&[
            (known(DAEMON, Active, NONE), Unchanged, "unchanged"),
            (known(DAEMON, Active, RELEASE), Restart, "new release"),
            (known(DAEMON, Active, FILES), Restart, "unit changed"),
            (
                known(DAEMON, Active, REBOUND),
                Restart,
                "its socket is bound again",
            ),
            (
                known(DAEMON, Active, RELEASE_AND_FILES),
                Restart,
                "new release, unit changed",
            ),
            (
                known(OVERLAPPING, Active, RELEASE),
                Action::Overlap,
                "new release",
            ),
            (known(OVERLAPPING, Active, NONE), Unchanged, "unchanged"),
            (
                known(daemon(Overlap::NoMemory), Active, RELEASE),
                Restart,
                "new release; no overlap: two releases need more memory than is free",
            ),
            (
                known(daemon(Overlap::OwnGroups), Active, RELEASE),
                Restart,
                "new release; no overlap: it has control groups of its own",
            ),
            (
                known(daemon(Overlap::OtherUser), Active, RELEASE),
                Restart,
                "new release; no overlap: its user changes",
            ),
            (
                known(MOVING, Active, RELEASE),
                Rebind,
                "an address moves to another service; it refuses connections for a moment",
            ),
            (known(MOVING, Active, NONE), Unchanged, "unchanged"),
            (disabled(DAEMON, Active, RELEASE), Restart, "new release"),
        ]);
    }

    #[test]
    fn a_daemon_restarts_when_its_settings_have_changed() {
        let settings = "settings changed: `A`";
        let both = Change {
            settings: Some("`A`"),
            ..RELEASE
        };
        check(&[
            (known(DAEMON, Active, SETTINGS), Restart, settings),
            (
                known(OVERLAPPING, Active, SETTINGS),
                Action::Overlap,
                settings,
            ),
            (disabled(DAEMON, Active, SETTINGS), Restart, settings),
            (
                known(DAEMON, Active, both),
                Restart,
                "new release, settings changed: `A`",
            ),
            (
                known(daemon(Overlap::NoMemory), Active, SETTINGS),
                Restart,
                "settings changed: `A`; no overlap: two releases need more memory than is free",
            ),
            (
                known(DAEMON, Masked, SETTINGS),
                Unchanged,
                "masked by the administrator",
            ),
            (
                known(TIMED_JOB, Active, SETTINGS),
                Unchanged,
                "a running job finishes on its own release",
            ),
        ]);
    }

    #[test]
    fn a_daemon_with_the_same_files_goes_on() {
        let why = "goes on with 1-a, which has the same files for it";
        let with = |change: Change<'static>| Change {
            runs: Some("1-a"),
            ..change
        };
        check(&[
            (known(OVERLAPPING, Active, SAME_FILES), Unchanged, why),
            (known(MOVING, Active, SAME_FILES), Unchanged, why),
            (
                known(
                    DAEMON,
                    Active,
                    Change {
                        is_built: true,
                        ..RELEASE
                    },
                ),
                Restart,
                "new release, unless the build makes the same files for it",
            ),
            (known(DAEMON, Failed, SAME_FILES), Restart, "it has failed"),
            (known(DAEMON, Active, with(FILES)), Restart, "unit changed"),
            (
                known(
                    DAEMON,
                    Active,
                    with(Change {
                        required: Some("core"),
                        ..NONE
                    }),
                ),
                Restart,
                "requires `core`, which restarts",
            ),
            (
                known(DAEMON, Active, with(SETTINGS)),
                Restart,
                "settings changed: `A`",
            ),
        ]);
    }

    #[test]
    fn a_daemon_that_is_not_active_is_started_if_it_is_new_or_has_failed() {
        check(&[
            (known(DAEMON, Failed, NONE), Restart, "it has failed"),
            (
                known(OVERLAPPING, Failed, RELEASE),
                Restart,
                "it has failed",
            ),
            (
                known(DAEMON, Inactive, RELEASE),
                Unchanged,
                "not running; it is not started",
            ),
            (new(DAEMON, Inactive), Start, "new"),
            (first(DAEMON, Inactive), Start, "new"),
            (
                disabled(DAEMON, Inactive, RELEASE),
                Unchanged,
                "not enabled",
            ),
            (disabled(DAEMON, Failed, RELEASE), Unchanged, "not enabled"),
        ]);
    }

    #[test]
    fn a_unit_whose_condition_was_not_met_is_tried_again_by_a_change() {
        for kind in [SOCKET, DAEMON, OVERLAPPING, TIMER] {
            check(&[
                (
                    known(kind, Skipped, NONE),
                    Unchanged,
                    "its condition is not met",
                ),
                (
                    known(kind, Skipped, RELEASE),
                    Start,
                    "its condition was not met before",
                ),
                (disabled(kind, Skipped, RELEASE), Unchanged, "not enabled"),
            ]);
        }
        check(&[
            (
                known(TIMED_JOB, Skipped, RELEASE),
                Unchanged,
                "started by its timer",
            ),
            (known(TARGET, Skipped, RELEASE), Unchanged, "unchanged"),
        ]);
    }

    #[test]
    fn a_gap_is_announced() {
        let moves = "new; an address moves to it from another service, and refuses connections for a moment";
        check(&[
            (
                known(direct(Binds::Own), Active, RELEASE),
                Restart,
                "new release; its address refuses connections for a moment",
            ),
            (
                known(direct(Binds::Own), Active, NONE),
                Unchanged,
                "unchanged",
            ),
            (new(direct(Binds::Own), Inactive), Start, "new"),
            (new(direct(Binds::FromOther), Inactive), Start, moves),
            (new(TAKING_SOCKET, Inactive), Start, moves),
        ]);
    }

    #[test]
    fn a_unit_is_not_started_while_one_runs_that_it_conflicts_with() {
        let conflicting = |facts: UnitFacts<'static>| UnitFacts {
            conflicts_with: Some("`shop-b.service` runs".to_owned()),
            ..facts
        };
        let why = "not started: `shop-b.service` runs, and its start would stop that";
        check(&[
            (conflicting(new(DAEMON, Inactive)), Unchanged, why),
            (conflicting(new(SOCKET, Inactive)), Unchanged, why),
            (conflicting(known(DAEMON, Failed, RELEASE)), Unchanged, why),
            (conflicting(known(DAEMON, Skipped, RELEASE)), Unchanged, why),
            (
                conflicting(known(DAEMON, Inactive, RELEASE)),
                Unchanged,
                "not running; it is not started",
            ),
        ]);
    }

    #[test]
    fn a_unit_that_is_up_stops_in_favour_of_one_that_it_conflicts_with() {
        let other = "shop-a.socket".to_owned();
        for kind in [SOCKET, OVERLAPPING, MOVING] {
            let yields = |facts: UnitFacts<'static>| UnitFacts {
                yields_to: Some(&other),
                ..facts
            };
            let why = "conflicts with `shop-a.socket`, which stays up";
            check(&[
                (yields(known(kind, Active, NONE)), Action::Stop, why),
                (
                    yields(disabled(kind, Active, RELEASE_AND_FILES)),
                    Action::Stop,
                    why,
                ),
                (
                    yields(disabled(kind, Inactive, RELEASE)),
                    Unchanged,
                    "not enabled",
                ),
            ]);
        }
    }

    #[test]
    fn a_job_is_never_started_or_stopped() {
        check(&[
            (
                known(TIMED_JOB, Active, RELEASE_AND_FILES),
                Unchanged,
                "a running job finishes on its own release",
            ),
            (new(TIMED_JOB, Inactive), Unchanged, "started by its timer"),
            (
                known(TIMED_JOB, Failed, RELEASE),
                Unchanged,
                "started by its timer",
            ),
            (new(JOB, Inactive), Unchanged, "a deploy starts no jobs"),
        ]);
    }

    #[test]
    fn a_timer_is_restarted_if_its_unit_changes() {
        check(&[
            (known(TIMER, Active, RELEASE), Unchanged, "unchanged"),
            (known(TIMER, Active, FILES), Restart, "unit changed"),
            (known(TIMER, Failed, NONE), Start, "it has failed"),
            (
                known(TIMER, Inactive, FILES),
                Unchanged,
                "not running; it is not started",
            ),
            (new(TIMER, Inactive), Start, "new"),
            (disabled(TIMER, Inactive, FILES), Unchanged, "not enabled"),
        ]);
    }

    #[test]
    fn the_target_is_started_with_the_first_release() {
        check(&[
            (first(TARGET, Inactive), Start, "new"),
            (first(TARGET, Active), Unchanged, "unchanged"),
            (known(TARGET, Inactive, RELEASE), Unchanged, "unchanged"),
        ]);
    }
}
