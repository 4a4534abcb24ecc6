//! Marks that outlive their releases: what failed once is not tried again by itself, also when a
//! prune has taken it.

use super::{Damaged, FORMAT, Mark, Store};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How many are remembered.
const MAX_FAILURES: usize = 100;

/// Where they are kept.
const FILE: &str = "failed.json";

/// Releases that failed and are gone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct FailedReleases {
    #[serde(default)]
    format: u32,
    /// Id and reason, the latest last.
    releases: Vec<(String, String)>,
}

impl Store {
    /// Why a release failed when it was last tried; `None` when it did not, or never was.
    ///
    /// # Errors
    /// When a record is there and cannot be read.
    pub fn failed(&self, id: &str) -> Result<Option<String>> {
        if let Some(record) = self.release(id)? {
            return Ok(match record.mark {
                Mark::Bad(why) => Some(why),
                Mark::Good | Mark::Staged => None,
            });
        }
        let gone = self
            .readable_failures()?
            .unwrap_or_default()
            .releases
            .into_iter();
        let mut gone = gone.filter(|(gone, _)| gone == id);
        Ok(gone.next().map(|(_, why)| why))
    }

    /// Remembers how a release has done beyond its record, which is about to go.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn keep_failure(&self, id: &str) -> Result<()> {
        let Some(record) = self.release(id)? else {
            return Ok(());
        };
        let Some(mut all) = self.readable_failures()? else {
            return Ok(());
        };
        let there = all.releases.len();
        all.releases.retain(|(gone, _)| gone != id);
        match record.mark {
            Mark::Bad(why) => all.releases.push((id.to_owned(), why)),
            // It has failed before, and not since.
            Mark::Good | Mark::Staged if all.releases.len() < there => {}
            Mark::Good | Mark::Staged => return Ok(()),
        }
        let excess = all.releases.len().saturating_sub(MAX_FAILURES);
        all.releases.drain(..excess);
        all.format = FORMAT;
        self.write(FILE, &all)
    }

    pub(super) fn failures(&self) -> Result<FailedReleases> {
        Ok(self.read(FILE)?.unwrap_or_default())
    }

    /// What can be read of them: `doctor` tells of a file that is damaged, which holds nobody up
    /// and is written over by nobody.
    fn readable_failures(&self) -> Result<Option<FailedReleases>> {
        match self.failures() {
            Err(error) if error.is::<Damaged>() => Ok(None),
            read => read.map(Some),
        }
    }
}
