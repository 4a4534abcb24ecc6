//! Why a unit is down, in words, and what to do about it.

use super::exit_codes::SystemdExit;
use crate::failure::Failure;
use crate::host::{ActiveState, MainExit, UnitResult, UnitStatus, Verb};
use crate::host_cause::HostCause;

const EARLIER_COMMAND: &str =
    "a command that runs before its program failed (exit-code): check `exec-start-pre`";

/// What happened to a unit, as a clause, and what to do about it if that is known
/// (systemd.service(5), `Result`).
fn cause(state: &UnitStatus) -> (String, Option<&'static str>) {
    use MainExit::{Exited, Killed};
    let known = |what: &str, hint| (what.to_owned(), Some(hint));
    match (&state.result, state.main_exit, systemd_exit(state)) {
        (UnitResult::OomKill, _, _) => known(
            "it ran out of memory",
            "raise `limits.memory-max`, or make it use less",
        ),
        (UnitResult::Watchdog, _, _) => known(
            "it did not notify its watchdog in time",
            "raise `watchdog`, or find what it waits for",
        ),
        (UnitResult::Timeout, _, _) => known(
            "the start or stop timed out",
            "raise `timeout-start`, or find what it waits for; with `type = \"notify\"`, the program must send READY=1",
        ),
        (UnitResult::StartLimitHit, _, _) => known(
            "it was started too often within a short time",
            "its earlier log lines show why it ended",
        ),
        (UnitResult::Protocol, _, _) => known(
            "it ended before it reported that it is ready",
            "with `type = \"notify\"`, the program must send READY=1; use `exec` for a program that does not",
        ),
        // systemd ended the program with SIGTERM, because its readiness gate had failed.
        (UnitResult::ExitCode, Some(Killed(15)), _) => known(
            "nothing accepted on its address in time",
            "with `socket = \"proxy\"`, the program must bind the address in `listen` itself",
        ),
        (_, Some(Killed(31)), _) => known(
            "the sandbox refused a system call (SIGSYS)",
            "see `sandbox.allow`: `pkey`, `nice` and `setuid-self` allow more system calls",
        ),
        // systemd reads from the control group whether the kernel killed it for memory, and says `oom-kill` then.
        (_, Some(Killed(9)), _) => known(
            "it was killed (SIGKILL) by a person or a program, and not for memory, as far as systemd shows",
            "see `sudo journalctl -k` for what the kernel killed",
        ),
        (_, Some(Killed(signal)), _) => (format!("signal {signal} ended it"), None),
        (_, _, Some(exit)) => (exit.in_words(), Some(exit.hint)),
        (UnitResult::Success, Some(Exited(0)), _)
            if state.active_state == ActiveState::Inactive =>
        {
            known(
                "it ended with exit status 0",
                "a service runs until it is stopped; for a job that ends, use `type = \"oneshot\"`",
            )
        }
        // The main process was not started.
        (UnitResult::ExitCode, None, _) => (EARLIER_COMMAND.to_owned(), None),
        (UnitResult::Resources, _, _) => known(
            "systemd could not set it up",
            "see `systemctl status` of the unit: an address is in use, or something of the host is missing",
        ),
        (UnitResult::Success, _, _) => (format!("it is {}", state.active_state), None),
        (result, Some(Exited(status)), _) if status != 0 => (
            format!("it ended with exit status {status} ({result})"),
            None,
        ),
        (result, _, _) => (format!("it is {} ({result})", state.active_state), None),
    }
}

/// The same for a unit that robotctl killed, because it took longer than its timeouts allow.
fn overdue_cause(verb: Verb) -> (String, Option<&'static str>) {
    let (key, hint) = match verb {
        Verb::Start => (
            "timeout-start",
            "raise `timeout-start`, or find what it waits for",
        ),
        Verb::Stop => (
            "timeout-stop",
            "raise `timeout-stop`, or find why SIGTERM does not end it",
        ),
    };
    let what = format!("it did not {verb} within `{key}`, and robotctl killed it");
    (what, Some(hint))
}

/// The cause and what to do about it, in one sentence.
pub(crate) fn cause_text(state: &UnitStatus) -> String {
    let known = state.overdue.map(overdue_cause);
    match known.unwrap_or_else(|| cause(state)) {
        (what, Some(hint)) => format!("{what}; {hint}"),
        (what, None) => what,
    }
}

/// The cause as a failure, which knows whether the host is to blame.
pub(crate) fn cause_failure(state: &UnitStatus) -> Failure {
    Failure::public(cause_text(state)).caused_by(host_cause(state))
}

/// What is wrong with the host, if that ended a unit. What robotctl killed took too long by itself.
fn host_cause(state: &UnitStatus) -> Option<&'static HostCause> {
    if state.overdue.is_some() {
        return None;
    }
    let of_exit = systemd_exit(state).and_then(|exit| exit.host_cause);
    of_exit.or_else(|| HostCause::of_result(state.result.as_str()))
}

