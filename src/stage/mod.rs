//! Putting a release in place, invisible: scan, name, copy, build, sync, rename.
//!
//! Nothing that runs can see `releases/.staging-*`; the last step is one rename(2). What a
//! killed run left is removed by the next one.

mod archive;
mod build;
mod payload;
mod scan;

pub use payload::{Item, Kind, Payload, Refused};
pub use scan::{Source, scan};

use crate::host::{Host, files};
use crate::model::{App, Layout};
use crate::record::Book;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Prefix of the names of unfinished releases.
const STAGING: &str = ".staging-";

/// A release's id: version and content, so that the same content is the same release.
///
/// The content is the payload, what is built from it and every file rendered for the host.
pub fn release_id(app: &App, payload: &Payload, rendered: &blake3::Hash) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(payload.digest().as_bytes());
    hasher.update(rendered.as_bytes());
    hasher.update(format!("{:?}{:?}", app.release.build, app.release.python).as_bytes());
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
    /// Its payload as it was staged.
    pub payload: &'a Payload,
}

/// Puts the release `id` at its final place, complete and synced; does nothing when it is there.
///
/// # Errors
/// When the source cannot be read, the disk is full or a build command fails; nothing is left.
pub fn stage(
    host: &Host,
    app: &App,
    source: &Source,
    payload: &Payload,
    base: Option<&Base<'_>>,
    id: &str,
    progress: &ProgressBar,
) -> Result<()> {
    let final_path = app.layout.release(id);
    if host.root.meta(&final_path)?.is_some() {
        // Complete, or else it would not have its name; only that may not be on the disk yet.
        return host.root.sync_dir(&app.layout.releases());
    }
    let staging = format!(
        "{}/{STAGING}{}",
        app.layout.releases(),
        crate::host::random_hex(6)?
    );
    let fill = || -> Result<()> {
        host.root.make_dir(&staging, 0o755)?;
        let dir = host.root.path(&staging);
        let builds = app.release.build.is_empty() && app.release.python.is_none();
        // A build command may write to any file of the tree: it gets no shared ones.
        let base = base.filter(|_| app.release.build.is_empty());
        match source {
            Source::Directory(from) => {
                copy(host, app, from, payload, base, &dir, progress)?;
            }
            Source::Archive(file) => archive::unpack(file, payload, &dir, progress)?,
        }
        if !builds {
            build::build(host, app, &staging)?;
        }
        host.root.sync_file_system(&staging)?;
        host.root.rename(&staging, &final_path)
    };
    fill().inspect_err(|_| drop(host.root.remove_tree(&staging)))
}

/// Removes what killed runs left: unfinished releases, and records of releases that never came.
///
/// # Errors
/// When it cannot be listed or removed.
pub fn sweep(host: &Host, book: &Book, layout: &Layout) -> Result<()> {
    for name in host.root.list(&layout.releases())? {
        if name.starts_with(STAGING) {
            host.root
                .remove_tree(&format!("{}/{name}", layout.releases()))?;
        }
    }
    book.sweep()?;
    for dir in [layout.opt(), layout.releases(), layout.credentials()] {
        host.root.sweep_temporaries(&dir, |_| true)?;
    }
    let state = book.state()?;
    for id in book.begun()? {
        let live = state.live.as_deref() == Some(&id);
        if !live && host.root.meta(&layout.release(&id))?.is_none() {
            book.forget(&id)?;
        }
    }
    Ok(())
}

/// Copies a scanned directory; files that the live release has already are linked.
fn copy(
    host: &Host,
    app: &App,
    from: &Path,
    payload: &Payload,
    base: Option<&Base<'_>>,
    to: &Path,
    progress: &ProgressBar,
) -> Result<()> {
    for item in &payload.items {
        match &item.kind {
            Kind::Dir => files::make_plain_dir(&to.join(&item.path))?,
            Kind::Link(target) => files::make_link(target, &to.join(&item.path))?,
            Kind::File { .. } => {}
        }
    }
    let live = base.map(|base| (host.root.path(&app.layout.release(base.id)), base.payload));
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(item) = payload.items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Kind::File { hash, len, .. } = &item.kind else {
                continue;
            };
            let target = to.join(&item.path);
            let shared = live.as_ref().is_some_and(|(dir, payload)| {
                payload.has(item) && files::link_file(&dir.join(&item.path), &target)
            });
            let done = if shared {
                Ok(())
            } else {
                files::copy_file(&from.join(&item.path), &target, item.mode(), hash)
            };
            progress.inc(*len);
            if let Err(error) = done {
                if let Ok(mut failure) = failure.lock() {
                    failure.get_or_insert(error);
                }
                next.store(payload.items.len(), Ordering::Relaxed);
            }
        }
    };
    on_every_processor(work);
    match failure.into_inner() {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(error).context("staging the release"),
        Err(_) => anyhow::bail!("staging the release: a thread died"),
    }
}

/// Hashing and copying use every processor, up to eight; with one, there is no other thread.
fn on_every_processor(work: impl Fn() + Sync) {
    let count = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
    if count == 1 {
        return work();
    }
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(&work);
        }
    });
}
