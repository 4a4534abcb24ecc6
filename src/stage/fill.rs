//! Filling a staged tree from a scanned source: second names for what the live release has, and
//! copies of the rest, on every processor.

use super::base::{BaseDir, BaseTree};
use super::payload::{Item, Kind, Payload};
use super::scan::{ScannedSource, Source, changed};
use super::{BUFFER, Base, STAGING, archive};
use crate::app::App;
use crate::host::copy::{Content, Dir, InstalledStat};
use crate::host::files::{self, PlainDirs};
use crate::host::{Batch, Flush, Host, join, par_map};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Files that one thread takes at a time, of one directory: two threads that make files in the
/// same one wait for each other.
const CHUNK: usize = 256;

/// Bytes that a second name counts for. More is written, an entry of a directory and the inode once
/// more; but all who link wait for a file system that commits its journal.
pub(super) const LINKED: u64 = 64;

/// Bytes that a copy takes beside its content: an inode, and an entry of a directory.
pub(super) const COPIED: u64 = 4096;

/// A staged tree that is being filled: it is removed again unless it is published.
#[derive(Debug)]
pub struct Stage<'a> {
    tree: StagingDir<'a>,
    flush: Flush,
}

/// A staged tree that is on the disk, whole: nobody learns where, so that nobody writes to it.
#[derive(Debug)]
#[must_use = "it is removed again unless it is published"]
pub(super) struct Durable<'a>(StagingDir<'a>);

/// A tree that no release names yet. It is removed again unless it gets such a name.
#[derive(Debug)]
struct StagingDir<'a> {
    host: &'a Host,
    path: String,
}

impl Drop for StagingDir<'_> {
    fn drop(&mut self) {
        // What cannot be removed now, the next run sweeps away.
        let _ = self.host.root.remove_tree(&self.path);
    }
}

impl<'a> Stage<'a> {
    /// Where it lies.
    pub(super) fn path(&self) -> &str {
        &self.tree.path
    }

    /// Brings it to the disk, and names the records that tell of it. Nothing is written to it any
    /// more.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub(super) fn end(self, records: Batch<'_>) -> Result<Durable<'a>> {
        let Self { tree, flush } = self;
        records.end_with(flush)?;
        Ok(Durable(tree))
    }
}

impl Durable<'_> {
    /// Gives it the name of a release.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub(super) fn publish(self, release: &str) -> Result<()> {
        let StagingDir { host, path } = &self.0;
        host.root.rename(path, release)
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
    scanned: &mut ScannedSource,
    base: Option<&Base<'_>>,
    progress: &dyn Progress,
) -> Result<Stage<'a>> {
    scanned.hash_racy(source)?;
    let path = format!(
        "{}/{STAGING}{}",
        app.layout.releases(),
        crate::host::random_hex(6)?
    );
    host.root.make_dir(&app.layout.releases(), 0o755)?;
    let flush = Flush::begin(&host.root.followed(&app.layout.releases()))?;
    let stage = Stage {
        tree: StagingDir { host, path },
        flush,
    };
    let dir = host.root.path(stage.path());
    let frame = DirCreator::begin(&dir)?;
    let to = Dir::open(&dir)?;
    let watch = Watch::begin(progress, &stage.flush, &scanned.payload);
    // A build command may write to any file of the tree: it gets no shared ones.
    let base = base.filter(|_| app.release.build.is_empty());
    let base = base
        .map(|base| BaseTree::new(host, app, base))
        .transpose()?;
    let all = scanned.payload.items.len();
    match source {
        Source::Directory(from) => {
            let copy = || copy(from, scanned, base.as_ref(), &frame, &to, &watch);
            let (framed, copied) = join(|| frame.until(all, &scanned.payload), copy);
            let copied = framed.and(copied)?;
            for done in copied {
                done.emit(scanned);
            }
        }
        Source::Archive(file) => {
            frame.until(all, &scanned.payload)?;
            archive::unpack(file, scanned, base.as_ref(), &to, &watch)?;
        }
    }
    stage.flush.request_sync();
    if !app.release.build.is_empty() {
        for item in &mut scanned.payload.items {
            item.traces.placed = None;
        }
    }
    Ok(stage)
}

