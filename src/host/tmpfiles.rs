//! Comparing the host with a tmpfiles.d(5) file.

use super::root::Root;
use anyhow::{Context, Result};

/// How a path differs from its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// It does not exist.
    Missing,
    /// It is a directory instead of a file, or a file instead of a directory.
    Kind,
    /// It has other permission bits.
    Mode {
        /// The permission bits that it has.
        is: u32,
        /// The permission bits of the line.
        wanted: u32,
    },
    /// It belongs to another user than this one, which the line names.
    Owner(String),
    /// It belongs to another group than this one, which the line names.
    Group(String),
    /// The user that the line names does not exist.
    NoUser(String),
}

/// A line of a tmpfiles.d(5) file, as `robotctl` writes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TmpfilesLine<'a> {
    /// `d` or `f`.
    pub(super) kind: &'a str,
    /// The path.
    pub(super) path: &'a str,
    /// The permission bits, in octal.
    pub(super) mode: &'a str,
    /// The owner.
    pub(super) user: &'a str,
    /// The group.
    pub(super) group: &'a str,
}

/// The lines of a tmpfiles.d(5) file.
pub(super) fn lines(text: &str) -> impl Iterator<Item = TmpfilesLine<'_>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, path, mode, user, group, ..] = *words.as_slice() else {
            return None;
        };
        Some(TmpfilesLine {
            kind,
            path,
            mode,
            user,
            group,
        })
    })
}

impl Root {
    /// The paths that differ from their lines in a tmpfiles.d(5) file. It reads lines as `robotctl`
    /// writes them: `d` and `f`, with a mode and a user.
    ///
    /// # Errors
    /// When a path cannot be read, or the file is damaged.
    pub fn tmpfiles_mismatches(&self, text: &str) -> Result<Vec<(String, Mismatch)>> {
        let mut out = Vec::new();
        for TmpfilesLine {
            kind,
            path,
            mode,
            user,
            group,
        } in lines(text)
        {
            let mut differs = |how| out.push((path.to_owned(), how));
            let Some(meta) = self.meta(path)? else {
                differs(Mismatch::Missing);
                continue;
            };
            if meta.is_symlink || meta.is_dir != (kind == "d") {
                differs(Mismatch::Kind);
                continue;
            }
            let wanted = u32::from_str_radix(mode, 8).context("reading tmpfiles.d")?;
            if meta.mode != wanted {
                let is = meta.mode;
                differs(Mismatch::Mode { is, wanted });
            }
            let uid = match user {
                // A directory tree without a user database has a root user too.
                "root" => Some(0),
                user => self.user(user)?.map(|user| user.uid),
            };
            let gid = match group {
                "root" => Some(0),
                group => self.group(group)?,
            };
            match uid {
                None => differs(Mismatch::NoUser(user.to_owned())),
                Some(uid) if uid != meta.uid => differs(Mismatch::Owner(user.to_owned())),
                Some(_) => {
                    if gid.is_some_and(|gid| gid != meta.gid) {
                        differs(Mismatch::Group(group.to_owned()));
                    }
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mismatch, Root};
    use std::fs::{create_dir_all, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_difference_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let mode = |path: &str, mode| {
            let path = dir.path().join(path);
            set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        create_dir_all(dir.path().join("opt")).unwrap();
        create_dir_all(dir.path().join("etc/env")).unwrap();
        write(dir.path().join("etc/passwd"), "shop:x:4294967294:0::/:/\n").unwrap();
        mode("opt", 0o755);
        let seen = |text: &str| root.tmpfiles_mismatches(text).unwrap();
        let one = |path: &str, how| vec![(path.to_owned(), how)];
        let uid = std::os::unix::fs::MetadataExt::uid(&dir.path().metadata().unwrap());
        let (is, wanted) = (0o755, 0o750);
        let mine = |how: Vec<(String, Mismatch)>| -> Vec<(String, Mismatch)> {
            let owner = Mismatch::Owner("root".to_owned());
            let group = Mismatch::Group("root".to_owned());
            how.into_iter()
                .filter(|(_, how)| uid == 0 || (*how != owner && *how != group))
                .collect()
        };
        assert_eq!(mine(seen("# d /x\nd /opt 0755 root root -\n")), []);
        assert_eq!(
            mine(seen("d /opt 0750 root root -")),
            one("/opt", Mismatch::Mode { is, wanted })
        );
        assert_eq!(
            seen("d /run/shop 0750 root root -"),
            one("/run/shop", Mismatch::Missing)
        );
        assert_eq!(
            seen("f /etc/env 0600 root root -"),
            one("/etc/env", Mismatch::Kind)
        );
        assert_eq!(
            seen("d /opt 0755 shop shop -"),
            one("/opt", Mismatch::Owner("shop".to_owned()))
        );
        write(dir.path().join("etc/group"), "video:x:4294967294:\n").unwrap();
        if uid == 0 {
            assert_eq!(
                seen("d /opt 0755 root video -"),
                one("/opt", Mismatch::Group("video".to_owned()))
            );
        }
        assert_eq!(
            seen("d /opt 0755 nobody-here x -"),
            one("/opt", Mismatch::NoUser("nobody-here".to_owned()))
        );
    }
}
