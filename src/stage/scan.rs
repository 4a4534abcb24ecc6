//! Looking at a source without changing anything: the same for a plan and for a deploy.

use super::index::IndexHeader;
use super::links::plain_target;
use super::payload::{Item, Kind, Payload, plain_name};
use super::previous::PreviousIndex;
use super::{BUFFER, archive, links};
use crate::app::Release;
use crate::error::HintedError;
use crate::host::copy::{Content, Dir, InstalledStat};
use crate::host::{self, WalkedEntry, files, join, par_map, walk};
use anyhow::{Context, Result};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where a release's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory.
    Directory(PathBuf),
    /// `.tar`, `.tar.gz`, `.tar.zst` or `.tar.xz`.
    Archive(PathBuf),
}

impl Source {
    /// Finds out what `path` is.
    ///
    /// # Errors
    /// [`HintedError`] when it is missing or neither.
    pub fn at(path: &Path) -> Result<Self> {
        if files::is_dir(path) {
            return Ok(Self::Directory(path.to_owned()));
        }
        let shown = path.display();
        if !files::exists(path) {
            let refused = HintedError::new(
                format!("the source `{shown}` is not there"),
                "name a directory or an archive: `sudo robotctl deploy DIR`, or `release.source` in the manifest",
            );
            return Err(refused.into());
        }
        if files::is_file(path) && archive::is_archive(path) {
            return Ok(Self::Archive(path.to_owned()));
        }
        let refused = HintedError::new(
            format!("the source `{shown}` is neither a directory nor an archive"),
            "use a directory, `.tar`, `.tar.gz`, `.tar.zst` or `.tar.xz`",
        );
        Err(refused.into())
    }
}

/// What a release would hold. The digests may still be missing: they come from what is known
/// of an earlier release, from reading the files, or from copying them.
#[derive(Debug)]
pub struct ScannedSource {
    /// The items; a digest that is missing is all zero.
    pub payload: Payload,
    hashed: Vec<bool>,
    /// [`Payload::seen`].
    seen: Option<blake3::Hash>,
    /// The digest of the whole, when it was known without those of the files.
    digest: Option<blake3::Hash>,
    /// When the source was looked at, in nanoseconds since 1970.
    started: i64,
}

/// Time stamps may be as coarse as this (FAT, NFS): a file that changed within it before it was
/// looked at may change again without a new stamp.
const CLOCK_GRANULARITY: i64 = 2_000_000_000;

impl ScannedSource {
    /// Whether every digest is there.
    pub fn is_hashed(&self) -> bool {
        self.hashed.iter().all(|hashed| *hashed)
    }

    /// The digest of the payload, for which every file's must be there, or the source recognised.
    pub fn digest(&self) -> blake3::Hash {
        self.digest.unwrap_or_else(|| self.payload.digest())
    }

    /// Whether nobody touched the source since it was that of an index: then the digest of the
    /// whole is known at once.
    pub fn is_unchanged(&mut self, head: &IndexHeader) -> bool {
        self.digest = head.is_of(self.seen).then_some(head.digest);
        self.digest.is_some()
    }

    /// Takes digests over from an older release: of files that nobody touched since they were read.
    pub fn reuse_hashes(&mut self, previous: &PreviousIndex) {
        let items = self.payload.items.iter_mut().zip(&mut self.hashed);
        for (at, (item, hashed)) in items.enumerate() {
            if let Kind::File { hash, len, .. } = &mut item.kind
                && !*hashed
                && let Some(Kind::File {
                    hash: old,
                    len: was,
                    ..
                }) = previous.untouched(at)
                && was == len
            {
                (*hash, *hashed) = (*old, true);
            }
        }
    }

