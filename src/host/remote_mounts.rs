//! Mounts on which a look at a path may wait for ever: a server or a process answers it, or an automounter.

use super::mountinfo::unescaped;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The file systems that the kernel serves by itself (filesystems(5)), and ZFS. Every other one, known or not, may be
/// served by a server (nfs(5)), by a process (fuse(4)) or by an automounter (autofs(5)).
const LOCAL: [&str; 43] = [
    "bcachefs",
    "bpf",
    "btrfs",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "exfat",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "fusectl",
    "hfsplus",
    "hugetlbfs",
    "iso9660",
    "jffs2",
    "jfs",
    "mqueue",
    "msdos",
    "nilfs2",
    "nsfs",
    "ntfs3",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "reiserfs",
    "securityfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "ubifs",
    "udf",
    "vfat",
    "xfs",
    "zfs",
];

/// The mount points of other file systems than local ones, as this process sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteMounts {
    points: Vec<PathBuf>,
}

impl RemoteMounts {
    /// Reads the table of mounts.
    ///
    /// # Errors
    /// When the kernel does not show it.
    pub fn read() -> Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
        Ok(Self::parse(&table))
    }

    /// Reads the lines of proc_pid_mountinfo(5).
    pub fn parse(table: &str) -> Self {
        let point = |line: &str| {
            let (mount, file_system) = line.split_once(" - ")?;
            let kind = file_system.split(' ').next()?;
            let point = PathBuf::from(unescaped(mount.split(' ').nth(4)?));
            // Without its `/`, a host answers nothing at all.
            let is_local = LOCAL.contains(&kind) || point == Path::new("/");
            (!is_local).then_some(point)
        };
        Self {
            points: table.lines().filter_map(point).collect(),
        }
    }

    /// Whether every mount is local.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Whether the way to a path without links and without `..` leads onto such a mount. It says so as well of a local
    /// mount below one: the kernel passes both.
    pub fn hold(&self, path: &Path) -> bool {
        self.points.iter().any(|point| path.starts_with(point))
    }
}

#[cfg(test)]
mod tests {
    use super::{LOCAL, RemoteMounts};
    use std::path::Path;

    #[test]
    fn what_a_server_a_process_or_an_automounter_answers_is_remote() {
        assert!(LOCAL.is_sorted());
        let table = "21 1 0:30 / / rw,relatime - fuse.fuse-overlayfs fuse rw\n\
                     22 21 8:1 / /srv rw shared:1 - ext4 /dev/sda1 rw\n\
                     23 22 0:40 / /srv/a\\040b rw - nfs4 server:/x rw,hard\n\
                     24 23 8:2 / /srv/a\\040b/disk rw - xfs /dev/sdb1 rw\n\
                     25 21 0:41 / /net rw shared:2 master:3 - autofs -hosts rw,indirect\n\
                     26 21 0:42 / /unknown rw - newfs none rw\n\
                     27 21 0:43 / /tank rw - zfs tank rw\n\
                     not a line of this table\n";
        let mounts = RemoteMounts::parse(table);
        for (path, is_remote) in [
            ("/", false),
            ("/etc/passwd", false),
            ("/srv/x", false),
            ("/srv/a", false),
            ("/srv/a b", true),
            ("/srv/a b/x", true),
            ("/srv/a b/disk/x", true),
            ("/net/host/x", true),
            ("/network", false),
            ("/unknown/x", true),
            ("/tank/x", false),
        ] {
            assert_eq!(mounts.hold(Path::new(path)), is_remote, "{path}");
        }
    }
}