/// The directories and links of a new tree: whoever needs one makes those before it as well.
struct DirCreator {
    dir: PathBuf,
    plain: PlainDirs,
    /// How many items were seen to; it grows under `failed`.
    made: AtomicUsize,
    /// Why no more can be made.
    failed: Mutex<Option<String>>,
}

impl DirCreator {
    fn begin(dir: &Path) -> Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            plain: PlainDirs::begin(dir)?,
            made: AtomicUsize::new(0),
            failed: Mutex::default(),
        })
    }

    /// Makes what comes before the item at `at`, and so the directory that it is in.
    fn until(&self, at: usize, payload: &Payload) -> Result<()> {
        // Nobody who has what he needs waits for what others need.
        while self.made.load(Ordering::Acquire) < at {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(why) = &*failed {
                anyhow::bail!("{why}");
            }
            let made = self.made.load(Ordering::Acquire);
            let Some(item) = payload.items.get(made) else {
                return Ok(());
            };
            let ended = match &item.kind {
                Kind::Dir => self.plain.make(&self.dir.join(&item.path)),
                Kind::Link(target) => files::make_link(target, &self.dir.join(&item.path)),
                Kind::File { .. } => Ok(()),
            };
            match ended {
                Ok(()) => self.made.store(made + 1, Ordering::Release),
                Err(error) => *failed = Some(format!("{error:#}")),
            }
        }
        Ok(())
    }
}

/// Who looks on while a tree is filled, from any thread.
pub trait Progress: Sync {
    /// So many more bytes are in place, and now so many files of all.
    fn staged(&self, bytes: u64, files: usize, all: usize);
}

/// Who hears of files that are in place.
pub(super) struct Watch<'a> {
    progress: &'a dyn Progress,
    flush: &'a Flush,
    /// How many files there are.
    files: usize,
    done: AtomicUsize,
}

impl<'a> Watch<'a> {
    fn begin(progress: &'a dyn Progress, flush: &'a Flush, payload: &Payload) -> Self {
        let is_file = |item: &&Item| matches!(item.kind, Kind::File { .. });
        let watch = Self {
            progress,
            flush,
            files: payload.items.iter().filter(is_file).count(),
            done: AtomicUsize::new(0),
        };
        watch.done(0, 0, 0);
        watch
    }

