//! What a change writes down when it begins, and names when it has succeeded.

use super::{FORMAT, Journal, Mark, State, Store};
use crate::host::Batch;
use anyhow::Result;

/// A change that has begun. What it needs to end well is written: a disk that has filled up by then
/// is no reason to take a healthy release back. Dropped, it is as if it had not been written.
#[derive(Debug)]
#[must_use = "the state has no name before the commit"]
pub struct Change<'a> {
    state: Batch<'a>,
    committed: Committed<'a>,
}

/// A change of which the state tells: it goes forward.
#[derive(Debug)]
#[must_use = "the record of the release is not written before its end"]
pub struct Committed<'a> {
    release: Option<Batch<'a>>,
}

impl Store {
    /// Records a change before its first step.
    ///
    /// # Errors
    /// When it cannot be written; a journal that is there all the same tells of nothing to undo. Or
    /// when the command has made a change already: the state of that would prove this one.
    pub fn begin(&self, journal: &Journal) -> Result<Change<'_>> {
        let trace = &journal.trace_id;
        anyhow::ensure!(
            !journal.made(&journal.state_before),
            "the change `{trace}` was made already"
        );
        let state = State {
            format: FORMAT,
            ..journal.state_after.clone()
        };
        let mut change = Change {
            state: self.prepared("state.json", &state)?,
            committed: Committed {
                release: match &journal.to {
                    Some(id) => self.mark_good(id)?,
                    None => None,
                },
            },
        };
        let mut partly_recorded = self.prepared("journal.json", journal)?;
        let Change { state, committed } = &mut change;
        let all = [
            Some(state),
            committed.release.as_mut(),
            Some(&mut partly_recorded),
        ];
        Batch::sync(all.into_iter().flatten())?;
        partly_recorded.end()?;
        Ok(change)
    }

    /// What marks a release as good; nothing for one without a record.
    ///
    /// # Errors
    /// When its record cannot be read or written.
    pub fn mark_good(&self, id: &str) -> Result<Option<Batch<'_>>> {
        let name = format!("releases/{id}.json");
        let Some(mut record) = self.release(id)? else {
            return Ok(None);
        };
        if record.mark == Mark::Good {
            // What was seen may not be on the disk yet.
            let mut batch = Batch::new(&self.root);
            batch.sync_name(&self.path(&name));
            return Ok(Some(batch));
        }
        record.mark = Mark::Good;
        self.prepared(&name, &record).map(Some)
    }
}

impl<'a> Change<'a> {
    /// The new release is healthy: the state says so, and from here the change goes forward.
    ///
    /// # Errors
    /// When it cannot be named or made durable.
    pub fn commit(self) -> Result<Committed<'a>> {
        self.state.end()?;
        Ok(self.committed)
    }
}

impl Committed<'_> {
    /// Marks the release as good.
    ///
    /// # Errors
    /// When it cannot be named or made durable.
    pub fn end(self) -> Result<()> {
        self.release.map_or(Ok(()), Batch::end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Journal, Mark, ReleaseRecord, State, Step, Store, UnitChanges};
    use crate::app::{Layout, Name};
    use crate::host::Root;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn journal() -> Journal {
        Journal {
            format: 1,
            trace_id: "t".to_owned(),
            operation: "deploy".to_owned(),
            step: Step::Switching,
            from: None,
            link: None,
            to: Some("1-a".to_owned()),
            files: Vec::new(),
            units: UnitChanges::default(),
            purge: false,
            state_before: State::default(),
            state_after: State {
                live: Some("1-a".to_owned()),
                change: Some("t".to_owned()),
                ..State::default()
            },
        }
    }

    /// Every name in a directory of the book.
    fn names(root: &Root, dir: &str) -> Vec<String> {
        root.list(&format!("/var/lib/robotctl/shop{dir}")).unwrap()
    }

    #[test]
    fn nothing_but_names_is_written_after_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let store = Store::new(&root, &Layout::new(&Name::parse("shop").unwrap()));
        let _lock = store.lock("testing", Duration::ZERO).unwrap();
        let record = ReleaseRecord {
            format: 1,
            id: "1-a".to_owned(),
            manifest: String::new(),
            environment: None,
            files: BTreeMap::new(),
            staged: String::new(),
            origin: String::new(),
            mark: Mark::Staged,
        };
        store.set_release(&record).unwrap();
        let mark = || store.release("1-a").unwrap().unwrap().mark;
        let counts = || (names(&root, "").len(), names(&root, "/releases").len());

        let change = store.begin(&journal()).unwrap();
        assert_eq!(store.journal().unwrap(), Some(journal()));
        assert_eq!(
            counts(),
            (4, 2),
            "lock, journal, releases, state; two records"
        );
        assert!(!store.has_saved_state().unwrap());
        drop(change);
        assert_eq!(counts(), (3, 1), "what was not committed is gone");

        let change = store.begin(&journal()).unwrap();
        let committed = change.commit().unwrap();
        assert_eq!(store.state().unwrap().live.as_deref(), Some("1-a"));
        assert_eq!(mark(), Mark::Staged);
        assert_eq!(counts(), (4, 2));
        committed.end().unwrap();
        assert_eq!(mark(), Mark::Good);
        assert_eq!(counts(), (4, 1));
        // The state would prove a second change of the same command before it has begun.
        let second = Journal {
            state_before: store.state().unwrap(),
            ..journal()
        };
        assert!(store.begin(&second).is_err());
        // A good one needs no second mark.
        store.mark_good("1-a").unwrap().unwrap().end().unwrap();
        assert!(store.mark_good("2-b").unwrap().is_none());
        assert_eq!(counts(), (4, 1));
    }
}
