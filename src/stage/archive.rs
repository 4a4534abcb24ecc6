//! A release from an archive. The same rules apply to the members as to the files of a directory, and what an
//! archive may hold is bounded before any of it is kept.

use super::base::BaseTree;
use super::checks::{check_length, check_mode, check_name, source_changed, special_file};
use super::copy::{Attributes, BUFFER_BYTES, Dir};
use super::exclude::Exclude;
use super::not_copied::NotCopied;
use super::private_files::{MAX_READ_BYTES, SeenFiles, needs_look};
use super::progress::{COPY_COST_BYTES, Counter, LINK_COST_BYTES};
use super::scanned::ScannedSource;
use crate::archive::{ArchiveFile, Member, MemberKind, Members};
use crate::error::HintedError;
use crate::payload::links::check_target;
use crate::payload::{ContentHash, Item, Kind, Payload};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The longest text that [`text_in_archive`] reads.
const MAX_TEXT_BYTES: u64 = 1024 * 1024;

/// How many bytes of memory the list of an archive's files may take.
const MAX_LIST_BYTES: usize = 64 * 1024 * 1024;
/// What one file takes there besides its name, in bytes.
const ITEM_BYTES: usize = 2 * size_of::<Item>();

/// The most members of an archive, those that are left out included.
const MAX_MEMBERS: u32 = 1_000_000;

fn too_many_members() -> HintedError {
    HintedError::new(
        format!("the archive has more than {MAX_MEMBERS} members"),
        "leave out what the application does not need, or deploy a directory, which has no such limit",
    )
}

/// The path of a member inside the release, empty for its top.
///
/// # Errors
/// When it leads out of the release.
fn path_of(member: &Member) -> Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in member.name.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                let refused = HintedError::new(
                    format!(
                        "the archive's member `{}` leads out of the release",
                        member.name.display()
                    ),
                    "create the archive again from inside the directory: `tar -C DIR -cf app.tar .`",
                );
                return Err(refused.into());
            }
        }
    }
    Ok(plain)
}

/// The path in the release that a hard link names.
fn hard_link_target(member: &Member) -> Result<String, HintedError> {
    let target = &member.target;
    check_name(target.strip_prefix("./").unwrap_or(target))
}

/// The text of a file at the top of an archive; `None` if the archive has no such member. Reads the archive
/// up to that member.
///
/// # Errors
/// When the archive is damaged, or the member is not a text file of at most 1 MiB.
pub fn text_in_archive(archive: &ArchiveFile, wanted: &str) -> Result<Option<String>> {
    let mut members = Members::of(archive)?;
    while let Some(member) = members.next_member()? {
        if path_of(&member)? == Path::new(wanted) {
            return text_of(archive.path(), wanted, &member, &mut members).map(Some);
        }
    }
    Ok(None)
}

fn text_of(path: &Path, name: &str, member: &Member, members: &mut Members) -> Result<String> {
    let refuse = |what: &str| -> anyhow::Error {
        HintedError::new(
            format!("`{name}` in the archive `{}` {what}", path.display()),
            "replace it in the archive, or name the manifest with `--manifest FILE`",
        )
        .into()
    };
    if member.kind != MemberKind::File {
        return Err(refuse("is not a regular file"));
    }
    if member.len > MAX_TEXT_BYTES {
        return Err(refuse("is larger than 1 MiB"));
    }
    let mut bytes = Vec::new();
    let read = members.read_to_end(&mut bytes);
    if read.is_err() || bytes.len() as u64 != member.len {
        return Err(members.ended());
    }
    String::from_utf8(bytes).map_err(|_| refuse("is not text in UTF-8"))
}

/// The files of an archive, in a bounded amount of memory.
struct List {
    found: BTreeMap<String, Kind>,
    /// Hard links to members that are left out, with these members. Their content is read in a second pass.
    unread: BTreeMap<String, String>,
    left_bytes: usize,
}

impl List {
    fn new() -> Self {
        Self {
            found: BTreeMap::new(),
            unread: BTreeMap::new(),
            left_bytes: MAX_LIST_BYTES,
        }
    }

