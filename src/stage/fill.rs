//! Filling a staged release: first all directories and links, then the files.
//!
//! A file that the live release has gets a hard link; every other file is copied. The files of a
//! directory source are shared out among threads, those of an archive come in its order.

use super::archive;
use super::base::{Base, BaseDir, BaseTree};
use super::checks::source_changed;
use super::copy::{BUFFER_BYTES, Dir, FileSpec};
use super::progress::{COPY_COST_BYTES, Counter, LINK_COST_BYTES, Progress};
use super::scanned::ScannedSource;
use super::source::Source;
use super::staging_dir::{PRIVATE_MODE, Stage};
use crate::app::App;
use crate::host::Host;
use crate::host::files::{self, PlainDirs};
use crate::parallel::par_map;
use crate::payload::{ContentHash, InstalledStat, Item, Kind, Payload};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::Path;

/// The most files of one directory that a thread takes at a time. Two threads that create files in
/// the same directory wait for each other.
const FILES_PER_JOB: usize = 256;

/// Stages a source in a new directory, and sets the hashes that the scan did not know. `is_written` says whether
/// commands of a build may then write to any file, so that none may be shared with another release.
///
/// # Errors
/// If the source cannot be read or has changed, or the disk is full. Nothing of the staged release
/// is left.
pub fn fill<'a>(
    host: &'a Host,
    app: &App,
    source: &Source,
    scanned: &mut ScannedSource,
    base: Option<&Base<'_>>,
    is_written: bool,
    progress: &dyn Progress,
) -> Result<Stage<'a>> {
    scanned.hash_racy(source)?;
    let stage = Stage::new(host, &app.layout)?;
    let dir = host.root.path(stage.path());
    create_dirs_and_links(&dir, &scanned.payload)?;
    let to = Dir::open(&dir)?;
    let counter = Counter::new(progress, stage.flush(), &scanned.payload);
    let base = base.filter(|_| !is_written);
    let base = base
        .map(|base| BaseTree::open(host, app, base))
        .transpose()?;
    match source {
        Source::Directory(from) => {
            let staged = stage_files(from, scanned, base.as_ref(), &to, &counter)?;
            for files in staged {
                files.record_in(scanned);
            }
        }
        Source::Archive(file) => archive::unpack(file, scanned, base.as_ref(), &to, &counter)?,
    }
    stage.flush().request_sync();
    if is_written {
        for item in &mut scanned.payload.items {
            item.fingerprints.installed = None;
        }
    }
    Ok(stage)
}

