//! Filling a staged tree from a scanned source: second names for what the live release has, and
//! copies of the rest, on every processor.

use super::payload::{Item, Kind, Payload};
use super::scan::{Draft, Source};
use super::{BUFFER, Base, STAGING, archive};
use crate::host::copy::{Content, Dir, Placed, Wanted};
use crate::host::{Flush, Host, both, files, on_every_processor_and_one};
use crate::model::App;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that one thread takes at a time, of one directory: two threads that make files in the
/// same one wait for each other.
const CHUNK: usize = 256;

/// Bytes that a second name takes on the disk: an entry of a directory, and the inode once more.
pub(super) const LINKED: u64 = 512;

/// Bytes that a copy takes beside its content: an inode, and an entry of a directory.
pub(super) const COPIED: u64 = 4096;

/// A staged tree that has no name yet: it is removed again unless it is published.
#[derive(Debug)]
pub struct Filled<'a> {
    host: &'a Host,
    pub(super) path: String,
    pub(super) flush: Flush,
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        // What cannot be removed now, the next run sweeps away.
        let _ = self.host.root.remove_tree(&self.path);
    }
}

/// Copies a source to a new staged tree, and fills in the digests that are not known yet.
///
/// # Errors
/// When the source cannot be read, has changed, or the disk is full; nothing is left.
pub fn fill<'a>(
    host: &'a Host,
    app: &App,
    source: &Source,
    draft: &mut Draft,
    base: Option<&Base<'_>>,
    progress: &ProgressBar,
) -> Result<Filled<'a>> {
    draft.hash_racy(source)?;
    let path = format!(
        "{}/{STAGING}{}",
        app.layout.releases(),
        crate::host::random_hex(6)?
    );
    host.root.make_dir(&app.layout.releases(), 0o755)?;
    let flush = Flush::begin(&host.root.followed(&app.layout.releases()))?;
    let filled = Filled { host, path, flush };
    let dir = host.root.path(&filled.path);
    let payload = &draft.payload;
    let make = || -> Result<()> {
        let dirs = payload.items.iter().filter(|item| item.kind == Kind::Dir);
        files::make_plain_dirs(&dir, dirs.map(|item| dir.join(&item.path)))?;
        payload.items.iter().try_for_each(|item| match &item.kind {
            Kind::Link(target) => files::make_link(target, &dir.join(&item.path)),
            Kind::Dir | Kind::File { .. } => Ok(()),
        })
    };
    // A build command may write to any file of the tree: it gets no shared ones.
    let base = base.filter(|_| app.release.build.is_empty());
    let share = || match base {
        Some(base) => Live::new(host, app, base, payload).map(Some),
        None => Ok(None),
    };
    let (live, ended) = both(share, make);
    let live = ended.and(live)?;
    let to = Dir::open(&dir)?;
    let watch = Watch {
        progress,
        flush: &filled.flush,
    };
    match source {
        Source::Directory(from) => copy(from, draft, live.as_ref(), &to, &watch)?,
        Source::Archive(file) => archive::unpack(file, draft, live.as_ref(), &to, &watch)?,
    }
    filled.flush.hurry();
    if !app.release.build.is_empty() {
        for item in &mut draft.payload.items {
            item.traces.placed = None;
        }
    }
    Ok(filled)
}

/// Who hears of files that are in place.
pub(super) struct Watch<'a> {
    progress: &'a ProgressBar,
    flush: &'a Flush,
}

impl Watch<'_> {
    /// Files with so many bytes, for which the disk takes so many ([`LINKED`], [`COPIED`]).
    pub(super) fn done(&self, bytes: u64, written: u64) {
        self.progress.inc(bytes);
        self.flush.wrote(written);
    }
}

/// The live release, and where it has files of the new one.
pub(super) struct Live {
    dir: Dir,
    placed: Vec<Option<Placed>>,
}

impl Live {
    fn new(host: &Host, app: &App, base: &Base<'_>, payload: &Payload) -> Result<Self> {
        Ok(Self {
            dir: Dir::open(&host.root.path(&app.layout.release(base.id)))?,
            placed: shared(payload, base.payload),
        })
    }

    /// One directory of both trees, so that it is looked up once for all its files; none when there
    /// is nothing to share.
    pub(super) fn dir(&self, path: &str, to: &Dir) -> Option<LiveDir<'_>> {
        Some(LiveDir {
            placed: &self.placed,
            name_at: if path.is_empty() { 0 } else { path.len() + 1 },
            old: self.dir.below(path).ok()?,
            new: to.below(path).ok()?,
        })
    }
}

