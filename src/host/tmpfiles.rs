//! Whether what a tmpfiles.d(5) file names is there, as the file says.

use super::Root;
use anyhow::{Context, Result};

/// How a path is not as its line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// Nothing is there.
    Missing,
    /// A directory where a file should be, or the other way about.
    Kind,
    /// Other permission bits.
    Mode {
        /// Those that it has.
        is: u32,
        /// Those of the line.
        wanted: u32,
    },
    /// Somebody else's; the line names this user.
    Owner(String),
    /// There is no such user.
    NoUser(String),
}

impl Root {
    /// The paths of a tmpfiles.d(5) file that are not as its lines say, with how they differ. Read
    /// are lines as `robotctl` writes them: `d` and `f`, with a mode and a user.
    ///
    /// # Errors
    /// When that cannot be seen, or the file is damaged.
    pub fn unlike_tmpfiles(&self, text: &str) -> Result<Vec<(String, Mismatch)>> {
        let mut out = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [kind, path, mode, user, ..] = words.as_slice() else {
                continue;
            };
            let mut unlike = |how| out.push(((*path).to_owned(), how));
            let Some(meta) = self.meta(path)? else {
                unlike(Mismatch::Missing);
                continue;
            };
            if meta.is_symlink || meta.is_dir != (*kind == "d") {
                unlike(Mismatch::Kind);
                continue;
            }
            let wanted = u32::from_str_radix(mode, 8).context("reading tmpfiles.d")?;
            if meta.mode != wanted {
                let is = meta.mode;
                unlike(Mismatch::Mode { is, wanted });
            }
            let uid = match *user {
                // A tree need not have a user database to have a root.
                "root" => Some(0),
                user => self.user(user)?.map(|user| user.uid),
            };
            match uid {
                None => unlike(Mismatch::NoUser((*user).to_owned())),
                Some(uid) if uid != meta.uid => unlike(Mismatch::Owner((*user).to_owned())),
                Some(_) => {}
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
    fn each_difference_is_seen() {
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
        let seen = |text: &str| root.unlike_tmpfiles(text).unwrap();
        let one = |path: &str, how| vec![(path.to_owned(), how)];
        let uid = std::os::unix::fs::MetadataExt::uid(&dir.path().metadata().unwrap());
        let (is, wanted) = (0o755, 0o750);
        let mine = |how: Vec<(String, Mismatch)>| -> Vec<(String, Mismatch)> {
            let owner = Mismatch::Owner("root".to_owned());
            how.into_iter()
                .filter(|(_, how)| uid == 0 || *how != owner)
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
        assert_eq!(
            seen("d /opt 0755 nobody-here x -"),
            one("/opt", Mismatch::NoUser("nobody-here".to_owned()))
        );
    }
}