    /// Adds an item that is not there yet.
    fn add(&mut self, name: String, kind: Kind) -> Result<()> {
        let text = match &kind {
            Kind::Link(target) => target.len(),
            Kind::Dir | Kind::File { .. } => 0,
        };
        // What looks private has its name in another list as well.
        self.take(ITEM_BYTES + 2 * name.len() + text)?;
        self.found.insert(name, kind);
        Ok(())
    }

    /// Adds a hard link to a member that is left out. It is a file of the release, like any other.
    fn add_unread(&mut self, name: &str, target: String) -> Result<()> {
        self.take(name.len() + target.len())?;
        self.unread.insert(name.to_owned(), target);
        Ok(())
    }

    /// Counts memory.
    fn take(&mut self, bytes: usize) -> Result<()> {
        let Some(left) = self.left_bytes.checked_sub(bytes) else {
            let refused = HintedError::new(
                "the archive has more files than a list of 64 MiB can hold",
                "leave out what the application does not need, or deploy a directory, which has no such limit",
            );
            return Err(refused.into());
        };
        self.left_bytes = left;
        Ok(())
    }

    /// Adds the directories above a member. An archive need not name them. Nothing but a directory may
    /// be there: below a link, the member would be written elsewhere.
    fn add_parents(&mut self, name: &str) -> Result<()> {
        let mut rest = name;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            match self.found.get(parent) {
                None => self.add(parent.to_owned(), Kind::Dir)?,
                // Those above it are there as well.
                Some(Kind::Dir) => break,
                Some(_) => {
                    let refused = HintedError::new(
                        format!(
                            "the archive has `{name}` below `{parent}`, which is not a directory"
                        ),
                        "create the archive again from one directory",
                    );
                    return Err(refused.into());
                }
            }
            rest = parent;
        }
        Ok(())
    }
}

/// Lists what the release would hold, and hashes the files.
pub(super) fn scan(
    archive: &ArchiveFile,
    exclude: &Exclude,
) -> Result<(Payload, SeenFiles, NotCopied)> {
    let mut seen = SeenFiles::default();
    let mut not_copied = NotCopied::default();
    let mut list = List::new();
    let mut members = Members::of(archive)?;
    let mut left_members = MAX_MEMBERS;
    // Most members are in the same directory as the member before.
    let mut last_dir = (PathBuf::new(), false);
    while let Some(member) = members.next_member()? {
        left_members = left_members.checked_sub(1).ok_or_else(too_many_members)?;
        let plain = path_of(&member)?;
        let is_dir = member.kind == MemberKind::Dir;
        let Some(dir) = plain.parent() else { continue };
        check_length(&plain)?;
        if last_dir.0 != dir {
            last_dir = (dir.to_owned(), exclude.excludes_directory(dir));
        }
        if last_dir.1 || exclude.excludes(&plain, is_dir) {
            continue;
        }
        let name = check_name(&plain)?;
        if is_dir && list.found.get(&name) == Some(&Kind::Dir) {
            // Each further member of the directory would be one more line in the lists below.
            continue;
        }
        let attributes = Attributes {
            capabilities: member.has_capabilities,
            acl: member.has_acl,
        };
        not_copied.add(&name, attributes);
        let kind = match target_left_out(&member, &list, exclude)? {
            Some(target) => {
                list.add_unread(&name, target)?;
                UNREAD
            }
            None => kind_of(&name, &member, &mut members, &list, &mut seen)?,
        };
        list.add_parents(&name)?;
        match list.found.get(&name) {
            None => list.add(name, kind)?,
            Some(_) => {
                let refused = HintedError::new(
                    format!("the archive holds `{name}` twice"),
                    "create the archive again; `tar --append` and `tar --update` leave the old member in it",
                );
                return Err(refused.into());
            }
        }
    }
    if !list.unread.is_empty() {
        read_left_out(archive, &mut list, &mut seen)?;
    }
    let items = list.found.into_iter();
    let items = items.map(|(path, kind)| Item::new(path, kind));
    Ok((Payload::new(items.collect()), seen, not_copied))
}

