//! Directories of a tree that another user than root can change. While root works in such a tree, that user can
//! replace a directory by a link, and lead root out of the tree.

use super::caller::sudo_uid;
use super::root::Root;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What other users than the owner and the group may write.
const OTHERS_WRITE: u32 = 0o002;
/// Members of the group may write.
const GROUP_WRITES: u32 = 0o020;
/// Only the owner of a file may rename or delete it here (inode(7)).
const STICKY: u32 = 0o1000;
/// The groups of Debian's base system, such as `staff`, which owns `/usr/local` on some hosts.
const LAST_BASE_GROUP: u32 = 99;
/// The map of a user namespace in which every user is the same as outside (user_namespaces(7)).
const EVERY_USER: [&str; 3] = ["0", "0", "4294967295"];

/// A directory that another user than root can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignDirectory {
    /// Its real path.
    pub path: PathBuf,
    /// Whether that user owns it. Root owns it otherwise, and others can write to it.
    pub is_owned: bool,
}

impl Root {
    /// The first directory, on the way to the tree or on the way to one of these directories in it, that another user
    /// than root owns or can write to. The user of sudo(8) may own what is above the tree. Inside a user namespace, the
    /// answer is none: root of a namespace cannot harm others than those who made it.
    pub fn foreign_directory(&self, dirs: &[String]) -> Option<ForeignDirectory> {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        if !map.split_whitespace().eq(EVERY_USER) {
            return None;
        }
        let (user, top) = (sudo_uid(), self.path("/"));
        let above = top.ancestors().skip(1).map(Path::to_owned);
        let inside = dirs.iter().flat_map(|dir| Path::new(dir).ancestors());
        // Links in the tree may lead elsewhere in it.
        let inside = inside.filter_map(|dir| Some(self.followed(dir.to_str()?)));
        let inside = inside.flat_map(|dir| {
            let all = dir.ancestors().map(Path::to_owned);
            all.take_while(|dir| dir.starts_with(&top))
                .collect::<Vec<_>>()
        });
        above.chain(inside).find_map(|path| {
            let meta = fs::symlink_metadata(&path).ok()?;
            let is_above = path != top && top.starts_with(&path);
            let is_of_user = is_above && user == Some(meta.uid());
            let is_owned = meta.uid() != 0 && !is_of_user;
            let is_group = meta.mode() & GROUP_WRITES != 0 && meta.gid() > LAST_BASE_GROUP;
            let is_shared = meta.mode() & OTHERS_WRITE != 0 || is_group && !is_of_user;
            let is_writable = is_shared && meta.mode() & STICKY == 0;
            (is_owned || is_writable).then_some(ForeignDirectory { path, is_owned })
        })
    }
}
