//! When what a path leads to changed last.

use super::root::Root;
use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// How many links the kernel follows.
const MAX_LINKS: usize = 40;

impl Root {
    /// When a file, its name or a link on the way to it changed last, in nanoseconds since 1970. For a
    /// file that does not exist, when the directory changed that lacks it.
    ///
    /// # Errors
    /// The operating system's, with the path; also for links that lead to each other.
    pub fn last_change(&self, path: &str) -> Result<i64> {
        let mut left = parts(&self.path(path));
        let (mut at, mut newest, mut links) = (PathBuf::from("/"), i64::MIN, 0);
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(part);
            let meta = match fs::symlink_metadata(&next) {
                Ok(meta) => meta,
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => {
                    return Err(error).with_context(|| format!("reading `{}`", next.display()));
                }
            };
            if !meta.is_symlink() {
                at = next;
                continue;
            }
            newest = newest.max(changed(&meta));
            links += 1;
            if links > MAX_LINKS {
                bail!("`{path}` leads through too many links");
            }
            let target = fs::read_link(&next)
                .with_context(|| format!("reading the link `{}`", next.display()))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            left.extend(parts(&target));
        }
        let meta = fs::symlink_metadata(&at);
        let meta = meta.with_context(|| format!("reading `{}`", at.display()))?;
        Ok(newest.max(changed(&meta)))
    }
}

/// The names in a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    parts.collect()
}

fn changed(meta: &fs::Metadata) -> i64 {
    let seconds = meta.ctime().saturating_mul(1_000_000_000);
    seconds.saturating_add(meta.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use super::Root;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;

    #[test]
    fn a_changed_link_on_the_way_counts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let last = || {
            let root = Root::new(Path::new("/"));
            root.last_change(at("env").to_str().unwrap()).unwrap()
        };
        let ctime = |name: &str| {
            let meta = fs::symlink_metadata(at(name)).unwrap();
            meta.ctime() * 1_000_000_000 + meta.ctime_nsec()
        };
        for version in ["old", "new"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("env"), version).unwrap();
        }
        symlink("new", at("data")).unwrap();
        symlink("data/../data/env", at("env")).unwrap();
        assert_eq!(last(), ctime("env"));
        // The kernel's time stamps may be as coarse as its tick.
        let change = |make: &dyn Fn()| {
            let before = last();
            while last() == before {
                make();
            }
        };
        change(&|| {
            fs::remove_file(at("data")).unwrap();
            symlink("old", at("data")).unwrap();
        });
        assert_eq!(last(), ctime("data"));
        change(&|| fs::write(at("old/env"), "new").unwrap());
        assert_eq!(last(), ctime("old/env"));
        change(&|| {
            fs::write(at("old/other"), "").unwrap();
            let _ = fs::remove_file(at("old/env"));
            fs::remove_file(at("old/other")).unwrap();
        });
        assert_eq!(last(), ctime("old"));
    }
}
