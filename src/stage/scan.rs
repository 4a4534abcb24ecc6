//! Listing what a release would hold. The plan and the deploy use the same scan.

use super::archive;
use super::checks::{check_mode, check_name, special_file};
use super::copy::{WalkedEntry, walk};
use super::exclude::Exclude;
use super::scanned::ScannedSource;
use super::source::Source;
use crate::app::Release;
use crate::error::HintedError;
use crate::host;
use crate::parallel::join;
use crate::payload::links::{check_links, check_target};
use crate::payload::{ContentHash, Item, Kind, Payload};
use anyhow::Result;
use std::path::Path;

/// Lists everything that the release would hold, without the excluded files. Files of a directory
/// are not read; those of an archive are.
///
/// # Errors
/// A [`HintedError`] if the source is empty or holds something that a release must not.
pub fn scan(source: &Source, release: &Release) -> Result<ScannedSource> {
    let exclude = Exclude::new(release)?;
    let started_ns = host::nanoseconds();
    let payload = match source {
        Source::Directory(dir) => scan_directory(dir, &exclude)?,
        Source::Archive(file) => archive::scan(file, &exclude)?,
    };
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
    Ok(ScannedSource::new(
        payload,
        source_digest,
        is_hashed,
        started_ns,
    ))
}

fn scan_directory(dir: &Path, exclude: &Exclude) -> Result<Payload> {
    let keep = |path: &Path, is_dir: bool| !exclude.excludes(path, is_dir);
    let make = |path: &Path, entry: WalkedEntry| {
        let path = check_name(path)?;
        let (kind, source) = match entry {
            WalkedEntry::Dir => (Kind::Dir, None),
            WalkedEntry::Link(target) => (Kind::Link(check_target(&path, &target)?), None),
            WalkedEntry::File { mode, len, stat } => {
                check_mode(&path, mode)?;
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
    Ok(Payload::new(items))
}
