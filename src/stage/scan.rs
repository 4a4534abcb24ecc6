//! Listing what a release would hold. The plan and the deploy use the same scan.

use super::archive;
use super::checks::{check_mode, check_name, special_file, too_many_holes};
use super::copy::{Attributes, Dir, WalkedEntry, attributes, walk};
use super::exclude::Exclude;
use super::not_copied::NotCopied;
use super::private_files::{self, MAX_READ_BYTES, SeenFiles};
use super::scanned::ScannedSource;
use super::source::Source;
use crate::app::Release;
use crate::error::HintedError;
use crate::host;
use crate::parallel::join;
use crate::payload::links::{check_links, check_target};
use crate::payload::{ContentHash, Item, Kind, Payload};
use anyhow::Result;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lists everything that the release would hold, without the excluded files. With `only`, it lists only what
/// that payload has, and nothing that a build has made. Files of a directory
/// are not read; those of an archive are.
///
/// # Errors
/// A [`HintedError`] if the source is empty or holds something that a release must not.
pub fn scan(source: &Source, release: &Release, only: Option<&Payload>) -> Result<ScannedSource> {
    let exclude = Exclude::new(release)?;
    let started_ns = host::nanoseconds();
    let (payload, seen, not_copied) = match source {
        Source::Directory(dir) => scan_directory(dir, &exclude, only)?,
        Source::Archive(file) => archive::scan(file, &exclude)?,
    };
    let is_public = |path: &str| match source {
        Source::Directory(dir) => private_files::needs_look(path) && has_public_text(dir, path),
        // The scan of an archive has read the content.
        Source::Archive(_) => false,
    };
    let private = seen.private(&payload, is_public);
    let mut warnings: Vec<String> = private_files::warning(&private, &release.exclude)
        .into_iter()
        .collect();
    warnings.extend(not_copied.warnings());
    if payload.files() == 0 {
        let refused = HintedError::new(
            format!("the source `{}` is empty", source.path().display()),
            "build the application first, or check `release.exclude`",
        );
        return Err(refused.into());
    }
    let (source_digest, checked) = join(|| payload.source_digest(), || check_links(&payload));
    checked?;
    let is_hashed = matches!(source, Source::Archive(_));
    let mut scanned = ScannedSource::new(payload, source_digest, is_hashed, started_ns, warnings);
    scanned.private = private.into_iter().map(|file| file.path).collect();
    Ok(scanned)
}

/// Whether the content of a file shows that it is not private. An error is left to the step that copies
/// the file.
fn has_public_text(dir: &Path, path: &str) -> bool {
    let read = || -> Result<bool> {
        let mut text = Vec::new();
        let mut file = Dir::open_source(dir)?.read(path)?;
        file.by_ref().take(MAX_READ_BYTES).read_to_end(&mut text)?;
        let is_whole = file.read(&mut [0])? == 0;
        Ok(private_files::is_public_text(path, &text, is_whole))
    };
    read().unwrap_or(false)
}

/// How many bytes of a source can be in holes. Each of them is hashed, at some gigabytes in a second.
const MAX_HOLE_BYTES: u64 = 16 * 1024 * 1024 * 1024;

fn scan_directory(
    dir: &Path,
    exclude: &Exclude,
    only: Option<&Payload>,
) -> Result<(Payload, SeenFiles, NotCopied)> {
    let only: Option<BTreeSet<&Path>> = only.map(|payload| {
        let items = payload.items.iter();
        items.map(|item| Path::new(&item.path)).collect()
    });
    let seen = Mutex::new(SeenFiles::default());
    let not_copied = Mutex::new(NotCopied::default());
    let top = Dir::open_source(dir)?;
    let all_holes = AtomicU64::new(0);
    let keep = |path: &Path, is_dir: bool| {
        let is_listed = only.as_ref().is_none_or(|only| only.contains(path));
        is_listed && !exclude.excludes(path, is_dir)
    };
    let make = |path: &Path, entry: WalkedEntry| {
        let path = check_name(path)?;
        if matches!(entry, WalkedEntry::Dir { .. } | WalkedEntry::File { .. }) {
            let found = attributes(&dir.join(&path));
            if found != Attributes::default()
                && let Ok(mut not_copied) = not_copied.lock()
            {
                not_copied.add(&path, found);
            }
        }
        let (kind, source) = match entry {
            WalkedEntry::Dir { mode } => {
                if let Ok(mut seen) = seen.lock() {
                    seen.add_dir(&path, mode);
                }
                (Kind::Dir, None)
            }
            WalkedEntry::Link(target) => (Kind::Link(check_target(&path, &target)?), None),
            WalkedEntry::File {
                mode,
                len,
                may_be_sparse,
                stat,
            } => {
                check_mode(&path, mode)?;
                if may_be_sparse {
                    let holes = top.hole_bytes(&path)?;
                    let before = all_holes.fetch_add(holes, Ordering::Relaxed);
                    if before.saturating_add(holes) > MAX_HOLE_BYTES {
                        return Err(too_many_holes(&path, len, holes, MAX_HOLE_BYTES).into());
                    }
                }
                if let Ok(mut seen) = seen.lock() {
                    seen.add_file(&path, mode);
                }
                let kind = Kind::File {
                    hash: ContentHash::default(),
                    exec: mode & 0o111 != 0,
                    len,
                };
                (kind, Some(stat))
            }
            WalkedEntry::Pipe => return Err(special_file(&path, "socket or pipe").into()),
            WalkedEntry::Device => return Err(special_file(&path, "device").into()),
        };
        let mut item = Item::new(path, kind);
        item.fingerprints.source = source;
        Ok(item)
    };
    let items = walk(dir, keep, make, |item: &Item| &item.path)?;
    Ok((
        Payload::new(items),
        seen.into_inner().unwrap_or_default(),
        not_copied.into_inner().unwrap_or_default(),
    ))
}
