//! What the exit code says. Scripts rely on it: it is part of the contract.

use crate::host::LockError;
use crate::transaction::Interrupted;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// The answer is no: findings, drift.
    No = 1,
    /// Refused or failed: nothing changed.
    Refused = 2,
    /// The deploy failed; the release before it is back and healthy.
    RolledBack = 3,
    /// A person is needed; the message says what to type.
    Degraded = 4,
    /// Another `robotctl` holds the lock.
    Locked = 5,
}

impl Exit {
    /// Every exit, for the reference document.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::No,
        Self::Refused,
        Self::RolledBack,
        Self::Degraded,
        Self::Locked,
    ];

    /// What it means, as documented.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::No => "the answer is no: findings, drift",
            Self::Refused => "refused or failed: nothing changed",
            Self::RolledBack => "the deploy failed; the release before it is back and healthy",
            Self::Degraded => "a person is needed; the message says what to type",
            Self::Locked => "another `robotctl` holds the lock",
        }
    }

    /// All of them, as `--help` ends.
    pub fn help() -> String {
        let lines = Self::ALL.map(|exit| format!("  {}  {}", exit as u8, exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }

    /// The exit for an error that came all the way up.
    pub fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<LockError>() {
            Some(LockError::Held(_)) => Self::Locked,
            _ if error.is::<Interrupted>() => Self::Degraded,
            _ => Self::Refused,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