/// One directory, in the live release and in the staged tree.
pub(super) struct LiveDir<'a> {
    placed: &'a [Option<Placed>],
    /// Where the rest of a path that lies in it begins.
    name_at: usize,
    old: Dir,
    new: Dir,
}

impl LiveDir<'_> {
    /// Gives the file at `at` a second name, if it is still what was once placed.
    pub(super) fn link(&self, at: usize, item: &Item) -> Option<Placed> {
        let placed = self.placed.get(at).copied().flatten()?;
        let wanted = Wanted {
            path: item.path.get(self.name_at..)?,
            ..item.wanted()
        };
        self.old.link(&wanted, &placed, &self.new).then_some(placed)
    }
}

/// For each item of `new`: where the very same file lies in the release `old`.
fn shared(new: &Payload, old: &Payload) -> Vec<Option<Placed>> {
    let both = new.beside(old).filter(|both| both.new.is_some());
    both.map(|both| match both.old {
        Some(old) if both.is_same() => old.traces.placed,
        _ => None,
    })
    .collect()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Indices of files, by directory.
fn by_directory(payload: &Payload) -> Vec<Vec<u32>> {
    let mut jobs: Vec<Vec<u32>> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (at, item) in (0..).zip(&payload.items) {
        if !matches!(item.kind, Kind::File { .. }) {
            continue;
        }
        let dir = parent(&item.path);
        let job = open.get(dir).and_then(|job| jobs.get_mut(*job));
        match job.filter(|job| job.len() < CHUNK) {
            Some(job) => job.push(at),
            None => {
                open.insert(dir, jobs.len());
                jobs.push(vec![at]);
            }
        }
    }
    jobs
}

/// What one thread did: where files lie now, and digests that were not known.
#[derive(Default)]
struct Done {
    placed: Vec<(u32, Placed)>,
    digests: Vec<(u32, Content)>,
    /// Bytes that the disk takes.
    written: u64,
}

fn copy(
    from: &Path,
    draft: &mut Draft,
    live: Option<&Live>,
    to: &Dir,
    watch: &Watch<'_>,
) -> Result<()> {
    let from = Dir::open(from)?;
    let jobs = by_directory(&draft.payload);
    let next = AtomicUsize::new(0);
    let results: Mutex<Result<Vec<Done>>> = Mutex::new(Ok(Vec::new()));
    let shared: &Draft = draft;
    on_every_processor_and_one(|| {
        let mut own = Done::default();
        let mut buffer = vec![0; BUFFER];
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let before = own.written;
            let first = job
                .first()
                .and_then(|at| shared.payload.items.get(*at as usize));
            let dir = first.map_or("", |item| parent(&item.path));
            let live = live.and_then(|live| live.dir(dir, to));
            for at in job {
                if let Err(error) =
                    place(shared, *at, &from, live.as_ref(), to, &mut buffer, &mut own)
                {
                    next.store(jobs.len(), Ordering::Relaxed);
                    if let Ok(mut results) = results.lock()
                        && results.is_ok()
                    {
                        *results = Err(error);
                    }
                    return;
                }
            }
            let items = job.iter();
            let items = items.filter_map(|at| shared.payload.items.get(*at as usize));
            let bytes = items.map(Item::len).sum();
            watch.done(bytes, own.written - before);
        }
        if let Ok(mut results) = results.lock()
            && let Ok(results) = results.as_mut()
        {
            results.push(own);
        }
    });
    let results = results
        .into_inner()
        .unwrap_or_else(|_| Err(anyhow::anyhow!("a thread died")));
    for done in results.context("staging the release")? {
        for (at, placed) in done.placed {
            draft.placed(at as usize, placed);
        }
        for (at, digest) in done.digests {
            draft.set(at as usize, digest);
        }
    }
    Ok(())
}

/// Brings one file to the staged tree.
fn place(
    draft: &Draft,
    at: u32,
    from: &Dir,
    live: Option<&LiveDir<'_>>,
    to: &Dir,
    buffer: &mut [u8],
    done: &mut Done,
) -> Result<()> {
    let Some(item) = draft.payload.items.get(at as usize) else {
        return Ok(());
    };
    let (Kind::File { hash, .. }, Some(stamp)) = (&item.kind, &item.traces.source) else {
        return Ok(());
    };
    if let Some(placed) = live.and_then(|live| live.link(at as usize, item)) {
        done.written += LINKED;
        done.placed.push((at, placed));
        return Ok(());
    }
    let (copied, placed) = from.copy(&item.wanted(), stamp, to, buffer)?;
    done.written += COPIED + item.len();
    done.placed.push((at, placed));
    if !draft.knows(at as usize) {
        done.digests.push((at, copied));
    } else if copied != *hash {
        anyhow::bail!("`{}` changed while it was copied", item.path);
    }
    Ok(())
}