/// The exit code with which systemd says that it could not run the main process.
fn systemd_exit(state: &UnitStatus) -> Option<&'static SystemdExit> {
    match state.main_exit {
        Some(MainExit::Exited(status)) => SystemdExit::of(status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{cause_failure, cause_text};
    use crate::host::MainExit::{self, Exited, Killed};
    use crate::host::{ActiveState, UnitResult, UnitStatus, Verb};
    use crate::host_cause::{NO_RESOURCES, NO_USER};

    fn text(active_state: ActiveState, result: UnitResult, exit: Option<MainExit>) -> String {
        cause_text(&UnitStatus {
            active_state,
            result,
            main_exit: exit,
            ..UnitStatus::default()
        })
    }

    #[test]
    fn the_cause_names_what_ended_a_unit() {
        use UnitResult::{CoreDump, ExitCode, OomKill, Signal, Timeout, Watchdog};
        for (result, exit, words) in [
            (Signal, Killed(31), "the sandbox refused a system call"),
            (CoreDump, Killed(31), "the sandbox refused a system call"),
            (OomKill, Killed(9), "ran out of memory"),
            (
                Signal,
                Killed(9),
                "killed (SIGKILL) by a person or a program, and not for memory",
            ),
            (ExitCode, Exited(243), "243/CREDENTIALS"),
            (
                ExitCode,
                Exited(200),
                "or its user cannot enter it (200/CHDIR)",
            ),
            (Watchdog, Killed(6), "watchdog"),
            (Timeout, Killed(15), "start or stop timed out"),
            (
                ExitCode,
                Exited(1),
                "it ended with exit status 1 (exit-code)",
            ),
            (ExitCode, Exited(216), "216/GROUP"),
            (
                ExitCode,
                Exited(204),
                "too little memory to start it (204/MEMORY)",
            ),
            (ExitCode, Exited(219), "219/CGROUP"),
            (
                ExitCode,
                Exited(238),
                "in `/var/lib` could not be created (238/STATE_DIRECTORY)",
            ),
            (ExitCode, Exited(239), "239/CACHE_DIRECTORY"),
            (ExitCode, Exited(240), "240/LOGS_DIRECTORY"),
            (ExitCode, Killed(15), "nothing accepted on its address"),
            (Signal, Killed(15), "signal 15"),
        ] {
            let text = text(ActiveState::Failed, result, Some(exit));
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_unit_that_robotctl_killed_was_overdue() {
        for (verb, words) in [
            (Verb::Start, "it did not start within `timeout-start`"),
            (Verb::Stop, "it did not stop within `timeout-stop`"),
        ] {
            let text = cause_text(&UnitStatus {
                active_state: ActiveState::Failed,
                result: UnitResult::Signal,
                main_exit: Some(Killed(9)),
                overdue: Some(verb),
                ..UnitStatus::default()
            });
            assert!(text.starts_with(words), "{text}");
            assert!(!text.contains("memory"), "{text}");
        }
    }

    #[test]
    fn a_failure_knows_whether_the_host_is_to_blame() {
        use UnitResult::{ExitCode, OomKill, Resources, Signal};
        for (result, exit, cause) in [
            (ExitCode, Some(Exited(217)), Some(&NO_USER)),
            (Resources, None, Some(&NO_RESOURCES)),
            (ExitCode, Some(Exited(1)), None),
            (ExitCode, Some(Exited(203)), None),
            // Its own limit may have been reached: only the log of the kernel says it.
            (OomKill, Some(Killed(9)), None),
            (Signal, Some(Killed(11)), None),
        ] {
            let state = |overdue| UnitStatus {
                active_state: ActiveState::Failed,
                result: result.clone(),
                main_exit: exit,
                overdue,
                ..UnitStatus::default()
            };
            let failure = cause_failure(&state(None));
            assert_eq!(failure.host_cause(), cause, "{failure}");
            let killed = cause_failure(&state(Some(Verb::Stop)));
            assert_eq!(killed.host_cause(), None, "{killed}");
        }
    }

    #[test]
    fn a_unit_that_did_not_fail_has_its_state_as_cause() {
        let inactive = || ActiveState::Inactive;
        let text_of = |exit| text(inactive(), UnitResult::Success, exit);
        assert!(text_of(Some(Exited(0))).starts_with("it ended with exit status 0"));
        assert_eq!(text_of(None), "it is inactive");
        let unknown = text(
            ActiveState::Failed,
            UnitResult::Other("exec-condition".into()),
            None,
        );
        assert_eq!(unknown, "it is failed (exec-condition)");
    }
}
