//! Files that decide what root does: only root may have written them.

use super::protect::UNSAFE;
use super::real_path::open_without_links;
use super::root::{Root, absent};
use anyhow::{Context as _, Result};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

/// What is at a path that only root may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// Nothing.
    Absent,
    /// A file of root.
    File(Vec<u8>),
    /// Something that robotctl must not believe. The text follows "`PATH` ".
    Refused(&'static str),
}

impl Root {
    /// Reads a file that only root may have written. Whether others can change a directory on the way is a question
    /// of its own: [`Root::foreign_directory`].
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn read_trusted(&self, path: &str, max_bytes: u64) -> Result<Trusted> {
        let real = self.path(path);
        let context = || format!("reading `{}`", real.display());
        // A link on the way is not one of a tree: `path` has followed those.
        let dir = real.parent().map(std::fs::canonicalize);
        let Some(Some(dir)) = dir.map(absent).transpose().with_context(context)? else {
            return Ok(Trusted::Absent);
        };
        let open = dir.join(real.file_name().unwrap_or_default());
        let file = match open_without_links(&open) {
            Err(error) if super::real_path::is_link_error(&error) => {
                return Ok(Trusted::Refused("is a link"));
            }
            other => other,
        };
        let Some(file) = absent(file).with_context(context)? else {
            return Ok(Trusted::Absent);
        };
        let meta = file.metadata().with_context(context)?;
        if !meta.is_file() {
            return Ok(Trusted::Refused("is not a regular file"));
        }
        if meta.uid() != 0 {
            return Ok(Trusted::Refused("belongs to another user than root"));
        }
        if meta.mode() & UNSAFE & 0o777 != 0 {
            return Ok(Trusted::Refused("can be written by other users than root"));
        }
        if meta.len() > max_bytes {
            return Ok(Trusted::Refused("is too large"));
        }
        let mut bytes = Vec::new();
        let mut beginning = file.take(max_bytes);
        beginning.read_to_end(&mut bytes).with_context(context)?;
        Ok(Trusted::File(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{Root, Trusted};
    use crate::host::is_root;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn only_a_file_of_root_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let read = |name: &str| root.read_trusted(name, 9).unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(read("/absent"), Trusted::Absent);
        assert_eq!(read("/absent/file"), Trusted::Absent);
        std::fs::write(at("file"), "text").unwrap();
        assert_eq!(
            read("/file"),
            match is_root() {
                true => Trusted::File(b"text".to_vec()),
                false => Trusted::Refused("belongs to another user than root"),
            }
        );
        symlink("file", at("link")).unwrap();
        assert_eq!(read("/link"), Trusted::Refused("is a link"));
        assert_eq!(read("/"), Trusted::Refused("is not a regular file"));
        if !is_root() {
            return;
        }
        for mode in [0o664, 0o646] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(at("file"), permissions).unwrap();
            assert!(matches!(read("/file"), Trusted::Refused(why) if why.starts_with("can be")));
        }
        std::fs::write(at("large"), [0; 10]).unwrap();
        assert_eq!(read("/large"), Trusted::Refused("is too large"));
        std::os::unix::fs::chown(at("large"), Some(65534), None).unwrap();
        assert!(matches!(read("/large"), Trusted::Refused(why) if why.starts_with("belongs")));
    }
}
