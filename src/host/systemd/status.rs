//! What systemd says about a unit, as values.

use super::overdue::{Killed, Verb};
use jiff::Timestamp;
use std::fmt;

/// The properties that [`UnitStatus`] reads, as `systemctl show --property` takes them.
pub(super) const PROPERTIES: &str = "Id,Description,LoadState,ActiveState,SubState,UnitFileState,Result,\
NeedDaemonReload,FragmentPath,DropInPaths,Triggers,TriggeredBy,MainPID,ExecMainPID,ExecMainCode,\
ExecMainStatus,NRestarts,InvocationID,ControlGroup,Slice,NotifyAccess,Delegate,MemoryCurrent,ActiveEnterTimestamp,\
ExecMainStartTimestamp,ExecMainExitTimestamp,NextElapseUSecRealtime,LastTriggerUSec,ConditionResult,ConditionTimestampMonotonic,StatusText,User,Job,Conflicts,ConflictedBy";

/// The status of a unit (org.freedesktop.systemd1(5)). The default is that of a unit that systemd
/// was not asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitStatus {
    /// The unit's name.
    pub id: String,
    /// `Description=`
    pub description: String,
    /// Whether systemd has read its files.
    pub load_state: LoadState,
    /// Whether it runs.
    pub active_state: ActiveState,
    /// The state of its type, such as `running` or `auto-restart`.
    pub sub_state: String,
    /// The job that systemd has for it.
    pub job: UnitJob,
    /// The id of that job.
    pub job_id: Option<u32>,
    /// Whether it is enabled, such as `enabled` or `disabled`.
    pub unit_file_state: String,
    /// How it last ended.
    pub result: UnitResult,
    /// What it did not do in time in this run, so that robotctl killed its processes.
    pub overdue: Option<Verb>,
    /// Whether its files changed since systemd read them.
    pub need_daemon_reload: bool,
    /// The unit file.
    pub fragment_path: String,
    /// Its drop-ins.
    pub drop_in_paths: Vec<String>,
    /// The units that it starts, such as a socket's service.
    pub triggers: Vec<String>,
    /// The units that start it, such as a service's sockets.
    pub triggered_by: Vec<String>,
    /// The main process, while there is one.
    pub main_pid: Option<u32>,
    /// The last main process, which may have ended.
    pub exec_main_pid: Option<u32>,
    /// How the last main process ended.
    pub main_exit: Option<MainExit>,
    /// How often systemd has restarted it by itself.
    pub n_restarts: u64,
    /// Identifies the run: a restart changes it.
    pub invocation_id: Option<String>,
    /// Its control group, below the root of the hierarchy.
    pub control_group: Option<String>,
    /// `Slice=`
    pub slice: String,
    /// Whether its main process may send notifications (`NotifyAccess=`).
    pub is_notify_allowed: bool,
    /// Whether its control group is delegated (`Delegate=`).
    pub is_delegated: bool,
    /// The memory in bytes that the control group uses.
    pub memory_current: Option<u64>,
    /// When it became active.
    pub active_since: Option<Timestamp>,
    /// When its last main process started.
    pub main_started: Option<Timestamp>,
    /// When its last main process ended.
    pub main_ended: Option<Timestamp>,
    /// When a timer elapses next.
    pub next_elapse: Option<Timestamp>,
    /// When a timer has elapsed last. With `Persistent=`, that outlasts a boot.
    pub last_trigger: Option<Timestamp>,
    /// Whether its conditions were met at its last start (systemd.unit(5), "Conditions and Asserts");
    /// `None` before the first one.
    pub condition_met: Option<bool>,
    /// The units that stop when it starts, and that stop it when they start.
    pub conflicts: Vec<String>,
    /// What it has notified as its status (sd_notify(3), "STATUS=").
    pub status_text: String,
    /// `User=`; empty for root, and for a unit of another kind.
    pub user: String,
}

