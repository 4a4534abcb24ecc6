//! A record that cannot be read, and what a person can do about it.

use super::Store;
use anyhow::Result;
use std::fmt;

/// A record that is no longer what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The file, as it is reached from here.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

impl Damaged {
    /// What to type: nothing that would lose the file.
    pub fn recovery_hint(&self) -> String {
        let path = &self.path;
        format!(
            "sudo mv {path} {path}.damaged, then `sudo robotctl doctor` and, where the app's \
             robot.toml lies, `sudo robotctl deploy --apply`"
        )
    }

    /// What is wrong, in one sentence.
    pub fn message(&self) -> String {
        format!("`{}` cannot be read: {}", self.path, self.why)
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\nhint: {}", self.message(), self.recovery_hint())
    }
}

impl std::error::Error for Damaged {}

impl Store {
    /// The records that are damaged: the state, the journal, that of the live release, and
    /// what is remembered of releases that failed.
    ///
    /// # Errors
    /// When one cannot be read for another reason.
    pub fn damaged_files(&self) -> Result<Vec<Damaged>> {
        let state = self.state();
        let live = state.as_ref().ok().and_then(|state| state.live.clone());
        let release = match live {
            Some(id) => self.release(&id).map(drop),
            None => Ok(()),
        };
        let mut out = Vec::new();
        for read in [
            state.map(drop),
            self.journal().map(drop),
            release,
            self.failures().map(drop),
        ] {
            if let Err(error) = read {
                out.push(error.downcast::<Damaged>()?);
            }
        }
        Ok(out)
    }
}
