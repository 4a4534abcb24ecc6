//! Why a unit is down, in words, and what to do about it.

use crate::host::UnitState;

/// What systemd's own numbers and words mean (systemd.exec(5), "Process Exit Codes";
/// systemd.service(5), `Result`). Two clauses: what happened, and what to do if that is known.
pub fn cause(state: &UnitState) -> (String, Option<&'static str>) {
    let status = state.get("ExecMainStatus");
    // ExecMainCode: 1 exited, 2 killed, 3 killed with a core dump (waitid(2)).
    let killed = matches!(state.get("ExecMainCode"), "2" | "3");
    let said = |what: &str, hint| (what.to_owned(), Some(hint));
    match (state.get("Result"), status, killed) {
        ("oom-kill", ..) => said(
            "it ran out of memory",
            "raise `limits.memory-max`, or make it use less",
        ),
        ("watchdog", ..) => said(
            "it did not tell its watchdog in time that it is alive",
            "raise `watchdog`, or find what it waits for",
        ),
        ("timeout", ..) => said(
            "it took too long",
            "raise `timeout-start`, or find what it waits for; `type = \"notify\"` needs a program that says READY=1",
        ),
        ("start-limit-hit", ..) => said(
            "it was started too often within a short time",
            "its earlier lines tell why it ended",
        ),
        ("protocol", ..) => said(
            "it ended before it said that it is ready",
            "`type = \"notify\"` needs a program that says READY=1; use `exec` for one that does not",
        ),
        // The program ran and was ended because its readiness gate had failed.
        ("exit-code", "15", true) => said(
            "nothing accepted on its address in time",
            "with `socket = \"proxy\"` the program must bind the address in `listen` itself",
        ),
        (_, "31", true) => said(
            "the sandbox refused a system call (SIGSYS)",
            "see `sandbox.allow`: `pkey`, `nice` and `setuid-self` open system calls",
        ),
        (_, "9", true) => said(
            "it was killed (SIGKILL), as the kernel does when memory runs out",
            "look at `journalctl -k` and at `limits.memory-max`",
        ),
        (_, signal, true) => (format!("signal {signal} ended it"), None),
        (_, "243", false) => said(
            "a secret is missing or cannot be read (243/CREDENTIALS)",
            "sudo install -D -m 600 FILE /etc/APP/credentials/NAME",
        ),
        (_, "226", false) => said(
            "its sandbox could not be set up (226/NAMESPACE)",
            "a path of `sandbox.read-only` or `sandbox.read-write` is missing on this host",
        ),
        (_, "203", false) => said(
            "its program could not be executed (203/EXEC)",
            "check `exec`, its first line (`#!`) and that the file is executable",
        ),
        (_, "200", false) => said(
            "its working directory is missing (200/CHDIR)",
            "check `working-directory`",
        ),
        (_, "233", false) => said(
            "its directory in `/run` could not be set up (233/RUNTIME_DIRECTORY)",
            "something else stands in its place: look at `ls -la /run` and remove it",
        ),
        (_, "216", false) => said(
            "its group, or one of `groups`, does not exist (216/GROUP)",
            "check `groups` and `user`",
        ),
        (_, "217", false) => said("its user does not exist (217/USER)", "check `user`"),
        ("success", "0", false) if ended(state) => said(
            "it ended with exit status 0",
            "a service goes on running until it is stopped; one that ends is a job: `type = \"oneshot\"`",
        ),
        ("success", ..) => (format!("it is {}", state.get("ActiveState")), None),
        (result, status, false) if status != "0" && !status.is_empty() => (
            format!("it ended with exit status {status} ({result})"),
            None,
        ),
        (result, ..) => (
            format!("it is {} ({result})", state.get("ActiveState")),
            None,
        ),
    }
}

/// Whether the main process has ended and nothing has started another.
fn ended(state: &UnitState) -> bool {
    let code = state.get("ExecMainCode");
    code == "1" && state.get("ActiveState") == "inactive"
}

/// The same in one sentence.
pub fn cause_text(state: &UnitState) -> String {
    match cause(state) {
        (what, Some(hint)) => format!("{what}; {hint}"),
        (what, None) => what,
    }
}

#[cfg(test)]
mod tests {
    use super::cause_text;
    use crate::host::UnitState;

    #[test]
    fn what_ended_a_unit_is_named() {
        let of = |result: &str, code: &str, status: &str| {
            cause_text(&UnitState::of(&[
                ("ActiveState", "failed"),
                ("Result", result),
                ("ExecMainCode", code),
                ("ExecMainStatus", status),
            ]))
        };
        for (state, words) in [
            (of("signal", "2", "31"), "the sandbox refused a system call"),
            (
                of("core-dump", "3", "31"),
                "the sandbox refused a system call",
            ),
            (of("oom-kill", "2", "9"), "ran out of memory"),
            (of("signal", "2", "9"), "SIGKILL"),
            (of("exit-code", "1", "243"), "243/CREDENTIALS"),
            (of("watchdog", "2", "6"), "watchdog"),
            (of("timeout", "2", "15"), "took too long"),
            (of("exit-code", "1", "1"), "exit status 1"),
            (of("exit-code", "1", "216"), "216/GROUP"),
            (
                of("exit-code", "2", "15"),
                "nothing accepted on its address",
            ),
            (of("signal", "2", "15"), "signal 15"),
        ] {
            assert!(state.contains(words), "{state}");
        }
    }
}
