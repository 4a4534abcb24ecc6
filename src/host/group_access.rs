//! Which groups can enter a directory: its own group, and others in its access control list (acl(5)).

use super::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{
    Gid, Mode, OFlags, Uid, XattrFlags, fchmod, fchown, fgetxattr, fremovexattr, fsetxattr, fstat,
    open,
};
use rustix::io::{Errno, retry_on_intr};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The extended attribute of a list, and the version of its format (acl(5),
/// `linux/posix_acl_xattr.h`).
const ATTRIBUTE: &str = "system.posix_acl_access";
const VERSION: u32 = 2;

/// What an entry of a list is about (`linux/posix_acl.h`).
const OWNER: u16 = 0x01;
const OWN_GROUP: u16 = 0x04;
const OTHER_GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;
/// The id of an entry that needs none.
const NO_ID: u32 = u32::MAX;

/// The permissions of an entry.
const ALL: u16 = 0o7;
const READ_AND_ENTER: u16 = 0o5;
const NONE: u16 = 0o0;

/// The mode that stands for the same.
const MODE: u32 = 0o750;

impl Root {
    /// Gives a directory to root. Its group is `group`, its mode 0750, and the groups `others` can read
    /// and enter it as well. No group that could enter before and can enter afterwards is locked out in
    /// between, also when this is interrupted.
    ///
    /// # Errors
    /// The operating system's, with the path. `EOPNOTSUPP` ([`is_without_lists`]) if `others` is not empty
    /// and the file system has no access control lists; nothing is changed then.
    pub fn set_readers(&self, path: &str, group: u32, others: &[u32]) -> Result<()> {
        let real = self.path(path);
        let set = || -> Result<(), Errno> {
            let dir = open_dir(&real)?;
            if is_set(&dir, group, others)? {
                return Ok(());
            }
            if others.is_empty() {
                fchown(&dir, Some(Uid::ROOT), Some(Gid::from_raw(group)))?;
                remove_list(&dir)?;
                return fchmod(&dir, Mode::from_raw_mode(MODE));
            }
            // The next call changes which group the directory has, so that group is in the list until then.
            let all: Vec<u32> = others.iter().copied().chain([group]).collect();
            fsetxattr(&dir, ATTRIBUTE, &list(&all), XattrFlags::empty())?;
            fchown(&dir, Some(Uid::ROOT), Some(Gid::from_raw(group)))?;
            // It sets the mode, too.
            fsetxattr(&dir, ATTRIBUTE, &list(others), XattrFlags::empty())
        };
        // Each try does what is missing.
        retry_on_intr(set).with_context(|| format!("setting who can read `{}`", real.display()))
    }

    /// Whether a directory is as [`Root::set_readers`] leaves it.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn has_readers(&self, path: &str, group: u32, others: &[u32]) -> Result<bool> {
        let real = self.path(path);
        let look = || is_set(&open_dir(&real)?, group, others);
        retry_on_intr(look).with_context(|| format!("reading who can read `{}`", real.display()))
    }

    /// Lets only root enter a directory.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn close_to_others(&self, path: &str) -> Result<()> {
        let real = self.path(path);
        let close = || fchmod(&open_dir(&real)?, Mode::from_raw_mode(0o700));
        retry_on_intr(close).with_context(|| format!("setting the mode of `{}`", real.display()))
    }
}

/// Whether an error says that the file system has no access control lists.
pub fn is_without_lists(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Errno>() == Some(&Errno::OPNOTSUPP)
}

fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    // O_PATH is not enough for the extended attributes, and reading needs no right of root here: only
    // root changes the directory.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}

fn is_set(dir: &OwnedFd, group: u32, others: &[u32]) -> Result<bool, Errno> {
    let stat = fstat(dir)?;
    let wanted = match others {
        [] => Vec::new(),
        others => list(others),
    };
    // With no room at all, the call would return the length only.
    let mut buffer = vec![0; wanted.len().max(1)];
    let found: &[u8] = match fgetxattr(dir, ATTRIBUTE, &mut buffer[..]) {
        Ok(len) => buffer.get(..len).unwrap_or_default(),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => &[],
        // It is longer than the list that is wanted.
        Err(Errno::RANGE) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mode = stat.st_mode & 0o7777;
    Ok(stat.st_uid == 0 && stat.st_gid == group && mode == MODE && found == wanted)
}

fn remove_list(dir: &OwnedFd) -> Result<(), Errno> {
    match fremovexattr(dir, ATTRIBUTE) {
        // There is no list, or the file system has none.
        Err(Errno::NODATA | Errno::OPNOTSUPP) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The value of the attribute: a header, then the entries in the order of their kinds and ids.
fn list(others: &[u32]) -> Vec<u8> {
    let mut ids = others.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let others = ids.into_iter().map(|id| (OTHER_GROUP, READ_AND_ENTER, id));
    let entries = [(OWNER, ALL, NO_ID), (OWN_GROUP, READ_AND_ENTER, NO_ID)].into_iter();
    let entries = entries.chain(others);
    let entries = entries.chain([(MASK, READ_AND_ENTER, NO_ID), (OTHERS, NONE, NO_ID)]);
    let mut out = VERSION.to_le_bytes().to_vec();
    for (kind, permissions, id) in entries {
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&permissions.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Root, is_without_lists};
    use std::os::unix::fs::MetadataExt as _;

    /// As root only: another user can give a directory neither to root nor to a group.
    #[test]
    fn a_directory_has_one_group_and_a_list_of_others() {
        let temp = tempfile::tempdir().unwrap();
        if !crate::host::is_root() {
            return;
        }
        let dir = temp.path().join("d");
        std::fs::create_dir(&dir).unwrap();
        let root = Root::new(temp.path());
        let seen = |others: &[u32]| {
            match root.set_readers("d", 7, others) {
                Err(error) if is_without_lists(&error) => return None,
                other => other.unwrap(),
            }
            let meta = dir.metadata().unwrap();
            assert_eq!((meta.mode() & 0o7777, meta.gid()), (0o750, 7));
            let mut buffer = [0; 256];
            let found = rustix::fs::getxattr(&dir, super::ATTRIBUTE, &mut buffer[..]);
            Some(found.map_or(Vec::new(), |len| buffer[..len].to_vec()))
        };
        assert_eq!(seen(&[]), Some(Vec::new()));
        if let Some(list) = seen(&[9, 8, 9]) {
            assert_eq!(list.len(), 4 + 6 * 8);
            assert_eq!(list[20..28], [8, 0, 5, 0, 8, 0, 0, 0]);
            assert_eq!(list[28..36], [8, 0, 5, 0, 9, 0, 0, 0]);
        }
        assert!(!root.has_readers("d", 7, &[8]).unwrap());
        // As many users as an app may have services.
        let many: Vec<u32> = (1000..1300).collect();
        if seen(&many).is_some() {
            assert!(root.has_readers("d", 7, &many).unwrap());
        }
        // The list of an earlier release does not stay.
        assert_eq!(seen(&[]), Some(Vec::new()));
        assert!(root.has_readers("d", 7, &[]).unwrap());
        assert!(!root.has_readers("d", 8, &[]).unwrap());
        root.close_to_others("d").unwrap();
        assert!(!root.has_readers("d", 7, &[]).unwrap());
    }
}
