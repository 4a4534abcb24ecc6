//! Putting a release in place, invisible: scan, name, copy, build, sync, rename.
//!
//! Nothing that runs can see `releases/.staging-*`; the last step is one rename(2). What a
//! killed run left is removed by the next one.

mod archive;
mod base;
mod build;
mod fill;
mod index;
mod links;
mod payload;
mod previous;
mod python;
mod scan;
mod zstd;

pub use fill::{Progress, Stage, fill};
pub use index::IndexHeader;
pub use payload::{Fingerprints, Item, Kind, Payload};
pub use previous::PreviousIndex;
pub use scan::{ScannedSource, Source, scan};

use crate::app::{App, Layout};
use crate::host::{Batch, Host};
use crate::store::Store;
use anyhow::Result;

/// Prefix of the names of unfinished releases.
const STAGING: &str = ".staging-";

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

/// A release's id: version and content, so that the same content is the same release.
///
/// The content is the payload, every file rendered for the host and what the manifest says beside
/// these: what is built, tried, run and kept. Digested are the two digests, of 32 bytes each, and
/// the manifest as JSON ([`crate::app::Canonical`]), which is all that is left.
pub fn release_id(app: &App, payload: &blake3::Hash, rendered: &blake3::Hash) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(payload.as_bytes());
    hasher.update(rendered.as_bytes());
    hasher.update(app.manifest.json().as_bytes());
    let digest = hasher.finalize().to_hex();
    let short: String = digest.chars().take(12).collect();
    // An id is a template unit's instance (systemd.unit(5)): `+` and `~` may not be in it.
    let version = app.version.as_str().replace(['+', '~'], "_");
    format!("{version}-{short}")
}

/// What staging needs to know of the release that is live.
#[derive(Debug)]
pub struct Base<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it has of the new payload.
    pub previous: &'a PreviousIndex,
}

/// Whether a release is there, complete.
///
/// # Errors
/// When that cannot be seen.
pub fn is_staged(host: &Host, app: &App, id: &str) -> Result<bool> {
    Ok(host.root.meta(&app.layout.release(id))?.is_some())
}

/// Builds what the manifest asks for in a staged tree, writes it to the disk and gives it its
/// name, after the records that tell of it have theirs. A release that is there already stays, and
/// the tree is dropped.
///
/// # Errors
/// When a build command fails or the disk is full; of the release nothing is left.
pub fn publish(
    host: &Host,
    app: &App,
    stage: Option<Stage<'_>>,
    id: &str,
    records: Batch<'_>,
) -> Result<()> {
    let new = match is_staged(host, app, id)? {
        true => None,
        false => stage,
    };
    let Some(stage) = new else {
        records.end()?;
        // Complete, or else it would not have its name; only that may not be on the disk yet.
        return host.root.sync_dir(&app.layout.releases());
    };
    if !app.release.build.is_empty() || app.release.python.is_some() {
        build::build(host, app, stage.path())?;
    }
    stage.end(records)?.publish(&app.layout.release(id))
}

/// Removes what killed runs left: unfinished releases, and records of releases that never came.
/// Where the live release is missing too, the file system of them all may be: nothing is forgotten.
///
/// # Errors
/// When it cannot be listed or removed.
pub fn clean_up(host: &Host, store: &Store, layout: &Layout) -> Result<()> {
    for name in host.root.list(&layout.releases())? {
        if name.starts_with(STAGING) {
            host.root
                .remove_tree(&format!("{}/{name}", layout.releases()))?;
        }
    }
    store.clean_up()?;
    for dir in [layout.opt(), layout.releases(), layout.credentials()] {
        host.root.sweep_temporaries(&dir, |_| true)?;
    }
    if !store.has_saved_state()? && host.root.meta(&layout.releases())?.is_none() {
        return Ok(()); // The state was lost, and what is live cannot be seen.
    }
    let live = store.state()?.live;
    let is_there =
        |id: &str| Ok::<_, anyhow::Error>(host.root.meta(&layout.release(id))?.is_some());
    if let Some(live) = &live
        && !is_there(live)?
    {
        return Ok(());
    }
    for id in store.partly_recorded()? {
        if !is_there(&id)? {
            // Somebody has removed it by hand: that it failed still counts.
            let _ = store.keep_failure(&id);
            store.forget(&id)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Item, Kind, Payload, release_id};
    use crate::app::App;
    use crate::manifest::parse;

    /// With another id, every app on every host is another release at the next deploy of the same:
    /// all is staged anew, and every service restarts. That is never worth it for how something is
    /// called or encoded here.
    #[test]
    fn an_id_is_the_same_for_ever() {
        let text = "[app]\nname = \"shop\"\nversion = \"1.0+2\"\n[release]\nkeep = 3\n\
                    build = [[\"make\"]]\npython = { requirements = [\"r.txt\"] }\n\
                    [service.web]\nexec = [\"{current}/web\"]\nlisten = [\"127.0.0.1:80\"]\n\
                    check = [{ http = \"/\", json = { \"/a\" = [1, 2.5, true] } }]\n";
        let id = |text: &str| {
            let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
            let file = Kind::File {
                hash: blake3::hash(b"web").into(),
                exec: true,
                len: 3,
            };
            let payload = Payload::new(vec![Item::new("web".to_owned(), file)]);
            release_id(&app, &payload.digest(), &blake3::hash(b"rendered"))
        };
        assert_eq!(id(text), "1.0_2-f32052d504c2");
        assert_eq!(id(&text.replace("\n[", "\n\n# Words.\n[")), id(text));
        // Of one spelling, but not the same.
        assert_ne!(id(&text.replace('+', "~")), id(text));
    }
}
