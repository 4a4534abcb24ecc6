//! Archives: `.tar`, alone or compressed. The same rules apply to their members as to the files of a
//! directory.

use super::base::BaseTree;
use super::checks::{check_mode, check_name, source_changed, special_file};
use super::copy::{Attributes, BUFFER_BYTES, Dir};
use super::exclude::Exclude;
use super::not_copied::NotCopied;
use super::private_files::{MAX_READ_BYTES, SeenFiles, needs_look};
use super::progress::{COPY_COST_BYTES, Counter, LINK_COST_BYTES};
use super::scanned::ScannedSource;
use super::zstd::Zstd;
use crate::error::HintedError;
use crate::host::files;
use crate::payload::links::check_target;
use crate::payload::{ContentHash, Item, Kind, Payload};
use anyhow::Result;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use tar::EntryType;

/// The most memory that decoding an `.xz` may take. `xz -9` needs 64 MiB.
const MAX_XZ_MEMORY_KIB: u32 = 128 * 1024;

/// The most bytes that the headers of one member may take: its name, link target and extended
/// attributes. They are held in memory, and a small compressed archive can hold huge ones.
const MAX_HEADER_BYTES: u64 = 1024 * 1024;

/// The longest text that [`text_in_archive`] reads.
const MAX_TEXT_BYTES: u64 = 1024 * 1024;

/// The error for an archive that cannot be decoded. Each decoder words its own errors differently,
/// and none helps, so they are left out.
fn damaged(path: &Path) -> anyhow::Error {
    let refused = HintedError::new(
        format!(
            "the archive `{}` is damaged, truncated, or not of the type that its name says",
            path.display()
        ),
        "create it again, for example: `tar --create --auto-compress --file app.tar.zst -C DIR .`",
    );
    refused.into()
}

fn headers_too_long(path: &Path) -> anyhow::Error {
    let refused = HintedError::new(
        format!(
            "a member of the archive `{}` has headers of more than 1 MiB",
            path.display()
        ),
        "create the archive again without extended attributes: `tar --format=gnu -C DIR -cf app.tar .`",
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
        Box::new(Zstd::new(file).map_err(|_| damaged(path))?)
    } else if name.ends_with("xz") {
        Box::new(lzma_rust2::XzReader::new_mem_limit(
            file,
            true,
            MAX_XZ_MEMORY_KIB,
        ))
    } else {
        Box::new(file)
    })
}

/// A stream with a limit that the owner of `left` can raise.
struct LimitedReader {
    stream: Box<dyn Read>,
    /// How many bytes may still be read.
    left: Rc<Cell<u64>>,
}

impl Read for LimitedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(std::io::Error::other("the limit is reached"));
        }
        let max = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self
            .stream
            .read(buffer.get_mut(..max).unwrap_or_default())?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

/// Calls `visit` for every member that `keep` accepts, with its path as text. `keep` gets the path,
/// and whether the member is a directory.
fn for_each_member(
    path: &Path,
    keep: impl FnMut(&Path, bool) -> bool,
    mut visit: impl FnMut(String, EntryType, &mut tar::Entry<'_, LimitedReader>) -> Result<()>,
) -> Result<()> {
    visit_members(path, keep, |name, kind, entry| {
        visit(name, kind, entry).map(ControlFlow::Continue)
    })
}

/// The same until `visit` breaks.
fn visit_members(
    path: &Path,
    mut keep: impl FnMut(&Path, bool) -> bool,
    mut visit: impl FnMut(
        String,
        EntryType,
        &mut tar::Entry<'_, LimitedReader>,
    ) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let left = Rc::new(Cell::new(u64::MAX));
    let failed = |_: std::io::Error| match left.get() {
        0 => headers_too_long(path),
        _ => damaged(path),
    };
    let mut archive = tar::Archive::new(LimitedReader {
        stream: open(path)?,
        left: Rc::clone(&left),
    });
    let mut entries = archive.entries().map_err(failed)?;
    let mut member_bytes = 0;
    loop {
        // The unread rest of the last member comes before the headers of the next one.
        let unread = left.get().saturating_sub(u64::MAX - member_bytes);
        left.set(MAX_HEADER_BYTES.saturating_add(unread));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(failed)?;
        let kind = entry.header().entry_type();
        // The size of a sparse member counts its holes, which are not in the archive.
        member_bytes = if kind.is_gnu_sparse() {
            entry.header().entry_size().map_err(failed)?
        } else {
            entry.size()
        };
        left.set(u64::MAX);
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        let name = entry.path().map_err(failed)?.into_owned();
        let mut plain = PathBuf::new();
        for part in name.components() {
            match part {
                Component::Normal(part) => plain.push(part),
                Component::CurDir => {}
                Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                    let refused = HintedError::new(
                        format!(
                            "the archive's member `{}` leads out of the release",
                            name.display()
                        ),
                        "create the archive again from inside the directory: `tar -C DIR -cf app.tar .`",
                    );
                    return Err(refused.into());
                }
            }
        }
        if plain.as_os_str().is_empty() || !keep(&plain, kind.is_dir()) {
            continue;
        }
        if visit(check_name(&plain)?, kind, &mut entry)?.is_break() {
            return Ok(());
        }
    }
    left.set(u64::MAX);
    // Read to the end, where a compressed archive has its checksum.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(failed)?;
    Ok(())
}