/// Defines an enum of systemd's words. Words of other systemd versions are kept as they are.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// Any other word.
            Other(String),
            /// systemd says nothing.
            #[default]
            Unknown,
        }

        impl $name {
            fn parse(word: &str) -> Self {
                match word {
                    "" => Self::Unknown,
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }

            /// The word as systemd prints it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                    Self::Unknown => "unknown",
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// `LoadState=`.
    LoadState {
        /// systemd has read the unit's files.
        Loaded = "loaded",
        /// There is no unit file.
        NotFound = "not-found",
        /// The administrator forbids it to start.
        Masked = "masked",
    }
}

words! {
    /// `ActiveState=`.
    ActiveState {
        /// It runs, listens or has succeeded.
        Active = "active",
        /// It runs and reads its configuration again.
        Reloading = "reloading",
        /// It does not run.
        Inactive = "inactive",
        /// It does not run, because it failed.
        Failed = "failed",
        /// It starts.
        Activating = "activating",
        /// It stops.
        Deactivating = "deactivating",
    }
}

words! {
    /// `Result=` (systemd.service(5), systemd.socket(5)).
    UnitResult {
        /// It has not failed.
        Success = "success",
        /// A process exited with another status than 0.
        ExitCode = "exit-code",
        /// A signal ended a process.
        Signal = "signal",
        /// A signal ended a process, which dumped its memory.
        CoreDump = "core-dump",
        /// The kernel killed a process because memory ran out.
        OomKill = "oom-kill",
        /// The service did not notify its watchdog in time.
        Watchdog = "watchdog",
        /// A start or stop took too long.
        Timeout = "timeout",
        /// It was started too often.
        StartLimitHit = "start-limit-hit",
        /// It ended before it reported that it is ready.
        Protocol = "protocol",
        /// systemd could not set it up: an address, a control group or a file is missing.
        Resources = "resources",
    }
}

/// The job that systemd has queued for a unit, or runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnitJob {
    /// There is none, or one that neither starts nor stops the unit, such as a reload.
    #[default]
    None,
    /// The unit is active in the end: `start`, `restart`.
    Start,
    /// The unit is down in the end: `stop`.
    Stop,
}

impl UnitJob {
    /// The type of a job as `systemctl list-jobs` prints it.
    pub(super) fn parse(word: &str) -> Self {
        match word {
            "start" | "restart" => Self::Start,
            "stop" => Self::Stop,
            _ => Self::None,
        }
    }
}

/// How a main process ended (waitid(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainExit {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it, with or without a core dump.
    Killed(i32),
}

impl UnitStatus {
    /// Reads the output of `systemctl show`: `Name=value` lines, an empty line between two units.
    pub(super) fn parse(text: &str) -> Vec<Self> {
        let units = text.split("\n\n");
        let units = units.filter(|unit| !unit.trim().is_empty());
        units.map(Self::parse_one).collect()
    }

    /// Notes which of the runs were killed because they were overdue.
    pub(super) fn note_killed(&mut self, killed: &[Killed]) {
        let is_this = |one: &&Killed| one.unit == self.id && one.run == self.invocation_id;
        let of_this = killed.iter().rev().find(is_this);
        self.overdue = of_this.map(|one| one.verb);
    }

