//! What is live: as the state says, or as `current` says when the state was lost.

use super::records::Store;
use super::release::Mark;
use super::state::State;
use anyhow::Result;
use jiff::Timestamp;

impl Store {
    /// What is live; nothing when the app was never deployed. A lost state is reconstructed, because
    /// a running app must not be taken for a new one and removed when its next deploy fails.
    ///
    /// # Errors
    /// When a file cannot be read, or the target of `current` cannot be seen.
    pub fn state(&self) -> Result<State> {
        match self.saved_state()? {
            Some(state) => Ok(state),
            None => self.reconstructed_state(),
        }
    }

    /// The state according to `current` and the records: the previous releases are the good ones
    /// that were staged earlier. Pins cannot be reconstructed.
    fn reconstructed_state(&self) -> Result<State> {
        let Some(live) = self.release_of_current_link()? else {
            return Ok(State::default());
        };
        let exists = self.root.meta(&self.layout.release(&live))?.is_some();
        let record = self.public_release(&live)?.filter(|_| exists);
        // Without the mark, the change that made the link did not succeed.
        let Some(record) = record.filter(|record| record.mark == Mark::Good) else {
            return Ok(State::default());
        };
        let mut before = Vec::new();
        for id in self.releases()? {
            // A damaged record of another release is skipped.
            if let Ok(Some(other)) = self.public_release(&id)
                && other.mark == Mark::Good
                && other.staged < record.staged
            {
                before.push((other.staged, id));
            }
        }
        before.sort();
        // The switch creates the link, so both have the same time.
        let link = self.root.meta(&self.layout.current())?;
        let since = link.and_then(|link| Timestamp::from_second(link.modified).ok());
        Ok(State {
            live: Some(live),
            previous: before.into_iter().map(|(_, id)| id).collect(),
            since: since.map(|since| since.to_string()),
            ..State::default()
        })
    }

    /// The release that `current` names, whether or not it exists; `None` when `current` is not a
    /// link to a release.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn release_of_current_link(&self) -> Result<Option<String>> {
        let text = self.read_current_link()?;
        let named = |target| self.layout.targeted(target);
        if let Some(id) = text.as_deref().and_then(named) {
            return Ok(Some(id.to_owned()));
        }
        // The link may lead to the release by another path.
        let Some(target) = self.directory_id(&self.layout.current())? else {
            return Ok(None);
        };
        for id in self.root.list(&self.layout.releases())? {
            if self.directory_id(&self.layout.release(&id))? == Some(target) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The text of the link `current`; `None` when it is not a link.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_current_link(&self) -> Result<Option<String>> {
        self.root.read_link(&self.layout.current())
    }

    /// Device and inode of the directory that a path leads to.
    fn directory_id(&self, path: &str) -> Result<Option<(u64, u64)>> {
        let meta = self.root.meta_followed(path)?;
        Ok(meta.filter(|meta| meta.is_dir).map(|meta| meta.id))
    }
}
