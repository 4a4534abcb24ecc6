//! Files of the store that cannot be read, and what to do about them.

use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use std::fmt;

/// A file that no longer holds what was written (disk corruption or manual edits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The file, as this process reaches it.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Damaged {
    /// What is wrong, in one sentence.
    pub fn message(&self) -> String {
        format!("`{}` cannot be read: {}", self.path, self.reason)
    }

    /// What to type, step by step. Nothing of it deletes the file.
    pub fn recovery_hints(&self) -> Vec<Hint> {
        let kept = format!("{}.damaged", self.path);
        vec![
            Hint::to(
                "move the file aside",
                CommandLine::sudo(["mv", &self.path, &kept]),
            ),
            Hint::to(
                "then deploy, in the directory of the app's robot.toml",
                CommandLine::sudo_robotctl(["deploy", "--apply"]),
            ),
        ]
    }

    /// The error with its hint. `error.is::<Damaged>()` finds it.
    pub(super) fn into_error(self) -> anyhow::Error {
        let hinted = HintedError {
            message: format!("`{}` cannot be read", self.path),
            hints: self.recovery_hints(),
        };
        anyhow::Error::new(self).context(hinted)
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Damaged {}
