//! What is live: as the state says, or `current` where the state was lost. The link outlives records.

use super::{Mark, State, Store};
use anyhow::Result;
use jiff::Timestamp;

impl Store {
    /// What is live; nothing when the app was never deployed. A state that was lost is told by the
    /// link, or else a running app would be taken for a new one, and a failure would take it away.
    ///
    /// # Errors
    /// When a record is there and cannot be read, or what `current` names cannot be seen.
    pub fn state(&self) -> Result<State> {
        match self.saved_state()? {
            Some(state) => Ok(state),
            None => self.reconstructed_state(),
        }
    }

    /// The state that the link and the records of the releases tell: what had been live before are
    /// the good releases that were staged before. Pins are not told.
    fn reconstructed_state(&self) -> Result<State> {
        let Some(live) = self.linked()? else {
            return Ok(State::default());
        };
        let is_there = self.root.meta(&self.layout.release(&live))?.is_some();
        let record = self.release(&live)?.filter(|_| is_there);
        // A change that was cut off has proven nothing.
        let Some(record) = record.filter(|record| record.mark == Mark::Good) else {
            return Ok(State::default());
        };
        let mut before = Vec::new();
        for id in self.releases()? {
            // A record that cannot be read is in nobody's way.
            if let Ok(Some(other)) = self.release(&id)
                && other.mark == Mark::Good
                && other.staged < record.staged
            {
                before.push((other.staged, id));
            }
        }
        before.sort();
        // The switch made the link: its time is the switch's.
        let link = self.root.meta(&self.layout.current())?;
        let since = link.and_then(|link| Timestamp::from_second(link.modified).ok());
        Ok(State {
            live: Some(live),
            before: before.into_iter().map(|(_, id)| id).collect(),
            since: since.map(|since| since.to_string()),
            ..State::default()
        })
    }

    /// The release that `current` names, whether it is there or not; `None` when `current` is no
    /// link to a release.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn linked(&self) -> Result<Option<String>> {
        let text = self.link()?;
        let named = |target| self.layout.targeted(target);
        if let Some(id) = text.as_deref().and_then(named) {
            return Ok(Some(id.to_owned()));
        }
        // By a way of its own.
        let Some(led) = self.directory_id(&self.layout.current())? else {
            return Ok(None);
        };
        for id in self.root.list(&self.layout.releases())? {
            if self.directory_id(&self.layout.release(&id))? == Some(led) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// What `current` says; `None` when it is no link.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn link(&self) -> Result<Option<String>> {
        self.root.read_link(&self.layout.current())
    }

    /// Which directory a path leads to: its device and inode.
    fn directory_id(&self, path: &str) -> Result<Option<(u64, u64)>> {
        let meta = self.root.meta_followed(path)?;
        Ok(meta.filter(|meta| meta.is_dir).map(|meta| meta.id))
    }
}
