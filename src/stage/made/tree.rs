//! What is at the paths that a build makes.

use crate::host::files::{self, WalkEntry};
use crate::payload::{Item, Kind, Payload};
use crate::store::BuiltSize;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The size of the blocks in which file systems allocate space.
const BLOCK_BYTES: u64 = 4096;

/// What is at some paths of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeTree {
    /// The digest over paths, kinds and content. Time stamps and modes beyond "executable" are no part of it.
    pub digest: String,
    /// How much it is.
    pub size: BuiltSize,
}

impl MadeTree {
    /// Reads what is at the paths `outputs` of the release at `top`. `None` if something is missing, or is what no
    /// release holds: a special file, or a name that is not UTF-8.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn read(top: &Path, outputs: &[String]) -> Result<Option<Self>> {
        let mut size = BuiltSize::default();
        let mut items = Vec::new();
        let mut paths: Vec<PathBuf> = Vec::new();
        for output in outputs {
            let at = top.join(output);
            if !files::is_present(&at) {
                return Ok(None);
            }
            for entry in files::below(&at) {
                let (path, kind) = match entry? {
                    WalkEntry::Dir(path) => (path, Kind::Dir),
                    WalkEntry::Link(path, target) => match target.to_str() {
                        Some(target) => (path, Kind::Link(target.to_owned())),
                        None => return Ok(None),
                    },
                    WalkEntry::File(path, mode) => {
                        let len = files::len(&path)?;
                        let exec = mode & 0o111 != 0;
                        paths.push(path.clone());
                        let hash = crate::payload::ContentHash::default();
                        (path, Kind::File { hash, exec, len })
                    }
                    WalkEntry::Special(_) => return Ok(None),
                };
                let Some(name) = path.strip_prefix(top)?.to_str() else {
                    return Ok(None);
                };
                let item = Item::new(name.to_owned(), kind);
                match item.is_dir() {
                    true => size.dirs += 1,
                    false => size.files += 1,
                }
                let blocks = item.len().div_ceil(BLOCK_BYTES) + u64::from(item.is_dir());
                size.disk_bytes += blocks * BLOCK_BYTES;
                size.bytes += item.len();
                items.push(item);
            }
        }
        let hashes = files::hashes(&paths)?;
        let mut hashes = hashes.into_iter();
        for item in &mut items {
            if let Kind::File { hash, .. } = &mut item.kind {
                let Some(Some(read)) = hashes.next() else {
                    return Ok(None);
                };
                *hash = read.into();
            }
        }
        let digest = Payload::new(items).digest().to_hex().to_string();
        Ok(Some(Self { digest, size }))
    }

    /// Whether only root can have changed what is at the paths.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn is_of_root(top: &Path, outputs: &[String]) -> Result<bool> {
        for output in outputs {
            if !files::writable_by_others(&top.join(output))?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test makes its own files")]

    use super::MadeTree;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    fn digest_after(change: impl Fn(&Path)) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir_all(top.join(".venv/bin")).unwrap();
        fs::write(top.join(".venv/bin/run"), "1").unwrap();
        fs::write(top.join("other"), "1").unwrap();
        symlink("run", top.join(".venv/bin/link")).unwrap();
        change(top);
        let tree = MadeTree::read(top, &[".venv".to_owned()]).unwrap();
        tree.map(|tree| tree.digest)
    }

    #[test]
    fn every_change_of_an_output_changes_its_digest() {
        let plain = digest_after(|_| {});
        assert!(plain.is_some());
        let other = |top: &Path| fs::write(top.join("other"), "2").unwrap();
        assert_eq!(digest_after(other), plain);
        let changes: [&dyn Fn(&Path); 6] = [
            &|top| fs::write(top.join(".venv/bin/run"), "2").unwrap(),
            &|top| fs::write(top.join(".venv/new"), "").unwrap(),
            &|top| fs::create_dir(top.join(".venv/empty")).unwrap(),
            &|top| fs::remove_file(top.join(".venv/bin/link")).unwrap(),
            &|top| {
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(top.join(".venv/bin/run"), mode).unwrap();
            },
            &|top| {
                fs::remove_file(top.join(".venv/bin/link")).unwrap();
                symlink("other", top.join(".venv/bin/link")).unwrap();
            },
        ];
        let mut seen = vec![plain];
        for change in changes {
            let digest = digest_after(change);
            assert!(digest.is_some() && !seen.contains(&digest), "{seen:?}");
            seen.push(digest);
        }
        let gone = |top: &Path| fs::remove_dir_all(top.join(".venv")).unwrap();
        assert_eq!(digest_after(gone), None);
    }
}
