//! Looking at a source without changing anything: the same for a plan and for a deploy.

use super::archive;
use super::on_every_processor;
use super::payload::{Item, Kind, Payload, Refused, inside, plain_name};
use crate::host::files;
use crate::model::Release;
use anyhow::{Context, Result};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// [`Refused`] when it is missing or neither.
    pub fn at(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let shown = path.display();
        if !path.exists() {
            let refused = Refused {
                message: format!("the source `{shown}` is not there"),
                hint: "name a directory or an archive: `robotctl deploy DIR`, or `release.source` in the manifest",
            };
            return Err(refused.into());
        }
        if path.is_file() && archive::is_archive(path) {
            return Ok(Self::Archive(path.to_owned()));
        }
        let refused = Refused {
            message: format!("the source `{shown}` is neither a directory nor an archive"),
            hint: "use a directory, `.tar`, `.tar.gz`, `.tar.zst` or `.tar.xz`",
        };
        Err(refused.into())
    }
}

/// Everything that the release would hold, with digests; excluded files are left out.
///
/// # Errors
/// [`Refused`] for a source that is empty or holds what a release may not.
pub fn scan(source: &Source, release: &Release) -> Result<Payload> {
    let exclude = Exclude::new(release)?;
    let (path, payload) = match source {
        Source::Directory(dir) => (dir, scan_directory(dir, &exclude)?),
        Source::Archive(file) => (file, archive::scan(file, &exclude)?),
    };
    if payload.files() == 0 {
        let refused = Refused {
            message: format!("the source `{}` is empty", path.display()),
            hint: "build the application first, or check `release.exclude`",
        };
        return Err(refused.into());
    }
    Ok(payload)
}

/// The manifest's `exclude` patterns, and `.git`.
#[derive(Debug)]
pub(super) struct Exclude(Gitignore);

impl Exclude {
    fn new(release: &Release) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        let own = [".git/", ".git"].into_iter();
        for pattern in own.chain(release.exclude.iter().map(crate::model::Text::as_str)) {
            let add = builder.add_line(None, pattern);
            add.with_context(|| format!("reading `{pattern}` in `release.exclude`"))?;
        }
        Ok(Self(builder.build().context("reading `release.exclude`")?))
    }

    pub(super) fn covers(&self, path: &Path, is_dir: bool) -> bool {
        self.0.matched_path_or_any_parents(path, is_dir).is_ignore()
    }
}

fn scan_directory(dir: &Path, exclude: &Exclude) -> Result<Payload> {
    let mut items = Vec::new();
    let walk = walkdir::WalkDir::new(dir).min_depth(1).into_iter();
    let wanted = walk.filter_entry(|entry| {
        let relative = entry.path().strip_prefix(dir).unwrap_or(entry.path());
        !exclude.covers(relative, entry.file_type().is_dir())
    });
    for entry in wanted {
        let entry = entry.with_context(|| format!("reading `{}`", dir.display()))?;
        let relative = entry.path().strip_prefix(dir).unwrap_or(entry.path());
        let path = plain_name(relative)?;
        let kind = entry.file_type();
        let kind = if kind.is_dir() {
            Kind::Dir
        } else if kind.is_symlink() {
            let target = Path::read_link(entry.path())
                .with_context(|| format!("reading `{}`", entry.path().display()))?;
            let target = target.to_string_lossy().into_owned();
            inside(&path, &target)?;
            Kind::Link(target)
        } else if kind.is_file() {
            let meta = entry
                .metadata()
                .with_context(|| format!("looking at `{path}`"))?;
            no_setuid(&path, meta.mode())?;
            Kind::File {
                hash: blake3::Hash::from_bytes([0; 32]),
                exec: meta.mode() & 0o111 != 0,
                len: meta.len(),
            }
        } else {
            let what = if kind.is_socket() || kind.is_fifo() {
                "socket or pipe"
            } else {
                "device"
            };
            return Err(special(&path, what).into());
        };
        items.push(Item { path, kind });
    }
    hash_all(dir, &mut items)?;
    Ok(Payload::new(items))
}

pub(super) fn special(path: &str, what: &str) -> Refused {
    Refused {
        message: format!("the source holds a {what}: `{path}`"),
        hint: "a release holds files, directories and links; list it in `release.exclude`",
    }
}

pub(super) fn no_setuid(path: &str, mode: u32) -> Result<(), Refused> {
    if mode & 0o6000 == 0 {
        return Ok(());
    }
    Err(Refused {
        message: format!("the source holds a setuid or setgid file: `{path}`"),
        hint: "take the bit off with `chmod ug-s`; a service gets rights from its unit",
    })
}

/// Fills in the digests, on every processor.
fn hash_all(dir: &Path, items: &mut [Item]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let shared: Vec<(usize, &str)> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| matches!(item.kind, Kind::File { .. }))
        .map(|(at, item)| (at, item.path.as_str()))
        .collect();
    let results = Mutex::new(Vec::with_capacity(shared.len()));
    on_every_processor(|| {
        let mut own = Vec::new();
        while let Some((at, path)) = shared.get(next.fetch_add(1, Ordering::Relaxed)) {
            own.push((*at, files::hash_file(&dir.join(path))));
        }
        if let Ok(mut results) = results.lock() {
            results.append(&mut own);
        }
    });
    let results = results.into_inner().unwrap_or_default();
    for (at, digest) in results {
        let digest = digest?;
        if let Some(Kind::File { hash, .. }) = items.get_mut(at).map(|item| &mut item.kind) {
            *hash = digest;
        }
    }
    Ok(())
}
