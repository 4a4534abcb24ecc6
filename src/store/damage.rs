//! Files of the store that cannot be read.

use crate::error::{Hint, HintedError};
use std::fmt;

/// A file that no longer holds what was written (disk corruption or manual edits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The file, as this process reaches it.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to type, step by step. Nothing of it deletes a file that may be of use.
    pub hints: Vec<Hint>,
}

impl Damaged {
    /// The error with its hint. `error.is::<Damaged>()` finds it.
    pub(super) fn into_error(self) -> anyhow::Error {
        let hinted = HintedError {
            message: format!("`{}` cannot be read", self.path),
            hints: self.hints.clone(),
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