/// The text of a file at the top of an archive; `None` if the archive has no such member. Reads the archive
/// up to that member.
///
/// # Errors
/// When the archive is damaged, or the member is not a text file of at most 1 MiB.
pub fn text_in_archive(path: &Path, wanted: &str) -> Result<Option<String>> {
    let mut found = None;
    visit_members(
        path,
        |path, _| path == Path::new(wanted),
        |_, kind, entry| {
            found = Some(text_of(path, wanted, kind, entry)?);
            Ok(ControlFlow::Break(()))
        },
    )?;
    Ok(found)
}

fn text_of(
    path: &Path,
    name: &str,
    kind: EntryType,
    entry: &mut tar::Entry<'_, LimitedReader>,
) -> Result<String> {
    let refuse = |what: &str| -> anyhow::Error {
        HintedError::new(
            format!("`{name}` in the archive `{}` {what}", path.display()),
            "replace it in the archive, or name the manifest with `--manifest FILE`",
        )
        .into()
    };
    if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
        return Err(refuse("is not a regular file"));
    }
    let len = entry.size();
    if len > MAX_TEXT_BYTES {
        return Err(refuse("is larger than 1 MiB"));
    }
    let mut bytes = Vec::new();
    let read = entry.read_to_end(&mut bytes);
    if read.is_err() || bytes.len() as u64 != len {
        return Err(damaged(path));
    }
    String::from_utf8(bytes).map_err(|_| refuse("is not text in UTF-8"))
}

/// Lists what the release would hold, and hashes the files.
pub(super) fn scan(path: &Path, exclude: &Exclude) -> Result<(Payload, SeenFiles, NotCopied)> {
    let mut seen = SeenFiles::default();
    let mut not_copied = NotCopied::default();
    let mut found: BTreeMap<String, Kind> = BTreeMap::new();
    for_each_member(
        path,
        |path, is_dir| !exclude.excludes_with_parents(path, is_dir),
        |name, kind, entry| {
            let mode = entry.header().mode().unwrap_or(0o644);
            let headers = extended_headers(entry).ok_or_else(|| damaged(path))?;
            not_copied.add(&name, headers.attributes);
            let item = match kind {
                _ if headers.is_sparse => {
                    let name = headers.real_name.unwrap_or(name);
                    return Err(sparse_member(&name).into());
                }
                EntryType::Directory => {
                    seen.add_dir(&name, mode);
                    Kind::Dir
                }
                EntryType::Regular | EntryType::Continuous => {
                    check_mode(&name, mode)?;
                    seen.add_file(&name, mode);
                    let len = entry.size();
                    let hash = hash_member(&name, entry, &mut seen);
                    Kind::File {
                        hash: hash.ok_or_else(|| damaged(path))?,
                        exec: mode & 0o111 != 0,
                        len,
                    }
                }
                EntryType::Symlink => {
                    let target = entry.link_name()?.unwrap_or_default();
                    Kind::Link(check_target(&name, &target)?)
                }
                EntryType::Link => {
                    let target = entry.link_name()?.unwrap_or_default();
                    let target = check_name(target.strip_prefix("./").unwrap_or(&target))?;
                    match found.get(&target) {
                        Some(kind @ Kind::File { .. }) => {
                            seen.add_file(&name, mode);
                            seen.add_same_text(&name, &target);
                            kind.clone()
                        }
                        _ => {
                            let refused = HintedError::new(
                                format!(
                                    "the archive's member `{name}` is a hard link to `{target}`, which is not in the archive before it"
                                ),
                                "create the archive again from the whole directory",
                            );
                            return Err(refused.into());
                        }
                    }
                }
                EntryType::GNUSparse => return Err(sparse_member(&name).into()),
                _ => return Err(special_file(&name, "device, pipe or other special file").into()),
            };
            add_parents(&name, &mut found)?;
            match (found.get(&name), &item) {
                (None, _) | (Some(Kind::Dir), Kind::Dir) => {}
                _ => {
                    let refused = HintedError::new(
                        format!("the archive holds `{name}` twice"),
                        "create the archive again; `tar --append` and `tar --update` leave the old member in it",
                    );
                    return Err(refused.into());
                }
            }
            found.insert(name, item);
            Ok(())
        },
    )?;
    let items = found.into_iter().map(|(path, kind)| Item::new(path, kind));
    Ok((Payload::new(items.collect()), seen, not_copied))
}

