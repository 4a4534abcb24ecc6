//! Removing what interrupted runs left.

use super::staging_dir::STAGING_PREFIX;
use crate::app::Layout;
use crate::host::Host;
use crate::store::Store;
use anyhow::Result;

/// Removes staged releases that were never published, and records of releases that never existed.
///
/// No record is removed if the live release is missing as well: its file system may not be mounted.
///
/// # Errors
/// If a directory cannot be listed or something cannot be removed.
pub fn clean_up(host: &Host, store: &Store, layout: &Layout) -> Result<()> {
    for name in host.root.list(&layout.releases())? {
        if name.starts_with(STAGING_PREFIX) {
            host.root
                .remove_tree(&format!("{}/{name}", layout.releases()))?;
        }
    }
    store.clean_up()?;
    for dir in [
        layout.opt(),
        layout.releases(),
        layout.credentials(),
        layout.previous_credentials(),
    ] {
        host.root.remove_temporaries(&dir, |_| true)?;
    }
    if !store.has_saved_state()? && host.root.meta(&layout.releases())?.is_none() {
        return Ok(()); // The state is lost and the releases cannot be seen.
    }
    let exists = |id: &str| Ok::<_, anyhow::Error>(host.root.meta(&layout.release(id))?.is_some());
    if let Some(live) = &store.state()?.live
        && !exists(live)?
    {
        return Ok(());
    }
    for id in store.releases_with_any_record()? {
        if !exists(&id)? {
            // The release may have been removed by hand. If it had failed, remember that.
            let _ = store.save_failure_reason(&id);
            store.remove_release_record(&id)?;
        }
    }
    Ok(())
}