    /// Reads what is left to read, on every processor.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn hash(&mut self, source: &Source) -> Result<()> {
        self.hash_some(source, |_| true)
    }

    /// Reads only files so new that copying alone might not notice a change.
    pub(super) fn hash_racy(&mut self, source: &Source) -> Result<()> {
        let started = self.started;
        self.hash_some(source, |item| is_racy(item, started))
    }

    fn hash_some(&mut self, source: &Source, which: impl Fn(&Item) -> bool) -> Result<()> {
        let Source::Directory(dir) = source else {
            return Ok(());
        };
        let items = &self.payload.items;
        let all = items.iter().zip(&self.hashed).enumerate();
        let wanted = all.filter(|(_, (item, hashed))| !**hashed && which(item));
        let wanted: Vec<usize> = wanted.map(|(at, _)| at).collect();
        let dir = Dir::open(dir)?;
        let start = || (Vec::new(), vec![0; BUFFER]);
        let done = par_map(&wanted, start, |at, (digests, buffer)| {
            if let Some(item) = items.get(*at) {
                digests.push((*at, dir.hash(&item.path, buffer)?));
            }
            Ok(())
        })?;
        for (at, digest) in done.into_iter().flat_map(|(digests, _)| digests) {
            self.set(at, digest);
        }
        Ok(())
    }

    /// Whether the digest of an item is there.
    pub(super) fn knows(&self, at: usize) -> bool {
        self.hashed.get(at).is_some_and(|hashed| *hashed)
    }

    /// Writes down what a file holds.
    pub(super) fn set(&mut self, at: usize, digest: Content) {
        let item = self.payload.items.get_mut(at);
        if let Some(Kind::File { hash, .. }) = item.map(|item| &mut item.kind) {
            *hash = digest;
        }
        if let Some(hashed) = self.hashed.get_mut(at) {
            *hashed = true;
        }
    }

    /// Writes down where a file lies now.
    pub(super) fn placed(&mut self, at: usize, placed: InstalledStat) {
        if let Some(item) = self.payload.items.get_mut(at) {
            item.traces.placed = Some(placed);
        }
    }

    /// The payload to be kept, where only stamps are left that will show every change.
    pub fn finish(&mut self) -> &Payload {
        for item in &mut self.payload.items {
            if is_racy(item, self.started) {
                item.traces.source = None;
            }
        }
        &self.payload
    }
}

fn is_racy(item: &Item, started: i64) -> bool {
    let stamp = item.traces.source;
    stamp.is_some_and(|stamp| {
        stamp
            .mtime
            .max(stamp.ctime)
            .saturating_add(CLOCK_GRANULARITY)
            >= started
    })
}

/// Everything that the release would hold; excluded files are left out. Of a directory, no file
/// is read.
///
/// # Errors
/// [`HintedError`] for a source that is empty or holds what a release may not.
pub fn scan(source: &Source, release: &Release) -> Result<ScannedSource> {
    let exclude = Exclude::new(release)?;
    let started = host::nanoseconds();
    let (path, payload) = match source {
        Source::Directory(dir) => (dir, scan_directory(dir, &exclude)?),
        Source::Archive(file) => (file, archive::scan(file, &exclude)?),
    };
    if payload.files() == 0 {
        let refused = HintedError::new(
            format!("the source `{}` is empty", path.display()),
            "build the application first, or check `release.exclude`",
        );
        return Err(refused.into());
    }
    let (seen, judged) = join(|| payload.seen(), || links::judge(&payload));
    judged?;
    let read = matches!(source, Source::Archive(_));
    let hashed = payload.items.iter();
    let hashed = hashed.map(|item| read || !matches!(item.kind, Kind::File { .. }));
    Ok(ScannedSource {
        hashed: hashed.collect(),
        seen,
        digest: None,
        payload,
        started,
    })
}

/// The manifest's `exclude` patterns; `.git` is left out whatever they say.
#[derive(Debug)]
pub(super) struct Exclude(Gitignore);

