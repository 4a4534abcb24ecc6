//! Archives: `.tar`, alone or compressed. Members are judged as files of a directory are.

use super::BUFFER;
use super::base::BaseTree;
use super::fill::{COPIED, LINKED, Watch};
use super::links::plain_target;
use super::payload::{Item, Kind, Payload, plain_name};
use super::scan::{Exclude, ScannedSource, changed, no_setuid, special};
use crate::error::HintedError;
use crate::host::copy::Dir;
use crate::host::files;
use anyhow::Result;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Component, Path};
use std::rc::Rc;
use tar::EntryType;

const SUFFIXES: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".txz"];

/// What an `.xz` may make its reader keep, in KiB: `xz -9` wants 64 MiB.
const XZ_KIB: u32 = 128 * 1024;

/// What a member's name, link and extended attributes may take in all. They are kept in memory, and
/// a few bytes of a compressed archive can make many of them.
const HEADERS: u64 = 1024 * 1024;

/// Whether the name says that it is an archive.
pub(super) fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy();
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Why a decoder stopped is of no use to anybody: each has its own words for the same.
fn broken(path: &Path) -> anyhow::Error {
    let refused = HintedError::new(
        format!(
            "the archive `{}` is damaged, cut off, or not what its name says",
            path.display()
        ),
        "make it anew, such as with `tar --create --auto-compress --file app.tar.zst -C DIR .`",
    );
    refused.into()
}

fn too_long(path: &Path) -> anyhow::Error {
    let refused = HintedError::new(
        format!(
            "a member of the archive `{}` has headers of more than 1 MiB",
            path.display()
        ),
        "make the archive anew without extended attributes: `tar --format=gnu -C DIR -cf app.tar .`",
    );
    refused.into()
}

/// The uncompressed stream.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = BufReader::new(files::open_file(path)?);
    let name = path.to_string_lossy();
    Ok(if name.ends_with("gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else if name.ends_with(".zst") {
        Box::new(super::zstd::Zstd::new(file).map_err(|_| broken(path))?)
    } else if name.ends_with("xz") {
        Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_KIB))
    } else {
        Box::new(file)
    })
}

/// A stream of which only so much may be read until somebody allows more.
struct LimitedReader {
    stream: Box<dyn Read>,
    left: Rc<Cell<u64>>,
}

impl Read for LimitedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(std::io::Error::other("more than may be read"));
        }
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self
            .stream
            .read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

/// Calls `par_map` for every member that is not excluded, with its plain path.
fn members(
    path: &Path,
    mut keep: impl FnMut(&Path, bool) -> bool,
    mut par_map: impl FnMut(String, EntryType, &mut tar::Entry<'_, LimitedReader>) -> Result<()>,
) -> Result<()> {
    let left = Rc::new(Cell::new(u64::MAX));
    let torn = |_: std::io::Error| match left.get() {
        0 => too_long(path),
        _ => broken(path),
    };
    let mut archive = tar::Archive::new(LimitedReader {
        stream: open(path)?,
        left: Rc::clone(&left),
    });
    let mut entries = archive.entries().map_err(torn)?;
    let mut last = 0;
    loop {
        // What of the last member was not read is passed over on the way to the next one's headers.
        let unread = left.get().saturating_sub(u64::MAX - last);
        left.set(HEADERS.saturating_add(unread));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(torn)?;
        let kind = entry.header().entry_type();
        // A sparse member is said to be longer than what is there of it.
        last = match kind.is_gnu_sparse() {
            true => entry.header().entry_size().map_err(torn)?,
            false => entry.size(),
        };
        left.set(u64::MAX);
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        let name = entry.path().map_err(torn)?.into_owned();
        let mut plain = std::path::PathBuf::new();
        for part in name.components() {
            match part {
                Component::Normal(part) => plain.push(part),
                Component::CurDir => {}
                Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                    let refused = HintedError::new(
                        format!("the archive's member `{}` leaves the tree", name.display()),
                        "make the archive anew from inside the directory: `tar -C DIR -cf app.tar .`",
                    );
                    return Err(refused.into());
                }
            }
        }
        if plain.as_os_str().is_empty() || !keep(&plain, kind.is_dir()) {
            continue;
        }
        par_map(plain_name(&plain)?, kind, &mut entry)?;
    }
    left.set(u64::MAX);
    // To the very end, where the checksum of a compressed archive is.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(torn)?;
    Ok(())
}