/// Creates the release's directory `top` and everything in it but the files. The payload has
/// parents before their children.
fn create_dirs_and_links(top: &Path, payload: &Payload) -> Result<()> {
    let dirs = PlainDirs::begin(top)?;
    files::set_mode(top, PRIVATE_MODE)?;
    for item in &payload.items {
        match &item.kind {
            Kind::Dir => dirs.make(&top.join(&item.path))?,
            Kind::Link(target) => files::make_link(target, &top.join(&item.path))?,
            Kind::File { .. } => {}
        }
    }
    Ok(())
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// The files of the payload, as indices into its items. Each job has files of one directory.
fn jobs(payload: &Payload) -> Vec<Vec<u32>> {
    let mut jobs: Vec<Vec<u32>> = Vec::new();
    let mut job_of_dir: HashMap<&str, usize> = HashMap::new();
    // Most files are in the same directory as the file before.
    let mut last = None;
    for (at, item) in (0..).zip(&payload.items) {
        if !item.is_file() {
            continue;
        }
        let dir = parent(&item.path);
        let known = match last {
            Some((last_dir, job)) if last_dir == dir => Some(job),
            _ => job_of_dir.get(dir).copied(),
        };
        let has_room = |job: &usize| jobs.get(*job).is_some_and(|job| job.len() < FILES_PER_JOB);
        let job = known.filter(has_room).unwrap_or_else(|| {
            job_of_dir.insert(dir, jobs.len());
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

/// What one thread has staged, by the index of the item.
struct StagedFiles {
    installed: Vec<(u32, InstalledStat)>,
    /// Hashes that the scan did not know.
    hashes: Vec<(u32, ContentHash)>,
    /// How many bytes are written to disk for these files.
    written_bytes: u64,
    buffer: Vec<u8>,
}

impl StagedFiles {
    fn new() -> Self {
        Self {
            installed: Vec::new(),
            hashes: Vec::new(),
            written_bytes: 0,
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    fn record_in(self, scanned: &mut ScannedSource) {
        for (at, installed) in self.installed {
            scanned.set_installed(at as usize, installed);
        }
        for (at, hash) in self.hashes {
            scanned.set_hash(at as usize, hash);
        }
    }
}

/// Links or copies all files of a directory source.
fn stage_files(
    from: &Path,
    scanned: &ScannedSource,
    base: Option<&BaseTree<'_>>,
    to: &Dir,
    counter: &Counter<'_>,
) -> Result<Vec<StagedFiles>> {
    let from = Dir::open_source(from)?;
    let items = &scanned.payload.items;
    let stage_job = |job: &Vec<u32>, staged: &mut StagedFiles| {
        let written_before = staged.written_bytes;
        let files = || job.iter().filter_map(|at| items.get(*at as usize));
        let dir = files().next().map_or("", |item| parent(&item.path));
        let base = base.and_then(|base| base.subdir(dir, to));
        for at in job {
            stage_file(scanned, *at, &from, base.as_ref(), to, staged)?;
        }
        let bytes = files().map(Item::len).sum();
        counter.add(job.len(), bytes, staged.written_bytes - written_before);
        Ok(())
    };
    par_map(&jobs(&scanned.payload), StagedFiles::new, stage_job).context("staging the release")
}

/// Links or copies one file.
fn stage_file(
    scanned: &ScannedSource,
    at: u32,
    from: &Dir,
    base: Option<&BaseDir<'_>>,
    to: &Dir,
    staged: &mut StagedFiles,
) -> Result<()> {
    let Some(item) = scanned.payload.items.get(at as usize) else {
        return Ok(());
    };
    let (Kind::File { hash, .. }, Some(stat)) = (&item.kind, &item.fingerprints.source) else {
        return Ok(());
    };
    if let Some(installed) = base.and_then(|base| base.link(at as usize, item)) {
        staged.written_bytes += LINK_COST_BYTES;
        staged.installed.push((at, installed));
        return Ok(());
    }
    let copied = from.copy(&FileSpec::of(item), stat, to, &mut staged.buffer);
    let (new_hash, installed) = copied.map_err(|error| {
        if error.is::<std::io::Error>() {
            error
        } else {
            source_changed(format!("{error:#}")).into()
        }
    })?;
    staged.written_bytes += COPY_COST_BYTES + item.len();
    staged.installed.push((at, installed));
    if !scanned.has_hash(at as usize) {
        staged.hashes.push((at, new_hash));
    } else if new_hash != *hash {
        let message = format!("`{}` changed while it was copied", item.path);
        return Err(source_changed(message).into());
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

    struct NoProgress;

    impl Progress for NoProgress {
        fn staged(&self, _: u64, _: usize, _: usize) {}
    }

    #[test]
    fn a_source_that_changes_during_the_deploy_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let shell = |line: &str| Command::new(["sh", "-ec", line, "sh", path]).run();
        shell("cd \"$1\"; mkdir root source; echo one > source/file").unwrap();
        let text = "[app]\nname = \"shop\"\nversion = \"1\"\n\
                    [service.web]\nexec = [\"/bin/w\"]\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let source = Source::at(&dir.path().join("source")).unwrap();
        let mut scanned = scan(&source, &app.release, None).unwrap();
        shell("echo two >> \"$1/source/file\"").unwrap();
        let host = Host::new(Some(&dir.path().join("root")));
        let error = fill(&host, &app, &source, &mut scanned, None, false, &NoProgress).unwrap_err();
        let shown = crate::error::Error::from(error).to_string();
        assert!(shown.starts_with("staging the release: `"), "{shown}");
        assert!(
            shown.contains("file` changed while it was copied\n\nhint: stop the program"),
            "{shown}"
        );
        // Nothing of the staged release is left.
        assert_eq!(host.root.list("/opt/shop/releases").unwrap(), [""; 0]);
    }
}
