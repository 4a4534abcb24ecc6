//! The last step of staging: the release gets its name.

use super::staging_dir::{PRIVATE_MODE, Stage};
use crate::app::App;
use crate::host::{Batch, Host, files};
use anyhow::Result;

/// Whether a complete release with this id is on disk.
///
/// # Errors
/// The operating system's, with the path.
pub fn is_staged(host: &Host, app: &App, id: &str) -> Result<bool> {
    Ok(host.root.meta(&app.layout.release(id))?.is_some())
}

/// Runs the build of an app in a staged release, whose path below the root it gets, and adds to the records what it
/// made.
pub type Build<'a> = dyn FnMut(&str, &mut Batch<'_>) -> Result<()> + 'a;

/// Runs the manifest's build in a staged release, writes it to disk and publishes its records, then
/// the release itself. If the release is on disk already, `stage` is dropped.
///
/// # Errors
/// If a build command fails or the disk is full. Nothing of the release is left.
pub fn publish(
    host: &Host,
    app: &App,
    stage: Option<Stage<'_>>,
    id: &str,
    mut records: Batch<'_>,
    build: &mut Build<'_>,
) -> Result<()> {
    let needed = if is_staged(host, app, id)? {
        None
    } else {
        stage
    };
    let Some(stage) = needed else {
        records.end()?;
        // A release with a name is complete, but the name may not be on disk yet.
        return host.root.sync_dir(&app.layout.releases());
    };
    if !app.release.build.is_empty() || app.release.python.is_some() {
        build(stage.path(), &mut records)?;
        files::set_mode(&host.root.path(stage.path()), PRIVATE_MODE)?;
    }
    stage.sync(records)?.publish(&app.layout.release(id))
}