/// What the archive would put into a release.
pub(super) fn scan(path: &Path, exclude: &Exclude) -> Result<Payload> {
    let mut found: BTreeMap<String, Kind> = BTreeMap::new();
    members(
        path,
        |path, is_dir| !exclude.covers(path, is_dir),
        |name, kind, entry| {
            let mode = entry.header().mode().unwrap_or(0o644);
            let item = match kind {
                EntryType::Directory => Kind::Dir,
                EntryType::Regular | EntryType::Continuous => {
                    no_setuid(&name, mode)?;
                    let len = entry.size();
                    let mut hasher = blake3::Hasher::new();
                    hasher.update_reader(entry).map_err(|_| broken(path))?;
                    if hasher.count() != len {
                        return Err(broken(path));
                    }
                    Kind::File {
                        hash: hasher.finalize().into(),
                        exec: mode & 0o111 != 0,
                        len,
                    }
                }
                EntryType::Symlink => {
                    let target = entry.link_name()?.unwrap_or_default();
                    Kind::Link(plain_target(&name, &target)?)
                }
                EntryType::Link => {
                    let target = entry.link_name()?.unwrap_or_default();
                    let target = plain_name(target.strip_prefix("./").unwrap_or(&target))?;
                    match found.get(&target) {
                        Some(kind @ Kind::File { .. }) => kind.clone(),
                        _ => {
                            let refused = HintedError::new(
                                format!(
                                    "the archive's member `{name}` is a link to `{target}`, which is not in it"
                                ),
                                "make the archive anew from the whole directory",
                            );
                            return Err(refused.into());
                        }
                    }
                }
                EntryType::GNUSparse => {
                    // A few bytes can say that they are a petabyte.
                    let refused = HintedError::new(
                        format!("the archive's member `{name}` is a sparse file"),
                        "make the archive anew without `--sparse`",
                    );
                    return Err(refused.into());
                }
                _ => return Err(special(&name, "device, pipe or other special file").into()),
            };
            parents(&name, &mut found)?;
            match (found.get(&name), &item) {
                (None, _) | (Some(Kind::Dir), Kind::Dir) => {}
                _ => {
                    let refused = HintedError::new(
                        format!("the archive holds `{name}` twice"),
                        "make the archive anew; `tar --append` and `--update` leave the old member in it",
                    );
                    return Err(refused.into());
                }
            }
            found.insert(name, item);
            Ok(())
        },
    )?;
    let items = found.into_iter().map(|(path, kind)| Item::new(path, kind));
    Ok(Payload::new(items.collect()))
}

/// Directories that the archive does not name; none may be a link, which would lead elsewhere.
fn parents(name: &str, found: &mut BTreeMap<String, Kind>) -> Result<()> {
    let mut rest = name;
    while let Some((parent, _)) = rest.rsplit_once('/') {
        match found.get(parent) {
            None => drop(found.insert(parent.to_owned(), Kind::Dir)),
            Some(Kind::Dir) => {}
            Some(_) => {
                let refused = HintedError::new(
                    format!(
                        "the archive's member `{name}` lies below `{parent}`, which is no directory"
                    ),
                    "make the archive anew from the directory",
                );
                return Err(refused.into());
            }
        }
        rest = parent;
    }
    Ok(())
}

/// Writes the members that are not in the live release below `to`.
pub(super) fn unpack(
    path: &Path,
    scanned: &mut ScannedSource,
    base: Option<&BaseTree<'_>>,
    to: &Dir,
    watch: &Watch<'_>,
) -> Result<()> {
    let base = base.and_then(|base| base.dir("", to));
    let mut missing = BTreeMap::new();
    for at in 0..scanned.payload.items.len() {
        let Some(item) = scanned.payload.items.get(at) else {
            continue;
        };
        let Kind::File { len, .. } = item.kind else {
            continue;
        };
        if let Some(placed) = base.as_ref().and_then(|base| base.link(at, item)) {
            scanned.placed(at, placed);
            watch.done(1, len, LINKED);
        } else {
            missing.insert(item.path.clone(), at);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut buffer = vec![0; BUFFER];
    let changed = || {
        let message = format!("`{}` changed while it was read", path.display());
        anyhow::Error::new(changed(message))
    };
    let wanted = missing.clone();
    members(
        path,
        |path, _| path.to_str().is_some_and(|path| wanted.contains_key(path)),
        |name, kind, entry| {
            let at = *wanted.get(&name).ok_or_else(changed)?;
            let item = scanned.payload.items.get(at).ok_or_else(changed)?;
            let Kind::File { hash, len, .. } = item.kind else {
                return Ok(());
            };
            let mode = item.mode();
            let (digest, _, placed) = if kind == EntryType::Link {
                let first = entry.link_name()?.unwrap_or_default();
                let first = plain_name(first.strip_prefix("./").unwrap_or(&first))?;
                let first = to.read(&first).map_err(|_| changed())?;
                to.write(first, &name, mode, &mut buffer)?
            } else {
                to.write(entry, &name, mode, &mut buffer)?
            };
            if digest != hash {
                return Err(changed());
            }
            scanned.placed(at, placed);
            missing.remove(&name);
            watch.done(1, len, COPIED + len);
            Ok(())
        },
    )?;
    if !missing.is_empty() {
        return Err(changed());
    }
    Ok(())
}
