//! Paths in a directory tree: an absolute link in it means the tree's own `/`, as it will once the
//! tree runs (openat2(2), "RESOLVE_IN_ROOT").
//!
//! The kernel cannot do this, because it gives no path for a file that does not exist yet. It is safe
//! because no other process changes the tree meanwhile: `foreign_directory` refuses trees that other users can
//! change.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The real path of `path` in the tree at `base`. `last` says whether a link at the path itself is
/// followed.
pub(super) fn resolve(base: &Path, path: &Path, last: bool) -> PathBuf {
    let mut rest = parts(path);
    let (mut real, mut depth, mut links) = (base.to_owned(), 0_usize, 0);
    while let Some(part) = rest.pop() {
        if part == ".." {
            // The parent of `/` is `/`.
            if depth > 0 {
                real.pop();
                depth -= 1;
            }
            continue;
        }
        real.push(&part);
        depth += 1;
        if rest.is_empty() && !last {
            break;
        }
        // It is not a link, or it does not exist. An error shows when the path is used.
        let Ok(target) = std::fs::read_link(&real) else {
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            // A path that cannot exist: to follow the loop any further could lead out of the tree.
            return Path::new("/dev/null/too many links")
                .join(path.strip_prefix("/").unwrap_or(path));
        }
        if target.is_absolute() {
            (real, depth) = (base.to_owned(), 0);
        } else {
            real.pop();
            depth -= 1;
        }
        rest.extend(parts(&target));
    }
    real
}

/// The components of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let steps = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut out: Vec<OsString> = steps.collect();
    out.reverse();
    out
}

/// An absolute form of a path without `.` and `..`, which are resolved in the text of the path.
pub(super) fn lexically_absolute(working_directory: &Path, path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in working_directory.join(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            // The parent of `/` is `/`.
            Component::ParentDir => drop(out.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{lexically_absolute, resolve};
    use std::path::Path;

    #[test]
    fn links_stay_in_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        std::fs::create_dir_all(base.join("data/opt")).unwrap();
        for (link, target) in [
            ("opt", "/data/opt"),
            ("up", "../../../etc"),
            ("far", "/up/x"),
            ("data/opt/self", "../opt"),
            ("loop", "/loop"),
            ("file", "/etc/passwd"),
        ] {
            std::os::unix::fs::symlink(target, base.join(link)).unwrap();
        }
        for (path, last, real) in [
            ("/opt/a/b", false, "data/opt/a/b"),
            ("/opt", false, "opt"),
            ("/opt", true, "data/opt"),
            ("/opt/self/self/a", false, "data/opt/a"),
            ("/up/passwd", true, "etc/passwd"),
            ("/far/y", false, "etc/x/y"),
            ("/file", true, "etc/passwd"),
            ("/file", false, "file"),
            ("/../../data", true, "data"),
            ("/not/there", true, "not/there"),
            ("/", true, ""),
        ] {
            let found = resolve(base, Path::new(path), last);
            assert_eq!(found, base.join(real), "{path}");
        }
        let nowhere = resolve(base, Path::new("/loop/x"), false);
        assert!(std::fs::write(nowhere, "").is_err());
    }

    #[test]
    fn dots_are_resolved_in_the_text() {
        let absolute = |path: &str| lexically_absolute(Path::new("/home/me/x"), Path::new(path));
        for (path, wanted) in [
            ("../y", "/home/me/y"),
            ("./y/.", "/home/me/x/y"),
            ("/mnt/a/../b", "/mnt/b"),
            ("../../../../..", "/"),
            ("/", "/"),
        ] {
            assert_eq!(absolute(path), Path::new(wanted), "{path}");
        }
    }
}
