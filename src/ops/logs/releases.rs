//! Which runs of services were runs of a release.
//!
//! A run has an invocation id (systemd.exec(5), "INVOCATION_ID"), and systemd logs the start of each. robotctl logs
//! when `current` points at another release. So a run belongs to the release that was live when it started.

use super::units::LoggedUnits;
use crate::app::Name;
use crate::host::{JournalEntry, read_journal};
use crate::units::run_of_old_scope;
use anyhow::Result;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// systemd begins to start a unit (`SD_MESSAGE_UNIT_STARTING`).
const STARTING: &str = "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5";

/// The runs of a release, by their ids.
pub(super) struct Runs(BTreeSet<String>);

impl Runs {
    /// The runs of these units that were runs of a release.
    ///
    /// # Errors
    /// When the systemd journal cannot be read.
    pub(super) fn of_release(name: &Name, units: &LoggedUnits, id: &str) -> Result<Self> {
        let times = Times::read(name)?;
        let mut any_of = Vec::new();
        for unit in units.names() {
            let unit = format!("UNIT={unit}");
            any_of.push(vec![STARTING.to_owned(), "_UID=0".to_owned(), unit]);
        }
        let mut runs = BTreeSet::new();
        read_journal(&any_of.join(&"+".to_owned()), false, |entry| {
            if let Some(JournalEntry {
                at, run: Some(run), ..
            }) = entry
                && times.live_at(at) == Some(id)
            {
                runs.insert(run);
            }
            true
        })?;
        Ok(Self(runs))
    }

    /// Whether an entry is of one of the runs. What drains has an id of its own, and that of its run in its name.
    pub(super) fn include(&self, entry: &JournalEntry) -> bool {
        let drains = run_of_old_scope(&entry.unit);
        let is_run = entry.run.as_ref().is_some_and(|run| self.0.contains(run));
        is_run || (!drains.is_empty() && self.0.iter().any(|run| run.starts_with(drains)))
    }
}

/// When which release was live, in the order of time.
#[derive(Debug, Default)]
struct Times(Vec<(Timestamp, Option<String>)>);

impl Times {
    /// From the events of robotctl in the systemd journal.
    fn read(name: &Name) -> Result<Self> {
        let matches = [
            "SYSLOG_IDENTIFIER=robotctl".to_owned(),
            "_UID=0".to_owned(),
            format!("ROBOTCTL_APP={name}"),
        ];
        let mut times = Self::default();
        read_journal(&matches, true, |entry| {
            if let Some(entry) = entry {
                let event = entry.field("ROBOTCTL_EVENT").unwrap_or_default();
                times.add(entry.at, &event, entry.field("ROBOTCTL_RELEASE"));
            }
            true
        })?;
        Ok(times)
    }

    /// Adds an event of robotctl. A release that fails is no longer live before the other one starts again.
    fn add(&mut self, at: Timestamp, event: &str, release: Option<String>) {
        let live = self.0.last().and_then(|(_, live)| live.clone());
        match event {
            "switched" | "restored" | "recovered" if release.is_some() && release != live => {
                self.0.push((at, release));
            }
            "failed" if release.is_some() && release == live => {
                let before = self.0.iter().rev().nth(1);
                let before = before.and_then(|(_, live)| live.clone());
                self.0.push((at, before));
            }
            _ => {}
        }
    }

    fn live_at(&self, at: Timestamp) -> Option<&str> {
        let mut before = self.0.iter().rev();
        before.find(|(since, _)| *since <= at)?.1.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::Times;
    use jiff::Timestamp;

    #[test]
    fn a_release_is_live_from_its_switch_until_it_fails_or_another_one_follows() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut times = Times::default();
        for (second, event, release) in [
            (10, "switched", "a"),
            (12, "deployed", "a"),
            (20, "switched", "b"),
            (25, "failed", "b"),
            (26, "restored", "a"),
            (30, "switched", "c"),
        ] {
            times.add(at(second), event, Some(release.to_owned()));
        }
        for (second, live) in [
            (9, None),
            (10, Some("a")),
            (21, Some("b")),
            (25, Some("a")),
            (29, Some("a")),
            (99, Some("c")),
        ] {
            assert_eq!(times.live_at(at(second)), live, "{second}");
        }
    }
}
