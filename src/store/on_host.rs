//! What the overlay of this host makes of the live release: `overlays/<id>.<digest>`.
//!
//! A release is the same on every host. The state names the overlay that is in force, so that the commit of a change
//! is one rename also when only the overlay has changed.

use super::format::FORMAT;
use super::records::Store;
use crate::app::HostOverlay;
use crate::tree::{FileTree, Stored};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Only root can enter the directory.
const DIR_MODE: u32 = 0o700;

/// The overlay that is in force for a release, and the files that both make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OnHost {
    #[serde(default)]
    format: u32,
    /// Where the overlay is, for messages.
    path: String,
    /// The text of the overlay.
    text: String,
    /// Every file that the release puts on this host, by path.
    pub(super) files: BTreeMap<String, Stored>,
}

impl OnHost {
    /// The overlay.
    ///
    /// # Errors
    /// When this version of robotctl cannot read it.
    pub(super) fn overlay(&self) -> Result<HostOverlay> {
        let overlay = HostOverlay::parse(&self.path, &self.text);
        overlay.map_err(|problem| anyhow::anyhow!("{problem}"))
    }
}

impl Store {
    /// Keeps what an overlay makes of a release, before a state names it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_overlay(&self, id: &str, overlay: &HostOverlay, tree: &FileTree) -> Result<()> {
        let files = tree.iter();
        let on_host = OnHost {
            format: FORMAT,
            path: overlay.path.clone(),
            text: overlay.text.clone(),
            files: files
                .map(|(path, entry)| (path.to_owned(), Stored::new(entry)))
                .collect(),
        };
        let name = name(id, &overlay.digest());
        self.root.make_dir(&self.path("overlays"), DIR_MODE)?;
        self.write(&name, &on_host)
    }

    /// What the overlay that is in force makes of a release, if it is the live one.
    pub(super) fn on_host(&self, id: &str) -> Result<Option<OnHost>> {
        let state = self.saved_state()?.unwrap_or_default();
        let Some(digest) = state.overlay.filter(|_| state.live.as_deref() == Some(id)) else {
            return Ok(None);
        };
        let name = name(id, &digest);
        match self.read(&name)? {
            Some(on_host) => Ok(Some(on_host)),
            None => Err(self.damaged(&self.path(&name), "the file is missing")),
        }
    }

    /// Drops what overlays made of releases that are no longer live.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn drop_old_overlays(&self) -> Result<()> {
        let state = self.saved_state()?.unwrap_or_default();
        let used = state.live.zip(state.overlay);
        let used = used.map(|(id, digest)| name(&id, &digest));
        for file in self.root.list(&self.path("overlays"))? {
            let file = format!("overlays/{file}");
            if used.as_ref() != Some(&file) {
                self.root.remove_file(&self.path(&file))?;
            }
        }
        Ok(())
    }
}

fn name(id: &str, digest: &str) -> String {
    format!("overlays/{id}.{digest}")
}
