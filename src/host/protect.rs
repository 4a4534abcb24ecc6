//! Taking write and read access to files from other users than root.
//!
//! Another user may own the directory of the file and exchange it at any moment. So each file is opened
//! without following a link, and changed through that descriptor.

use super::real_path::open_without_links;
use anyhow::{Context, Result, bail};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// Write permission of the group and of others, set-user-ID and set-group-ID (inode(7)).
pub(super) const UNSAFE: u32 = 0o6022;
/// The mode of a file that only root may read.
const PRIVATE: u32 = 0o600;

/// Makes root the owner of a file or directory, and removes the write access of its group and of others. A
/// file that is so already is not changed.
///
/// # Errors
/// The operating system's, with the path; also when a link is in the way.
pub fn let_only_root_write(path: &Path) -> Result<()> {
    change(path, &|mode| mode & !UNSAFE, false)
}

/// Makes root the owner and the group of a regular file, with mode 0600.
///
/// # Errors
/// The operating system's, with the path; also when it is not a regular file, or a link is in the way.
pub fn let_only_root_read(path: &Path) -> Result<()> {
    change(path, &|_| PRIVATE, true)
}

fn change(path: &Path, mode: &dyn Fn(u32) -> u32, is_private: bool) -> Result<()> {
    let context = || format!("setting owner and mode of `{}`", path.display());
    let file = open_without_links(path).with_context(context)?;
    let meta = file.metadata().with_context(context)?;
    if is_private && !meta.is_file() {
        bail!("`{}` is not a regular file", path.display());
    }
    let group = is_private.then_some(0);
    if meta.uid() != 0 || group.is_some_and(|group| meta.gid() != group) {
        fchown(&file, Some(0), group).with_context(context)?;
    }
    let wanted = mode(meta.mode() & 0o7777);
    // A change of the owner clears bits of the mode, so it is set in any case then.
    if meta.mode() & 0o7777 != wanted || meta.uid() != 0 {
        let permissions = Permissions::from_mode(wanted);
        file.set_permissions(permissions).with_context(context)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{let_only_root_read, let_only_root_write};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

    #[test]
    fn access_is_taken_from_the_file_and_never_from_what_a_link_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (file, link) = (dir.join("file"), dir.join("link"));
        std::fs::write(&file, "x").unwrap();
        symlink(&file, &link).unwrap();
        let set = |mode| {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        };
        let mode = || file.metadata().unwrap().mode() & 0o7777;
        set(0o2777);
        for change in [let_only_root_read, let_only_root_write] {
            assert!(change(&link).is_err());
            assert_eq!(mode(), 0o2777);
        }
        // Only root can give a file to root.
        if file.metadata().unwrap().uid() != 0 {
            return;
        }
        let_only_root_write(&file).unwrap();
        assert_eq!(mode(), 0o755);
        let_only_root_read(&file).unwrap();
        assert_eq!(mode(), 0o600);
        assert!(let_only_root_read(&dir).is_err());
        let_only_root_write(&dir).unwrap();
    }
}