    fn parse_one(text: &str) -> Self {
        let mut status = Self::default();
        let (mut exit_code, mut exit_status) = (0, 0);
        let (mut is_met, mut is_condition_known) = (true, false);
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "Id" => value.clone_into(&mut status.id),
                "Job" => status.job_id = value.parse().ok().filter(|id| *id != 0),
                "StatusText" => value.clone_into(&mut status.status_text),
                "User" => value.clone_into(&mut status.user),
                "Description" => value.clone_into(&mut status.description),
                "LoadState" => status.load_state = LoadState::parse(value),
                "ActiveState" => status.active_state = ActiveState::parse(value),
                "SubState" => value.clone_into(&mut status.sub_state),
                "UnitFileState" => value.clone_into(&mut status.unit_file_state),
                "Result" => status.result = UnitResult::parse(value),
                "NeedDaemonReload" => status.need_daemon_reload = value == "yes",
                "FragmentPath" => value.clone_into(&mut status.fragment_path),
                "DropInPaths" => status.drop_in_paths = list(value),
                "Conflicts" | "ConflictedBy" => status.conflicts.extend(list(value)),
                "Triggers" => status.triggers = list(value),
                "TriggeredBy" => status.triggered_by = list(value),
                "MainPID" => status.main_pid = pid(value),
                "ExecMainPID" => status.exec_main_pid = pid(value),
                "ExecMainCode" => exit_code = value.parse().unwrap_or(0),
                "ExecMainStatus" => exit_status = value.parse().unwrap_or(0),
                "NRestarts" => status.n_restarts = value.parse().unwrap_or(0),
                "InvocationID" => status.invocation_id = text_of(value),
                "ControlGroup" => status.control_group = text_of(value),
                "Slice" => value.clone_into(&mut status.slice),
                "NotifyAccess" => status.is_notify_allowed = !matches!(value, "" | "none"),
                "Delegate" => status.is_delegated = value == "yes",
                // Without the memory controller, systemd prints the largest number.
                "MemoryCurrent" => {
                    status.memory_current = value.parse().ok().filter(|bytes| *bytes != u64::MAX);
                }
                "ActiveEnterTimestamp" => status.active_since = timestamp(value),
                "ExecMainStartTimestamp" => status.main_started = timestamp(value),
                "ExecMainExitTimestamp" => status.main_ended = timestamp(value),
                "ConditionResult" => is_met = value != "no",
                // Zero until the first start.
                "ConditionTimestampMonotonic" => {
                    is_condition_known = value.parse::<u64>().is_ok_and(|time| time > 0);
                }
                "LastTriggerUSec" => status.last_trigger = timestamp(value),
                "NextElapseUSecRealtime" => status.next_elapse = timestamp(value),
                _ => {}
            }
        }
        status.condition_met = is_condition_known.then_some(is_met);
        // CLD_EXITED, CLD_KILLED and CLD_DUMPED.
        status.main_exit = match exit_code {
            1 => Some(MainExit::Exited(exit_status)),
            2 | 3 => Some(MainExit::Killed(exit_status)),
            _ => None,
        };
        status
    }

    /// Whether `systemctl enable` has enabled the unit, or robotctl.
    pub fn is_enabled(&self) -> bool {
        matches!(self.unit_file_state.as_str(), "enabled" | "enabled-runtime")
    }

    /// Whether the unit is `active` or `reloading`.
    pub fn is_active(&self) -> bool {
        matches!(
            self.active_state,
            ActiveState::Active | ActiveState::Reloading
        )
    }

    /// Whether the unit is `failed`.
    pub fn is_failed(&self) -> bool {
        self.active_state == ActiveState::Failed
    }

    /// Whether the unit has ended, and systemd is about to restart it by itself: `auto-restart`, and
    /// `auto-restart-queued` since systemd 254.
    pub fn is_restarting(&self) -> bool {
        self.active_state == ActiveState::Activating && self.sub_state.starts_with("auto-restart")
    }

    /// Whether the unit is `inactive` or `failed`: none of its processes run.
    pub fn is_down(&self) -> bool {
        matches!(
            self.active_state,
            ActiveState::Inactive | ActiveState::Failed
        )
    }

    /// Whether systemd did not start the unit, because a condition was not met. That is no failure.
    pub fn is_skipped(&self) -> bool {
        self.condition_met == Some(false) && self.active_state == ActiveState::Inactive
    }

    /// Whether the administrator forbids the unit to start.
    pub fn is_masked(&self) -> bool {
        self.load_state == LoadState::Masked
    }

    /// Whether systemd has read the unit's files.
    pub fn is_loaded(&self) -> bool {
        self.load_state == LoadState::Loaded
    }

    /// The unit among these, which are up, that keeps the unit down, because they conflict: a service rather than
    /// its socket.
    pub fn conflict_among<'a>(&self, up: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let mut others = up.filter(|name| self.conflicts.iter().any(|one| one == name));
        let first = others.next().filter(|_| self.is_down())?;
        let is_service = |name: &&str| name.ends_with(".service");
        let mut all = std::iter::once(first).chain(others);
        Some(all.find(is_service).unwrap_or(first))
    }

    /// Whether systemd has read this file as the unit's file or as one of its drop-ins.
    pub fn is_made_of(&self, path: &str) -> bool {
        self.fragment_path == path || self.drop_in_paths.iter().any(|one| one == path)
    }
}

fn list(value: &str) -> Vec<String> {
    value.split_whitespace().map(str::to_owned).collect()
}

fn pid(value: &str) -> Option<u32> {
    value.parse().ok().filter(|pid| *pid != 0)
}

