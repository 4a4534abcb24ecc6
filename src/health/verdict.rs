//! The result of checks.

use std::fmt;

/// The result of one check of one unit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Verdict {
    /// The unit.
    pub(crate) unit: String,
    /// The check in words.
    pub(crate) check: String,
    /// What was seen instead, when the check failed.
    pub(crate) failure: Option<String>,
    /// How long the check took, in milliseconds.
    pub(crate) millis: u64,
}

impl Verdict {
    /// The check that failed, and what was seen instead.
    pub(crate) fn wrong(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        Some(format!("{}: {failure}", expectation(&self.check)))
    }
}

/// A check in words, for a message that it failed.
pub(super) fn expectation(check: &str) -> String {
    if let Some((request, _)) = check.rsplit_once(" returns ") {
        format!("{request} failed")
    } else if let Some(address) = check.strip_suffix(" accepts connections") {
        format!("connection to {address} failed")
    } else if let Some(command) = check.strip_suffix(" succeeds") {
        format!("{command} failed")
    } else {
        check.replacen("stays up", "did not stay up", 1)
    }
}

/// Why a release is not healthy.
#[derive(Debug, Clone)]
pub(crate) struct Unhealthy {
    /// The unit that failed.
    pub(crate) unit: String,
    /// What happened, in one sentence.
    pub(crate) what: String,
    /// The last lines that the unit wrote.
    pub(crate) lines: Vec<String>,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.unit, self.what)?;
        for line in &self.lines {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unhealthy {}