/// A few bytes of an archive can stand for a petabyte.
fn sparse_member(name: &str) -> HintedError {
    HintedError::new(
        format!("the archive's member `{name}` is a sparse file"),
        "create the archive again without `--sparse`",
    )
}

/// What the extended headers of a member say, as tar(1) and bsdtar(1) write them.
#[derive(Debug, Default)]
struct ExtendedHeaders {
    attributes: Attributes,
    /// Whether the content begins with a list of the parts that have data.
    is_sparse: bool,
    /// The name of such a member, which has another one for programs that do not know the list.
    real_name: Option<String>,
}

/// `None` if the archive is damaged.
fn extended_headers(entry: &mut tar::Entry<'_, LimitedReader>) -> Option<ExtendedHeaders> {
    let mut found = ExtendedHeaders::default();
    for header in entry.pax_extensions().ok()?.into_iter().flatten() {
        let header = header.ok()?;
        let key = header.key_bytes();
        found.attributes.capabilities |= key == b"SCHILY.xattr.security.capability";
        found.attributes.acl |=
            key.starts_with(b"SCHILY.acl.") || key.starts_with(b"SCHILY.xattr.system.posix_acl_");
        found.is_sparse |= key.starts_with(b"GNU.sparse.");
        if key == b"GNU.sparse.name" {
            found.real_name = header.value().ok().map(str::to_owned);
        }
    }
    Some(found)
}

/// The hash of a member, or `None` if the archive is damaged. Looks at the content on the way.
fn hash_member(
    name: &str,
    entry: &mut tar::Entry<'_, LimitedReader>,
    seen: &mut SeenFiles,
) -> Option<ContentHash> {
    let len = entry.size();
    let mut hasher = blake3::Hasher::new();
    if needs_look(name) {
        let mut text = Vec::new();
        let mut start = entry.by_ref().take(MAX_READ_BYTES);
        start.read_to_end(&mut text).ok()?;
        hasher.update(&text);
        seen.add_text(name, &text, text.len() as u64 == len);
    }
    hasher.update_reader(entry).ok()?;
    (hasher.count() == len).then(|| hasher.finalize().into())
}

/// Adds the directories above a member. An archive need not name them. Nothing but a directory may
/// be there: below a link, the member would be written elsewhere.
fn add_parents(name: &str, found: &mut BTreeMap<String, Kind>) -> Result<()> {
    let mut rest = name;
    while let Some((parent, _)) = rest.rsplit_once('/') {
        match found.get(parent) {
            None => drop(found.insert(parent.to_owned(), Kind::Dir)),
            Some(Kind::Dir) => {}
            Some(_) => {
                let refused = HintedError::new(
                    format!("the archive has `{name}` below `{parent}`, which is not a directory"),
                    "create the archive again from one directory",
                );
                return Err(refused.into());
            }
        }
        rest = parent;
    }
    Ok(())
}

/// Links the files that the live release has, and writes the others from the archive.
pub(super) fn unpack(
    path: &Path,
    scanned: &mut ScannedSource,
    base: Option<&BaseTree<'_>>,
    to: &Dir,
    counter: &Counter<'_>,
) -> Result<()> {
    let base = base.and_then(|base| base.subdir("", to));
    let mut missing = BTreeMap::new();
    for at in 0..scanned.payload.items.len() {
        let Some(item) = scanned.payload.items.get(at) else {
            continue;
        };
        let Kind::File { len, .. } = item.kind else {
            continue;
        };
        if let Some(installed) = base.as_ref().and_then(|base| base.link(at, item)) {
            scanned.set_installed(at, installed);
            counter.add(1, len, LINK_COST_BYTES);
        } else {
            missing.insert(item.path.clone(), at);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    let changed = || {
        let message = format!("`{}` changed while it was read", path.display());
        anyhow::Error::new(source_changed(message))
    };
    let wanted = missing.clone();
    for_each_member(
        path,
        |path, _| path.to_str().is_some_and(|path| wanted.contains_key(path)),
        |name, kind, entry| {
            let at = *wanted.get(&name).ok_or_else(changed)?;
            let item = scanned.payload.items.get(at).ok_or_else(changed)?;
            let Kind::File { hash, len, .. } = item.kind else {
                return Ok(());
            };
            let mode = item.mode();
            let (written, installed) = if kind == EntryType::Link {
                let first = entry.link_name()?.unwrap_or_default();
                let first = check_name(first.strip_prefix("./").unwrap_or(&first))?;
                let first = to.read(&first).map_err(|_| changed())?;
                to.write(first, &name, mode, &mut buffer)?
            } else {
                to.write(entry, &name, mode, &mut buffer)?
            };
            if written != hash {
                return Err(changed());
            }
            scanned.set_installed(at, installed);
            missing.remove(&name);
            counter.add(1, len, COPY_COST_BYTES + len);
            Ok(())
        },
    )?;
    if !missing.is_empty() {
        return Err(changed());
    }
    Ok(())
}
