//! The directory in which a release is staged.

use crate::app::Layout;
use crate::host::{self, Batch, Flush, Host};
use anyhow::Result;

/// The first part of the names of releases that are being staged.
pub(super) const STAGING_PREFIX: &str = ".staging-";

/// The mode of a release that only root can enter.
pub(super) const PRIVATE_MODE: u32 = 0o700;

/// How many random bytes such a name has.
const RANDOM_NAME_BYTES: usize = 6;

/// A release that is being staged. It is removed when it is dropped, unless it is published.
#[derive(Debug)]
pub struct Stage<'a> {
    dir: StagingDir<'a>,
    flush: Flush,
}

/// A staged release that is on disk completely. It does not give its path away, so that nothing
/// can write to it any more.
#[derive(Debug)]
#[must_use = "the release is removed unless it is published"]
pub(super) struct SyncedStage<'a>(StagingDir<'a>);

/// A directory that is removed when it is dropped, unless it has been renamed.
#[derive(Debug)]
struct StagingDir<'a> {
    host: &'a Host,
    path: String,
}

impl Drop for StagingDir<'_> {
    fn drop(&mut self) {
        // If this fails, the next command removes it ([`super::clean_up`]).
        let _ = self.host.root.remove_tree(&self.path);
    }
}

impl<'a> Stage<'a> {
    /// Chooses a name that is not in use. The directory itself is not created yet.
    pub(super) fn new(host: &'a Host, layout: &Layout) -> Result<Self> {
        let releases = layout.releases();
        let random = host::random_hex(RANDOM_NAME_BYTES)?;
        host.root.make_dir(&releases, 0o755)?;
        let flush = Flush::begin(&host.root.followed(&releases))?;
        let path = format!("{releases}/{STAGING_PREFIX}{random}");
        Ok(Self {
            dir: StagingDir { host, path },
            flush,
        })
    }

    /// Moves the directory away from the releases: it becomes a part of a package. Others may read it then.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn move_to(self, path: &str) -> Result<()> {
        let root = &self.dir.host.root;
        host::files::set_mode(&root.path(&self.dir.path), 0o755)?;
        root.rename(&self.dir.path, path)
    }

    /// The path of the directory on the host.
    pub(super) fn path(&self) -> &str {
        &self.dir.path
    }

    /// The flush that writes the directory to disk.
    pub(super) fn flush(&self) -> &Flush {
        &self.flush
    }

    /// Writes the release to disk, then publishes the records of it.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub(super) fn sync(self, records: Batch<'_>) -> Result<SyncedStage<'a>> {
        let Self { dir, flush } = self;
        records.end_with(flush)?;
        Ok(SyncedStage(dir))
    }
}

impl SyncedStage<'_> {
    /// Renames the directory to that of the release.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub(super) fn publish(self, release: &str) -> Result<()> {
        let StagingDir { host, path } = &self.0;
        host.root.rename(path, release)
    }
}