/// What a hard link is until its content is read.
const UNREAD: Kind = Kind::File {
    hash: ContentHash::UNKNOWN,
    exec: false,
    len: 0,
};

/// The member with the content of a hard link, if that member is left out.
fn target_left_out(member: &Member, list: &List, exclude: &Exclude) -> Result<Option<String>> {
    if member.kind != MemberKind::HardLink {
        return Ok(None);
    }
    let target = hard_link_target(member)?;
    if let Some(first) = list.unread.get(&target) {
        return Ok(Some(first.clone()));
    }
    let path = Path::new(&target);
    let is_left_out = !list.found.contains_key(&target)
        && (exclude.excludes(path, false)
            || path
                .parent()
                .is_some_and(|dir| exclude.excludes_directory(dir)));
    Ok(is_left_out.then_some(target))
}

/// Reads the members that are left out and that hard links of the release name: the links get their content.
fn read_left_out(archive: &ArchiveFile, list: &mut List, seen: &mut SeenFiles) -> Result<()> {
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, target) in &list.unread {
        links.entry(target.clone()).or_default().push(name.clone());
    }
    let mut members = Members::of(archive)?;
    while let Some(member) = members.next_member()? {
        if member.kind != MemberKind::File {
            continue;
        }
        let plain = path_of(&member)?;
        let Some((_, names)) = plain.to_str().and_then(|name| links.remove_entry(name)) else {
            continue;
        };
        let Some((first, others)) = names.split_first() else {
            continue;
        };
        let kind = kind_of(first, &member, &mut members, list, seen)?;
        for name in others {
            seen.add_file(name, member.mode);
            seen.add_same_text(name, first);
        }
        for name in names {
            list.found.insert(name, kind.clone());
        }
    }
    match links.pop_first() {
        None => Ok(()),
        Some((target, names)) => {
            Err(no_target(names.first().map_or("", String::as_str), &target).into())
        }
    }
}

/// Refuses a hard link to nothing.
fn no_target(name: &str, target: &str) -> HintedError {
    HintedError::new(
        format!(
            "the archive's member `{name}` is a hard link to `{target}`, which is not in the archive before it"
        ),
        "create the archive again from the whole directory",
    )
}

/// What a member is. Reads the content of a file.
fn kind_of(
    name: &str,
    member: &Member,
    members: &mut Members,
    list: &List,
    seen: &mut SeenFiles,
) -> Result<Kind> {
    match member.kind {
        MemberKind::Dir => {
            seen.add_dir(name, member.mode);
            Ok(Kind::Dir)
        }
        MemberKind::File => {
            check_mode(name, member.mode)?;
            seen.add_file(name, member.mode);
            let hash = hash_member(name, member.len, members, seen);
            Ok(Kind::File {
                hash: hash.ok_or_else(|| members.ended())?,
                exec: member.mode & 0o111 != 0,
                len: member.len,
            })
        }
        MemberKind::Symlink => Ok(Kind::Link(check_target(name, &member.target)?)),
        MemberKind::HardLink => {
            let target = hard_link_target(member)?;
            match list.found.get(&target) {
                Some(Kind::Link(leads_to)) => {
                    Ok(Kind::Link(check_target(name, Path::new(leads_to))?))
                }
                Some(kind @ Kind::File { .. }) => {
                    seen.add_file(name, member.mode);
                    seen.add_same_text(name, &target);
                    Ok(kind.clone())
                }
                _ => Err(no_target(name, &target).into()),
            }
        }
        MemberKind::Sparse => {
            // A few bytes can stand for a petabyte.
            let refused = HintedError::new(
                format!("the archive's member `{name}` is a sparse file"),
                "create the archive again without `--sparse`; bsdtar needs `--no-read-sparse`",
            );
            Err(refused.into())
        }
        MemberKind::Special => Err(special_file(name, "device, pipe or other special file").into()),
    }
}