fn text_of(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// A point in time as `systemctl show --timestamp=utc` prints it. Times in another time zone are
/// ignored, because its name is ambiguous.
fn timestamp(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix(" UTC")?;
    let time = jiff::civil::DateTime::strptime("%a %Y-%m-%d %H:%M:%S", text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::{
        ActiveState, Killed, LoadState, MainExit, UnitResult, UnitStatus, Verb, timestamp,
    };

    #[test]
    fn properties_of_each_unit_are_parsed() {
        let text = "Id=a.service\nLoadState=loaded\nActiveState=failed\nResult=core-dump\n\
                    MainPID=0\nExecMainPID=7\nExecMainCode=3\nExecMainStatus=31\nNRestarts=2\n\
                    TriggeredBy=a-1.socket a-2.socket\nMemoryCurrent=18446744073709551615\n\
                    NeedDaemonReload=yes\n\nId=b=c.service\nMainPID=9\nActiveState=maintenance\n";
        let status = UnitStatus::parse(text);
        let [first, second] = status.as_slice() else {
            panic!("{status:?}");
        };
        assert_eq!(first.id, "a.service");
        assert!(first.is_loaded() && first.is_failed() && first.is_down());
        assert_eq!(first.result, UnitResult::CoreDump);
        assert_eq!((first.main_pid, first.exec_main_pid), (None, Some(7)));
        assert_eq!(first.main_exit, Some(MainExit::Killed(31)));
        assert_eq!(first.n_restarts, 2);
        assert_eq!(first.triggered_by, ["a-1.socket", "a-2.socket"]);
        assert_eq!(first.memory_current, None);
        assert!(first.need_daemon_reload);
        assert_eq!(second.id, "b=c.service");
        assert_eq!(second.main_pid, Some(9));
        assert_eq!(second.active_state.as_str(), "maintenance");
        assert_eq!(second.load_state, LoadState::Unknown);
        assert_eq!(UnitStatus::parse("\n"), []);
    }

    #[test]
    fn a_running_service_keeps_down_what_it_conflicts_with() {
        let text =
            "ActiveState=inactive\nConflicts=shutdown.target\nConflictedBy=b.socket b.service\n";
        let down = UnitStatus::parse(text).remove(0);
        let among =
            |status: &UnitStatus, up: &'static [&str]| status.conflict_among(up.iter().copied());
        assert_eq!(
            among(&down, &["a.service", "b.socket", "b.service"]),
            Some("b.service")
        );
        assert_eq!(among(&down, &["b.socket"]), Some("b.socket"));
        assert_eq!(among(&down, &["a.service"]), None);
        let up = UnitStatus::parse(&text.replace("inactive", "active")).remove(0);
        assert_eq!(among(&up, &["b.service"]), None);
    }

    #[test]
    fn only_a_unit_whose_condition_was_checked_is_skipped() {
        let met = "ActiveState=inactive\nConditionResult=yes\nConditionTimestampMonotonic=5\n";
        for (text, is_skipped) in [
            (met.to_owned(), false),
            (met.replace("yes", "no"), true),
            // It has not been started since the boot.
            (met.replace("yes", "no").replace("=5", "=0"), false),
            (
                met.replace("yes", "no").replace("inactive", "active"),
                false,
            ),
            (
                met.replace("yes", "no").replace("inactive", "failed"),
                false,
            ),
            ("ActiveState=inactive\n".to_owned(), false),
        ] {
            let status = UnitStatus::parse(&text).remove(0);
            assert_eq!(status.is_skipped(), is_skipped, "{text}");
        }
    }

    #[test]
    fn only_the_run_that_was_killed_was_overdue() {
        let killed = [Killed {
            unit: "a.service".to_owned(),
            verb: Verb::Start,
            run: Some("1".to_owned()),
        }];
        for (unit, run, overdue) in [
            ("a.service", "1", Some(Verb::Start)),
            ("a.service", "2", None),
            ("b.service", "1", None),
        ] {
            let text = format!("Id={unit}\nInvocationID={run}\n");
            let mut status = UnitStatus::parse(&text).remove(0);
            status.note_killed(&killed);
            assert_eq!(status.overdue, overdue, "{unit} {run}");
        }
    }

    #[test]
    fn a_unit_that_was_not_asked_about_is_neither_up_nor_down() {
        let status = UnitStatus::default();
        assert!(!status.is_active() && !status.is_down() && !status.is_failed());
        assert_eq!(status.active_state, ActiveState::Unknown);
    }

    #[test]
    fn only_times_in_utc_are_read() {
        let time = timestamp("Fri 2026-11-20 23:59:30 UTC").unwrap();
        assert_eq!(time.to_string(), "2026-11-20T23:59:30Z");
        for other in ["", "n/a", "Fri 2026-11-20 23:59:30 CET"] {
            assert_eq!(timestamp(other), None, "{other}");
        }
    }
}
