//! The release of another environment, whose files a deploy takes.

use crate::payload::Payload;
use crate::stage::Source;
use std::path::PathBuf;

/// The live release of another environment.
#[derive(Debug)]
pub(super) struct OtherRelease {
    /// The app, such as `shop-staging`.
    pub(super) app: String,
    /// The id of its live release.
    pub(super) id: String,
    /// The directory of that release, relative to the root.
    pub(super) dir: PathBuf,
    /// What its source had when it was staged.
    pub(super) payload: Payload,
}

impl OtherRelease {
    /// Its files, as the source of a release.
    pub(super) fn source(&self) -> Source {
        Source::Directory(self.dir.clone())
    }
}