impl Exclude {
    fn new(release: &Release) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in &release.exclude {
            let add = builder.add_line(None, pattern.as_str());
            add.with_context(|| format!("reading `{pattern}` in `release.exclude`"))?;
        }
        let rules = builder.build().context("reading `release.exclude`")?;
        Ok(Self(rules))
    }

    /// Whether a path is left out, of which no parent is.
    fn names(&self, path: &Path, is_dir: bool) -> bool {
        path.file_name() == Some(OsStr::new(".git")) || self.0.matched(path, is_dir).is_ignore()
    }

    /// Whether a path or one of its parents is left out: nothing below a directory that is left
    /// out comes in again (gitignore(5)), as nobody looks into it.
    pub(super) fn covers(&self, path: &Path, is_dir: bool) -> bool {
        let parents = path.ancestors().skip(1);
        let mut parents = parents.filter(|parent| !parent.as_os_str().is_empty());
        self.names(path, is_dir) || parents.any(|parent| self.names(parent, true))
    }
}

fn scan_directory(dir: &Path, exclude: &Exclude) -> Result<Payload> {
    let keep = |path: &Path, is_dir: bool| !exclude.names(path, is_dir);
    let make = |path: &Path, found: WalkedEntry| {
        let path = plain_name(path)?;
        let (kind, source) = match found {
            WalkedEntry::Dir => (Kind::Dir, None),
            WalkedEntry::Link(target) => {
                let target = plain_target(&path, &target)?;
                (Kind::Link(target), None)
            }
            WalkedEntry::File { mode, len, stamp } => {
                no_setuid(&path, mode)?;
                let kind = Kind::File {
                    hash: Content::default(),
                    exec: mode & 0o111 != 0,
                    len,
                };
                (kind, Some(stamp))
            }
            WalkedEntry::Pipe => return Err(special(&path, "socket or pipe").into()),
            WalkedEntry::Device => return Err(special(&path, "device").into()),
        };
        let mut item = Item::new(path, kind);
        item.traces.source = source;
        Ok(item)
    };
    let items = walk(dir, keep, make, |item: &Item| &item.path)?;
    Ok(Payload::new(items))
}

pub(super) fn special(path: &str, what: &str) -> HintedError {
    HintedError::new(
        format!("the source holds a {what}: `{path}`"),
        "a release holds files, directories and links; list it in `release.exclude`",
    )
}

/// A source in which somebody still writes, as a sentence without a full stop says.
pub(super) fn changed(message: String) -> HintedError {
    HintedError::new(
        message,
        "stop what writes there, or build to another directory, then deploy again",
    )
}

pub(super) fn no_setuid(path: &str, mode: u32) -> Result<(), HintedError> {
    if mode & 0o6000 == 0 {
        return Ok(());
    }
    Err(HintedError::new(
        format!("the source holds a setuid or setgid file: `{path}`"),
        "take the bit off with `chmod ug-s`; a service gets rights from its unit",
    ))
}

#[cfg(test)]
mod tests {
    use super::Exclude;
    use crate::app::App;
    use crate::manifest::parse;
    use std::path::Path;

    #[test]
    fn git_is_left_out_whatever_the_patterns_say() {
        for patterns in ["", "\"*.log\"", "\"!.git\"", "\".*\", \"!.git\""] {
            let text = format!(
                "[app]\nname = \"shop\"\nversion = \"1\"\n[release]\nexclude = [{patterns}]\n\
                 [service.web]\nexec = [\"/bin/w\"]\n"
            );
            let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
            let exclude = Exclude::new(&app.release).unwrap();
            let covers = |path: &str, is_dir| exclude.covers(Path::new(path), is_dir);
            // Of a submodule, it is a file.
            assert!(covers(".git", true) && covers("a/.git", false) && covers(".git/HEAD", false));
            assert!(
                !covers("git", false) && !covers("a.git", true),
                "{patterns}"
            );
            assert_eq!(covers("a.log", false), patterns.contains("log"));
        }
    }
}
