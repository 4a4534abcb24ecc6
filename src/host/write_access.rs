//! Whether a user can write to the files in a directory (inode(7), path_resolution(7)).

use super::mountinfo::mount_points;
use super::root::Root;
use anyhow::{Context, Result};
use rustix::fs::getxattr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How deep a walk goes, and how many entries it reads: large trees of data stay unread.
const MAX_DEPTH: usize = 4;
const MAX_ENTRIES: usize = 5000;
/// What mkfs makes at the top of a file system, for root alone (fsck(8)).
const LOST_AND_FOUND: &str = "lost+found";
/// Permission to write and to read, of a group and of all users.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_READS: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;
/// The extended attribute of an access control list (acl(5)).
const ACCESS_LIST: &str = "system.posix_acl_access";

/// A user with all groups of its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub uid: u32,
    /// The groups.
    pub gids: Vec<u32>,
}

/// A file or directory that an account cannot write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// Its real path.
    pub path: PathBuf,
    /// Its owner.
    pub uid: u32,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether the account can read it.
    pub is_readable: bool,
}

impl Account {
    /// Whether it can write to an entry. The owner can always give itself that right.
    fn can_write(&self, path: &Path, meta: &Metadata) -> bool {
        let has_list = || getxattr(path, ACCESS_LIST, &mut [0_u8; 0]).is_ok();
        meta.uid() == self.uid
            || meta.mode() & OTHERS_WRITE != 0
            || (self.gids.contains(&meta.gid()) && meta.mode() & GROUP_WRITES != 0)
            || has_list()
    }

    /// Whether it can read an entry of another owner.
    fn can_read(&self, meta: &Metadata) -> bool {
        meta.mode() & OTHERS_READ != 0
            || (self.gids.contains(&meta.gid()) && meta.mode() & GROUP_READS != 0)
    }
}

impl Root {
    /// What [`Root::unwritable_below`] does not look at below a path: mounts, also those of the same file system
    /// (mount(8), "Bind mount operation"), and `lost+found`. Real paths.
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub fn other_file_systems(&self, path: &str) -> Result<Vec<PathBuf>> {
        let top = self.followed(path);
        let real = top.canonicalize().unwrap_or_else(|_| top.clone());
        let points = mount_points()?.into_iter();
        let below = points.filter_map(|point| {
            let rest = point.strip_prefix(&real).ok()?;
            (rest != Path::new("")).then(|| top.join(rest))
        });
        let made = top.join(LOST_AND_FOUND);
        let made = made.symlink_metadata().is_ok().then_some(made);
        let mut out: Vec<PathBuf> = below.chain(made).collect();
        out.sort();
        out.dedup();
        Ok(out)
    }

    /// The directories and regular files at and below a path that an account cannot write to. What is below such a
    /// directory is not listed, and neither are [other file systems](Self::other_file_systems).
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn unwritable_below(&self, path: &str, account: &Account) -> Result<Vec<Unwritable>> {
        let top = self.followed(path);
        let others = self.other_file_systems(path)?;
        let (mut out, mut count) = (Vec::new(), 0);
        let mut left = vec![(top, 0)];
        while let Some((path, depth)) = left.pop() {
            count += 1;
            if count > MAX_ENTRIES {
                break;
            }
            // The server of a mount may not answer.
            if others.contains(&path) {
                continue;
            }
            let Some(meta) = present(path.symlink_metadata(), &path)? else {
                continue;
            };
            if (meta.is_dir() || meta.is_file()) && !account.can_write(&path, &meta) {
                out.push(Unwritable {
                    uid: meta.uid(),
                    is_dir: meta.is_dir(),
                    is_readable: account.can_read(&meta),
                    path,
                });
            } else if meta.is_dir() && depth < MAX_DEPTH {
                for entry in present(path.read_dir(), &path)?.into_iter().flatten() {
                    let entry = entry.with_context(|| format!("listing `{}`", path.display()))?;
                    left.push((entry.path(), depth + 1));
                }
            }
        }
        Ok(out)
    }
}

/// What was read of an entry; `None` when the service has removed it since its directory was listed.
fn present<T>(read: io::Result<T>, path: &Path) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => {
            Ok(Some(read.with_context(|| {
                format!("looking at `{}`", path.display())
            })?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Root};
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn what_only_the_owner_can_write_is_listed_for_another_user() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let path = |name: &str| dir.path().join(name);
        for name in ["top", "top/closed", "top/lost+found", "top/shared"] {
            create_dir(path(name)).unwrap();
        }
        for (name, mode) in [
            ("top/file", 0o644),
            ("top/open", 0o666),
            ("top/group", 0o664),
            ("top/closed/inner", 0o600),
        ] {
            write(path(name), "x").unwrap();
            set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("/absent", path("top/link")).unwrap();
        for name in ["top", "top/shared"] {
            set_permissions(path(name), Permissions::from_mode(0o777)).unwrap();
        }
        set_permissions(path("top/closed"), Permissions::from_mode(0o700)).unwrap();
        let meta = path("top").metadata().unwrap();
        let owner = Account {
            uid: meta.uid(),
            gids: Vec::new(),
        };
        assert_eq!(root.unwritable_below("/top", &owner).unwrap(), []);
        let other = Account {
            uid: meta.uid() + 1,
            gids: vec![meta.gid()],
        };
        let mut found: Vec<String> = root
            .unwritable_below("/top", &other)
            .unwrap()
            .into_iter()
            .map(|entry| {
                let path = entry.path.strip_prefix(dir.path()).unwrap();
                format!("{} {}", path.display(), entry.is_readable)
            })
            .collect();
        found.sort();
        assert_eq!(found, ["top/closed false", "top/file true"]);
        assert_eq!(root.unwritable_below("/absent", &other).unwrap(), []);
    }
}