/// The hash of a member of `len` bytes, or `None` if the archive is damaged. Looks at the content on the way.
fn hash_member(
    name: &str,
    len: u64,
    members: &mut Members,
    seen: &mut SeenFiles,
) -> Option<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    if needs_look(name) {
        let mut text = Vec::new();
        let mut start = members.by_ref().take(MAX_READ_BYTES);
        start.read_to_end(&mut text).ok()?;
        hasher.update(&text);
        seen.add_text(name, &text, text.len() as u64 == len);
    }
    hasher.update_reader(members).ok()?;
    (hasher.count() == len).then(|| hasher.finalize().into())
}

/// Links the files that the live release has, and writes the others from the archive.
pub(super) fn unpack(
    archive: &ArchiveFile,
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
    let mut unpacking = Unpacking {
        archive,
        scanned,
        to,
        counter,
        buffer: vec![0; BUFFER_BYTES],
    };
    let mut late = Vec::new();
    let mut members = Members::of(archive)?;
    while let Some(member) = members.next_member()? {
        let plain = path_of(&member)?;
        let Some((name, at)) = plain.to_str().and_then(|name| missing.remove_entry(name)) else {
            continue;
        };
        match member.kind {
            MemberKind::File => unpacking.write(&mut members, &name, at)?,
            MemberKind::HardLink => {
                let target = hard_link_target(&member)?;
                match to.read(&target) {
                    Ok(first) => unpacking.write(first, &name, at)?,
                    // That member is left out, or waits for one that is.
                    Err(_) => late.push(LateLink { name, at, target }),
                }
            }
            _ => return Err(unpacking.changed()),
        }
    }
    if !missing.is_empty() {
        return Err(unpacking.changed());
    }
    unpacking.write_late(late)
}

/// A hard link whose content comes from a member that is left out.
struct LateLink {
    name: String,
    /// Its place in the payload.
    at: usize,
    target: String,
}

/// Writing the files of an archive.
struct Unpacking<'u> {
    archive: &'u ArchiveFile,
    scanned: &'u mut ScannedSource,
    to: &'u Dir,
    counter: &'u Counter<'u>,
    buffer: Vec<u8>,
}

impl Unpacking<'_> {
    fn changed(&self) -> anyhow::Error {
        let path = self.archive.path().display();
        source_changed(format!("`{path}` changed while it was read")).into()
    }

    /// Writes a file of the payload, and checks that it has the content that the scan has seen.
    fn write(&mut self, from: impl Read, name: &str, at: usize) -> Result<()> {
        let item = self.scanned.payload.items.get(at);
        let item = item.ok_or_else(|| self.changed())?;
        let Kind::File { hash, len, .. } = item.kind else {
            return Err(self.changed());
        };
        let (written, installed) = self.to.write(from, name, item.mode(), &mut self.buffer)?;
        if written != hash {
            return Err(self.changed());
        }
        self.scanned.set_installed(at, installed);
        self.counter.add(1, len, COPY_COST_BYTES + len);
        Ok(())
    }

    /// Writes the links whose content comes from members that are left out, in the order of the archive.
    fn write_late(&mut self, mut late: Vec<LateLink>) -> Result<()> {
        if late.is_empty() {
            return Ok(());
        }
        let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
        for (place, link) in late.iter().enumerate() {
            wanted.entry(link.target.clone()).or_insert(place);
        }
        let mut written = BTreeSet::new();
        let mut firsts = BTreeMap::new();
        let mut members = Members::of(self.archive)?;
        while let Some(member) = members.next_member()? {
            let plain = path_of(&member)?;
            if member.kind == MemberKind::File
                && let Some((target, place)) =
                    plain.to_str().and_then(|name| wanted.remove_entry(name))
                && let Some(link) = late.get(place)
            {
                self.write(&mut members, &link.name, link.at)?;
                written.insert(place);
                firsts.insert(target, link.name.clone());
            }
        }
        let mut place = 0..;
        late.retain(|_| place.next().is_some_and(|place| !written.contains(&place)));
        for link in late {
            let first = firsts.get(&link.target).unwrap_or(&link.target);
            let from = self.to.read(first).map_err(|_| self.changed())?;
            self.write(from, &link.name, link.at)?;
        }
        Ok(())
    }
}
