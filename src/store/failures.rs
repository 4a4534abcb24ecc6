//! Releases that failed and were removed.
//!
//! A release that failed is not deployed again by itself, also after `prune` has removed it.

use super::damage::Damaged;
use super::format::FORMAT;
use super::records::Store;
use super::release::{Mark, UNKNOWN_FAILURE};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How many failed releases the list keeps.
const MAX_FAILURES: usize = 100;

const FILE: &str = "failed.json";

/// The list in `failed.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct FailedReleases {
    #[serde(default)]
    format: u32,
    /// Id and reason, the latest last.
    releases: Vec<(String, String)>,
}

impl Store {
    /// Why a release failed when it was last tried; `None` when it did not fail.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn failure_reason(&self, id: &str) -> Result<Option<String>> {
        if let Some(release) = self.public_release(id)? {
            return Ok(match release.mark {
                Mark::Failed(why) => Some(why),
                Mark::Good | Mark::Staged => None,
            });
        }
        let removed = self.readable_failures()?.unwrap_or_default().releases;
        let mut reasons = removed.into_iter().filter(|(removed, _)| removed == id);
        Ok(reasons.next().map(|(_, why)| why))
    }

    /// Keeps the mark of a release whose record is about to be removed.
    ///
    /// # Errors
    /// When the list cannot be read or written.
    pub fn save_failure_reason(&self, id: &str) -> Result<()> {
        let Some(release) = self.public_release(id)? else {
            return Ok(());
        };
        let Some(mut all) = self.readable_failures()? else {
            return Ok(());
        };
        let count = all.releases.len();
        all.releases.retain(|(removed, _)| removed != id);
        match release.mark {
            Mark::Failed(why) => all.releases.push((id.to_owned(), why)),
            // It failed once and has succeeded since: the entry that was there is dropped.
            Mark::Good | Mark::Staged if all.releases.len() < count => {}
            Mark::Good | Mark::Staged => return Ok(()),
        }
        let excess = all.releases.len().saturating_sub(MAX_FAILURES);
        all.releases.drain(..excess);
        all.format = FORMAT;
        self.write(FILE, &all)
    }

    pub(super) fn failures(&self) -> Result<FailedReleases> {
        let mut list: FailedReleases = self.read(FILE)?.unwrap_or_default();
        if list.format < 2 {
            for (_, why) in &mut list.releases {
                UNKNOWN_FAILURE.clone_into(why);
            }
        }
        Ok(list)
    }

    /// The list, or `None` when it is damaged: then `doctor` reports it, no command fails because of
    /// it, and none overwrites it.
    fn readable_failures(&self) -> Result<Option<FailedReleases>> {
        match self.failures() {
            Err(error) if error.is::<Damaged>() => Ok(None),
            read => read.map(Some),
        }
    }
}