    /// So many files with so many bytes, for which the disk takes so many ([`LINKED`],
    /// [`COPIED`]).
    pub(super) fn done(&self, files: usize, bytes: u64, written: u64) {
        let done = self.done.fetch_add(files, Ordering::Relaxed) + files;
        self.progress.staged(bytes, done, self.files);
        self.flush.wrote(written);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Indices of files, by directory.
fn by_directory(payload: &Payload) -> Vec<Vec<u32>> {
    let mut jobs: Vec<Vec<u32>> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    // Most files lie beside the one before.
    let mut last = None;
    for (at, item) in (0..).zip(&payload.items) {
        if !matches!(item.kind, Kind::File { .. }) {
            continue;
        }
        let dir = parent(&item.path);
        let known = match last {
            Some((temp_path, job)) if temp_path == dir => Some(job),
            _ => open.get(dir).copied(),
        };
        let job = known.filter(|job| jobs.get(*job).is_some_and(|job| job.len() < CHUNK));
        let job = job.unwrap_or_else(|| {
            open.insert(dir, jobs.len());
            jobs.push(Vec::new());
            jobs.len() - 1
        });
        if let Some(job) = jobs.get_mut(job) {
            job.push(at);
        }
        last = Some((dir, job));
    }
    jobs
}

/// What one thread did: where files lie now, and digests that were not known.
struct Done {
    placed: Vec<(u32, InstalledStat)>,
    digests: Vec<(u32, Content)>,
    /// Bytes that the disk takes.
    written: u64,
    buffer: Vec<u8>,
}

impl Done {
    fn new() -> Self {
        Self {
            placed: Vec::new(),
            digests: Vec::new(),
            written: 0,
            buffer: vec![0; BUFFER],
        }
    }

    fn emit(self, scanned: &mut ScannedSource) {
        for (at, placed) in self.placed {
            scanned.placed(at as usize, placed);
        }
        for (at, digest) in self.digests {
            scanned.set(at as usize, digest);
        }
    }
}

fn copy(
    from: &Path,
    scanned: &ScannedSource,
    base: Option<&BaseTree<'_>>,
    frame: &DirCreator,
    to: &Dir,
    watch: &Watch<'_>,
) -> Result<Vec<Done>> {
    let from = Dir::open(from)?;
    let payload = &scanned.payload;
    let session = |job: &Vec<u32>, done: &mut Done| {
        let before = done.written;
        let items = || job.iter().filter_map(|at| payload.items.get(*at as usize));
        let first = job.first().map_or(0, |at| *at as usize);
        frame.until(first, payload)?;
        let dir = items().next().map_or("", |item| parent(&item.path));
        let base = base.and_then(|base| base.dir(dir, to));
        for at in job {
            place(scanned, *at, &from, base.as_ref(), to, done)?;
        }
        let bytes = items().map(Item::len).sum();
        watch.done(job.len(), bytes, done.written - before);
        Ok(())
    };
    par_map(&by_directory(payload), Done::new, session).context("staging the release")
}

/// Brings one file to the staged tree.
fn place(
    scanned: &ScannedSource,
    at: u32,
    from: &Dir,
    base: Option<&BaseDir<'_>>,
    to: &Dir,
    done: &mut Done,
) -> Result<()> {
    let Some(item) = scanned.payload.items.get(at as usize) else {
        return Ok(());
    };
    let (Kind::File { hash, .. }, Some(stamp)) = (&item.kind, &item.traces.source) else {
        return Ok(());
    };
    if let Some(placed) = base.and_then(|base| base.link(at as usize, item)) {
        done.written += LINKED;
        done.placed.push((at, placed));
        return Ok(());
    }
    let copied = from.copy(&item.wanted(), stamp, to, &mut done.buffer);
    let (copied, placed) = copied.map_err(|error| match error.is::<std::io::Error>() {
        true => error,
        // What the system did not refuse has changed.
        false => changed(format!("{error:#}")).into(),
    })?;
    done.written += COPIED + item.len();
    done.placed.push((at, placed));
    if !scanned.knows(at as usize) {
        done.digests.push((at, copied));
    } else if copied != *hash {
        return Err(changed(format!("`{}` changed while it was copied", item.path)).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Progress, Source, fill};
    use crate::app::App;
    use crate::host::{Command, Host};
    use crate::manifest::parse;
    use crate::stage::scan;

    struct Nobody;

    impl Progress for Nobody {
        fn staged(&self, _: u64, _: usize, _: usize) {}
    }

    #[test]
    fn whoever_writes_meanwhile_is_told_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let shell = |line: &str| Command::new(["sh", "-ec", line, "sh", path]).run();
        shell("cd \"$1\"; mkdir root source; echo one > source/file").unwrap();
        let text = "[app]\nname = \"shop\"\nversion = \"1\"\n\
                    [service.web]\nexec = [\"/bin/w\"]\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let source = Source::at(&dir.path().join("source")).unwrap();
        let mut scanned = scan(&source, &app.release).unwrap();
        shell("echo two >> \"$1/source/file\"").unwrap();
        let host = Host::new(Some(&dir.path().join("root")));
        let error = fill(&host, &app, &source, &mut scanned, None, &Nobody).unwrap_err();
        let told = crate::error::Error::from(error).to_string();
        assert!(told.starts_with("staging the release: `"), "{told}");
        assert!(told.contains("file` changed while it was copied\n\nhint: stop what writes there"));
        // Nothing is left of it.
        assert_eq!(host.root.list("/opt/shop/releases").unwrap(), [""; 0]);
    }
}
