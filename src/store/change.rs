//! What a change writes when it begins, and renames into place when it has succeeded.

use super::format::FORMAT;
use super::journal::Journal;
use super::records::Store;
use super::release::{Mark, PublicRelease, ReleaseRecord, public_name};
use super::state::State;
use crate::host::Batch;
use anyhow::Result;

/// A change that has begun. Everything that it needs to succeed is on the disk already: a disk that
/// fills up later must not make a healthy release fail. If this is dropped, no prepared file gets its
/// name.
#[derive(Debug)]
#[must_use = "the state is not renamed into place before the commit"]
pub struct Change<'a> {
    state: Batch<'a>,
    committed: Committed<'a>,
}

/// A change whose state is saved. From here, recovery completes it.
#[derive(Debug)]
#[must_use = "the release is not marked before the end"]
pub struct Committed<'a> {
    release: Option<Batch<'a>>,
}

impl Store {
    /// Writes the journal of a change before its first step.
    ///
    /// # Errors
    /// When the journal cannot be written. If it exists all the same, there is nothing to undo. Also when
    /// the command has made a change already: both changes would have the same trace id, and the state
    /// of the first one would count as proof that the second one succeeded.
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
        let mut begun = self.prepared("journal.json", journal)?;
        let Change { state, committed } = &mut change;
        let all = [Some(state), committed.release.as_mut(), Some(&mut begun)];
        Batch::sync(all.into_iter().flatten())?;
        begun.end()?;
        Ok(change)
    }

    /// Prepares the mark of a release as good; `None` for a release without a record.
    ///
    /// # Errors
    /// When the record cannot be read or written.
    pub fn mark_good(&self, id: &str) -> Result<Option<Batch<'_>>> {
        let Some((public, whole)) = self.release_to_rewrite(id)? else {
            return Ok(None);
        };
        if public.mark == Mark::Good {
            // The mark was read, but it may not be on the disk yet.
            let mut batch = Batch::new(&self.root);
            batch.sync_name(&self.path(&public_name(id)));
            return Ok(Some(batch));
        }
        let public = PublicRelease {
            mark: Mark::Good,
            ..public
        };
        match whole {
            Some(record) => self.prepare_release(&ReleaseRecord { public, ..record }, None),
            None => self.prepared(&public_name(id), &public),
        }
        .map(Some)
    }
}

impl<'a> Change<'a> {
    /// The new release is healthy: the state says so, and the change goes forward from here.
    ///
    /// # Errors
    /// When the state cannot be named or made durable.
    pub fn commit(self) -> Result<Committed<'a>> {
        self.state.end()?;
        Ok(self.committed)
    }
}

impl Committed<'_> {
    /// Marks the release as good.
    ///
    /// # Errors
    /// When the record cannot be named or made durable.
    pub fn end(self) -> Result<()> {
        self.release.map_or(Ok(()), Batch::end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        Journal, Mark, PublicRelease, ReleaseRecord, State, Step, Store, UnitChanges,
    };
    use crate::app::{Layout, Name};
    use crate::host::Root;
    use std::collections::{BTreeMap, BTreeSet};
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
            is_of_settings: false,
            secrets: Vec::new(),
            purge: false,
            state_before: State::default(),
            state_after: State {
                live: Some("1-a".to_owned()),
                change: Some("t".to_owned()),
                ..State::default()
            },
        }
    }

    /// Every name in a directory of the store.
    fn names(root: &Root, dir: &str) -> Vec<String> {
        root.list(&format!("/var/lib/robotctl/shop{dir}")).unwrap()
    }

    #[test]
    fn only_renames_follow_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let store = Store::new(&root, &Layout::new(&Name::parse("shop").unwrap()));
        let _lock = store.lock("testing", Duration::ZERO).unwrap();
        let record = ReleaseRecord {
            public: PublicRelease {
                archive: None,
                format: 2,
                id: "1-a".to_owned(),
                version: "1".to_owned(),
                environment: None,
                staged: String::new(),
                mark: Mark::Staged,
                unproved: BTreeSet::new(),
                units: Vec::new(),
                scores: Vec::new(),
            },
            manifest: String::new(),
            files: BTreeMap::new(),
            origin: String::new(),
            on_host: None,
        };
        store.set_release(&record).unwrap();
        let mark = || store.release("1-a").unwrap().unwrap().public.mark;
        let counts = || (names(&root, "").len(), names(&root, "/releases").len());

        let change = store.begin(&journal()).unwrap();
        assert_eq!(store.journal().unwrap(), Some(journal()));
        assert_eq!(
            counts(),
            (4, 3),
            "lock, journal, releases, state; public part twice, private part"
        );
        assert!(!store.has_saved_state().unwrap());
        drop(change);
        assert_eq!(
            counts(),
            (3, 2),
            "a change that is not committed leaves nothing"
        );

        let change = store.begin(&journal()).unwrap();
        let committed = change.commit().unwrap();
        assert_eq!(store.state().unwrap().live.as_deref(), Some("1-a"));
        assert_eq!(mark(), Mark::Staged);
        assert_eq!(counts(), (4, 3));
        committed.end().unwrap();
        assert_eq!(mark(), Mark::Good);
        assert_eq!(counts(), (4, 2));
        // The state would prove a second change of the same command before it has begun.
        let second = Journal {
            state_before: store.state().unwrap(),
            ..journal()
        };
        assert!(store.begin(&second).is_err());
        // Marks and units that are not proved are of the same record.
        let unproved = BTreeSet::from(["shop-web.service".to_owned()]);
        store.set_unproved("1-a", unproved.clone()).unwrap();
        let public = store.public_release("1-a").unwrap().unwrap();
        assert_eq!((public.mark, public.unproved), (Mark::Good, unproved));
        // A release that is good already is not written again.
        store.mark_good("1-a").unwrap().unwrap().end().unwrap();
        assert!(store.mark_good("2-b").unwrap().is_none());
        assert_eq!(counts(), (4, 2));
    }
}
