//! Which release a rollback restores when none is named.

use super::damage::Damaged;
use super::records::Store;
use super::release::{Mark, ReleaseRecord};
use super::state::State;
use crate::error::fail;
use anyhow::Result;

impl Store {
    /// Refuses a release of which files are missing.
    ///
    /// # Errors
    /// That, and when the release cannot be read.
    pub fn check_complete(&self, id: &str) -> Result<()> {
        let missing = match self.content_changes(id)? {
            Some(changes) => changes.missing,
            None => Vec::new(),
        };
        let Some(first) = missing.first() else {
            return Ok(());
        };
        let message = match missing.len() {
            1 => format!("`{first}` of release {id} is missing"),
            count => format!("{count} files of release {id} are missing, such as `{first}`"),
        };
        fail(
            message,
            "deploy it again from its source, or choose another release",
        )
    }

    /// The release that a rollback restores when none is named. It looks at the releases that were live
    /// before the live one, the latest first, and takes the first that exists and has not failed. It calls
    /// `damaged` for those whose record cannot be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn previous_release(
        &self,
        state: &State,
        damaged: &dyn Fn(&str, &anyhow::Error),
    ) -> Result<Option<ReleaseRecord>> {
        for id in state.previous.iter().rev() {
            let meta = self.root.meta(&self.layout.release(id))?;
            if meta.is_some_and(|meta| meta.is_dir) && state.live.as_ref() != Some(id) {
                match self.release(id) {
                    Ok(Some(record)) if !matches!(record.public.mark, Mark::Failed(_)) => {
                        match self.check_complete(id) {
                            Ok(()) => return Ok(Some(record)),
                            Err(error) => damaged(id, &error),
                        }
                    }
                    Ok(_) => {}
                    Err(error) if error.is::<Damaged>() => damaged(id, &error),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(None)
    }
}
