//! Taking over a part of one release into another, by hard links or as a copy.

use super::files::{WalkEntry, below, make_link};
use anyhow::{Context as _, Result, bail};
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// The mode of the directories.
const DIR_MODE: u32 = 0o755;

/// How files are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carry {
    /// As further names of the same files: they take no space, and nothing may write to them.
    Linked,
    /// As files of their own, with the time stamps of the originals.
    Copied,
}

/// Takes over what is at `from`, to `to`, where nothing may be. Links stay as they are. Directories above `to` that
/// do not exist are created.
///
/// # Errors
/// The operating system's, with the path, and for a special file.
pub fn carry(from: &Path, to: &Path, how: Carry) -> Result<()> {
    if let Some(parent) = to.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(parent);
        made.with_context(|| format!("creating the directory `{}`", parent.display()))?;
    }
    let place = |path: &Path| -> Result<_> {
        let rest = path.strip_prefix(from)?;
        Ok(if rest.as_os_str().is_empty() {
            to.to_owned()
        } else {
            to.join(rest)
        })
    };
    for entry in below(from) {
        match entry? {
            WalkEntry::Dir(path) => {
                let new = place(&path)?;
                let make = || {
                    fs::create_dir(&new)?;
                    fs::set_permissions(&new, Permissions::from_mode(DIR_MODE))
                };
                make().with_context(|| format!("creating the directory `{}`", new.display()))?;
            }
            WalkEntry::Link(path, target) => {
                let target = target.to_str().context("a link is not UTF-8")?;
                make_link(target, &place(&path)?)?;
            }
            WalkEntry::File(path, _) => {
                let new = place(&path)?;
                // A file can have so many names only, and a file system may be mounted in a release.
                let is_linked = how == Carry::Linked && fs::hard_link(&path, &new).is_ok();
                if !is_linked {
                    copy(&path, &new).with_context(|| format!("copying `{}`", path.display()))?;
                }
            }
            WalkEntry::Special(path) => bail!("`{}` is a special file", path.display()),
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    let modified = fs::metadata(from)?.modified()?;
    let copy = File::options().write(true).open(to)?;
    copy.set_modified(modified)
}

#[cfg(test)]
mod tests {
    use super::{Carry, carry};
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    #[test]
    fn a_tree_is_linked_or_copied_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("old/bin/empty")).unwrap();
        fs::write(at("old/bin/run"), "1").unwrap();
        fs::set_permissions(at("old/bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("bin/run", at("old/link")).unwrap();
        for (to, how, is_same) in [
            ("linked/deep/new", Carry::Linked, true),
            ("copied", Carry::Copied, false),
        ] {
            carry(&at("old"), &at(to), how).unwrap();
            let (old, new) = (at("old/bin/run"), at(to).join("bin/run"));
            let (old, meta) = (fs::metadata(old).unwrap(), fs::metadata(&new).unwrap());
            assert_eq!(old.ino() == meta.ino(), is_same, "{to}");
            assert_eq!(meta.mode() & 0o777, 0o755);
            assert_eq!(meta.modified().unwrap(), old.modified().unwrap());
            assert_eq!(fs::read_to_string(&new).unwrap(), "1");
            let target = fs::read_link(at(to).join("link")).unwrap();
            assert_eq!(target.to_str(), Some("bin/run"));
            assert!(at(to).join("bin/empty").is_dir());
            // Something is there already.
            assert!(carry(&at("old"), &at(to), how).is_err());
        }
        // A single file.
        carry(&at("old/bin/run"), &at("dist/run"), Carry::Linked).unwrap();
        assert_eq!(fs::read_to_string(at("dist/run")).unwrap(), "1");
    }
}
