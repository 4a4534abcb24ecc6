//! The exit codes. Scripts rely on them: they are part of the contract.

use std::process::ExitCode;

/// How a command ended that did what was asked. Every other end is an
/// [`Error`](crate::error::Error), whose kind has its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Findings: failed checks, drift, or scores above the threshold.
    Findings,
    /// The command of `run` ended with this code.
    OfCommand(u8),
}

/// The exit code of `run` when its command did not run. Every other one is that of the command.
pub(super) const RUN_FAILED: u8 = 125;

/// The exit code of `with-secrets` when it cannot become its program: that of systemd for a program which it cannot
/// execute (systemd.exec(5), `EXIT_EXEC`).
pub(super) const EXEC_FAILED: u8 = 203;

impl Exit {
    /// The end of a command that looks for something: whether there was nothing to find.
    pub fn of(is_healthy: bool) -> Self {
        match is_healthy {
            true => Self::Done,
            false => Self::Findings,
        }
    }

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Findings => 1,
            Self::OfCommand(code) => code,
        }
    }
}

/// Every exit code with its meaning; help, man pages and reference print this table.
pub const EXIT_CODES: [(u8, &str); 8] = [
    (0, "done, or nothing to do"),
    (
        1,
        "findings: failed checks, drift, or scores above the threshold",
    ),
    (2, "refused; what is live did not change"),
    (
        3,
        "the change failed; what was live before was restored and is healthy",
    ),
    (4, "failed: you must act, and the message says what to type"),
    (5, "another `robotctl` holds the lock"),
    (
        RUN_FAILED,
        "`run` could not run its command; every other code of `run` is that of the command",
    ),
    (130, "interrupted; what is live did not change"),
];

/// The table as `--help` ends.
pub(super) fn help() -> String {
    let lines = EXIT_CODES.map(|(code, meaning)| format!("{code:>5}  {meaning}"));
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// The exit code for the operating system.
pub(super) fn exit_code(code: u8) -> ExitCode {
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::{EXIT_CODES, Exit};
    use crate::error::Kind;

    #[test]
    fn every_exit_code_is_in_the_table() {
        let kinds = [
            Kind::Unhealthy,
            Kind::Refused,
            Kind::RolledBack,
            Kind::Degraded,
            Kind::Unexpected,
            Kind::Locked,
            Kind::Interrupted,
        ];
        let codes = kinds.map(Kind::exit_code);
        for code in [Exit::Done.code(), Exit::Findings.code()]
            .iter()
            .chain(&codes)
        {
            assert!(EXIT_CODES.iter().any(|(known, _)| known == code), "{code}");
        }
    }
}
