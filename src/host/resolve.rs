//! Where a path leads in a tree that is not running: links in it mean the tree's own `/`, as
//! they will once it runs (openat2(2), "RESOLVE_IN_ROOT").
//!
//! By hand, since the kernel's own walk gives no path for what is not there yet. Nobody else
//! changes the tree meanwhile.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The real path of `path` in the tree at `base`; a link in its last place is followed or not.
pub(super) fn resolve(base: &Path, path: &Path, last: bool) -> PathBuf {
    let mut rest = parts(path);
    let (mut real, mut depth, mut links) = (base.to_owned(), 0_usize, 0);
    while let Some(part) = rest.pop() {
        if part == ".." {
            // Above `/` is `/`.
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
        // No link, or not there: what is wrong with it shows when it is used.
        let Ok(target) = std::fs::read_link(&real) else {
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            // A path that nothing can be at: following the loop would lead out of the tree.
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

/// The steps of a path, the last one first.
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

#[cfg(test)]
mod tests {
    use super::resolve;
    use std::path::Path;

    #[test]
    fn links_mean_the_trees_own_root() {
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
}
