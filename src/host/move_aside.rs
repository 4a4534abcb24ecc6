//! Moving aside what a service has put where root creates a directory.
//!
//! A tmpfiles.d(5) file names `/run/shop/locks`, inside a directory that the services own. A service can
//! replace it by a link or a file. Then systemd-tmpfiles(8) fails, and so does a start of a service with
//! that `RuntimeDirectory=`, as an earlier robotctl wrote it.

use super::environment::random_hex;
use super::root::Root;
use super::tmpfiles::lines;
use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

/// What follows the name of an entry that was moved aside. Random digits come next.
const MOVED: &str = ".moved-";
/// How many random bytes such a name has.
const RANDOM_BYTES: usize = 4;

/// What was in the way of a directory.
#[derive(Debug)]
pub struct Obstacle {
    /// The path of the directory.
    pub path: String,
    /// What was there, such as `a link`.
    pub kind: &'static str,
    /// The path where it is now, or why it is still in the way.
    pub moved: Result<String>,
}

impl Root {
    /// Moves aside what is in the way of the directories of a tmpfiles.d(5) file whose parent does not
    /// belong to root. It is renamed within its directory, and neither followed nor removed.
    pub fn move_obstacles_aside(&self, text: &str) -> Vec<Obstacle> {
        let paths = nested_directories(text);
        let found = paths.into_iter().filter_map(|(path, user)| {
            let (kind, moved) = match self.move_aside(path, user) {
                Ok(None) => return None,
                Ok(Some((kind, moved))) => (kind, moved),
                Err(error) => ("an entry", Err(error)),
            };
            let path = path.to_owned();
            Some(Obstacle { path, kind, moved })
        });
        found.collect()
    }

    /// Renames an entry unless it is a directory of this user.
    fn move_aside(&self, path: &str, user: &str) -> Result<Option<(&'static str, Result<String>)>> {
        let (parent, name) = path.rsplit_once('/').context("the path has no parent")?;
        let real = self.path(parent);
        let context = || format!("looking at `{path}`");
        // The service may replace any part of the path at any time. What is opened stays the same.
        let parent_dir = rustix::fs::openat2(
            CWD,
            &real,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS,
        );
        let parent_dir = match parent_dir {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.with_context(context)?,
        };
        let stat = match rustix::fs::statat(&parent_dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            stat => stat.with_context(context)?,
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let user = self.user(user)?;
                if user.is_none_or(|user| user.uid == stat.st_uid) {
                    return Ok(None);
                }
                "a directory of another user"
            }
            FileType::Symlink => "a link",
            FileType::Fifo => "a FIFO",
            FileType::Socket => "a socket",
            FileType::RegularFile => "a file",
            _ => "a device",
        };
        let aside = format!("{name}{MOVED}{}", random_hex(RANDOM_BYTES)?);
        let flags = RenameFlags::NOREPLACE;
        let moved = rustix::fs::renameat_with(&parent_dir, name, &parent_dir, &aside, flags);
        let moved = moved
            .map(|()| format!("{parent}/{aside}"))
            .with_context(|| format!("renaming `{path}` to `{aside}`"));
        Ok(Some((kind, moved)))
    }
}

/// The directories of a tmpfiles.d(5) file whose parent is given to another user than root, each with its
/// own user.
pub fn nested_directories(text: &str) -> Vec<(&str, &str)> {
    let directories: Vec<(&str, &str)> = lines(text)
        .filter(|line| line.kind == "d")
        .map(|line| (line.path, line.user))
        .collect();
    let is_nested = |path: &str| {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        let mut all = directories.iter();
        all.any(|(dir, user)| Some(*dir) == parent && *user != "root")
    };
    let found = directories.iter().filter(|(path, _)| is_nested(path));
    found.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{Root, nested_directories};
    use std::fs::{create_dir, create_dir_all, read_link, symlink_metadata, write};
    use std::os::unix::fs::{MetadataExt as _, symlink};

    const TEXT: &str = "#Type Path Mode User Group Age\nd /opt/shop 0755 root root -\n\
        d /opt/shop/releases 0755 root root -\nd /run/shop 0750 shop shop -\n\
        d /run/shop/locks 0750 shop shop -\nf /etc/shop/env 0600 root root -\n";

    #[test]
    fn only_directories_in_those_of_a_service_are_nested() {
        assert_eq!(nested_directories(TEXT), [("/run/shop/locks", "shop")]);
    }

    #[test]
    fn what_is_in_the_way_keeps_its_content_under_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let root = Root::new(&base);
        let uid = base.metadata().unwrap().uid();
        create_dir_all(base.join("etc")).unwrap();
        create_dir_all(base.join("run/shop")).unwrap();
        write(base.join("etc/passwd"), format!("shop:x:{uid}:0::/:/\n")).unwrap();
        let locks = base.join("run/shop/locks");
        assert!(root.move_obstacles_aside(TEXT).is_empty());

        symlink("/etc", &locks).unwrap();
        let found = root.move_obstacles_aside(TEXT);
        let [one] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((one.path.as_str(), one.kind), ("/run/shop/locks", "a link"));
        let moved = one.moved.as_ref().unwrap();
        assert!(moved.starts_with("/run/shop/locks.moved-"), "{moved}");
        let target = read_link(base.join(moved.trim_start_matches('/'))).unwrap();
        assert_eq!(target.to_str(), Some("/etc"));
        assert!(symlink_metadata(&locks).is_err());

        write(&locks, "kept").unwrap();
        let found = root.move_obstacles_aside(TEXT);
        let moved = found.first().unwrap().moved.as_ref().unwrap();
        assert_eq!(root.read_text(moved).unwrap().as_deref(), Some("kept"));

        create_dir(&locks).unwrap();
        assert!(root.move_obstacles_aside(TEXT).is_empty());
        assert!(locks.is_dir());
    }

    #[test]
    fn a_parent_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        create_dir_all(base.join("run/a")).unwrap();
        create_dir_all(base.join("other/b")).unwrap();
        write(base.join("other/b/locks"), "kept").unwrap();
        symlink("/other/b", base.join("run/a/b")).unwrap();
        let text = "d /run/a 0750 shop shop -\nd /run/a/b 0750 shop shop -\n\
            d /run/a/b/locks 0750 shop shop -\n";
        let found = Root::new(&base).move_obstacles_aside(text);
        assert!(base.join("other/b/locks").exists());
        assert_eq!(found.first().map(|one| one.kind), Some("a link"));
    }
}
