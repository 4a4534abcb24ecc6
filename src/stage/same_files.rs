//! Whether two releases on the disk have the same files for a service. The index of a release does not list
//! what its build made, so the directories are compared.

use crate::app::{App, PYTHON_DIR, Patterns};
use crate::host::Host;
use crate::host::files::{self, WalkEntry};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where Python keeps byte code. robotctl makes that of [`PYTHON_DIR`], and it follows from the source.
const BYTE_CODE_DIR: &str = "__pycache__";

/// What a path is, as far as a service can see.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Dir,
    File { is_executable: bool },
    Link(PathBuf),
}

/// Whether two releases of an app have the same files at the paths that patterns select.
///
/// # Errors
/// The operating system's, with the path.
pub fn have_same_files(
    host: &Host,
    app: &App,
    patterns: &Patterns,
    releases: [&str; 2],
) -> Result<bool> {
    let [one, other] = releases.map(|id| host.root.path(&app.layout.release(id)));
    let (mine, theirs) = (selected(&one, patterns)?, selected(&other, patterns)?);
    if mine != theirs {
        return Ok(false);
    }
    for (path, kind) in &mine {
        let is_file = matches!(kind, Kind::File { .. });
        if is_file && !files::have_same_content(&one.join(path), &other.join(path))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The paths of a release that patterns select.
fn selected(top: &Path, patterns: &Patterns) -> Result<BTreeMap<String, Kind>> {
    let mut out = BTreeMap::new();
    for entry in files::below(top) {
        let (path, kind) = match entry? {
            WalkEntry::Dir(path) => (path, Kind::Dir),
            WalkEntry::File(path, mode) => {
                let is_executable = mode & 0o111 != 0;
                (path, Kind::File { is_executable })
            }
            WalkEntry::Link(path, target) => (path, Kind::Link(target)),
            WalkEntry::Special(path) => bail!("`{}` is a special file", path.display()),
        };
        let name = path.strip_prefix(top).unwrap_or(&path);
        let name = name
            .to_str()
            .context("a release has a name that is not UTF-8")?;
        if !name.is_empty() && !is_byte_code(name) && patterns.selects(name, kind == Kind::Dir) {
            out.insert(name.to_owned(), kind);
        }
    }
    Ok(out)
}

fn is_byte_code(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some(PYTHON_DIR) && parts.any(|part| part == BYTE_CODE_DIR)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test makes its own files")]

    use super::have_same_files;
    use crate::app::App;
    use crate::host::Host;
    use crate::manifest::parse;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    const MANIFEST: &str = "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\n\
        exec = [\"{current}/web/run\"]\nfiles = [\"web/\", \".venv/\"]\n";

    /// Whether a release is the same as another after a change.
    fn is_same_after(change: impl Fn(&Path)) -> bool {
        let dir = tempfile::tempdir().unwrap();
        for id in ["1-a", "2-b"] {
            let release = dir.path().join("opt/shop/releases").join(id);
            let write = |path: &str, text: &str| {
                let path = release.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            };
            write("web/run", "1");
            write("web/page", &"x".repeat(200_000));
            write("api/run", "1");
            write(".venv/lib/a.py", "1");
            write(".venv/lib/__pycache__/a.pyc", id);
            symlink("run", release.join("web/link")).unwrap();
            if id == "2-b" {
                change(&release);
            }
        }
        let app = App::from_manifest(&parse(MANIFEST).unwrap(), None).unwrap();
        let patterns = app.services[0].files.as_ref().unwrap();
        let host = Host::new(Some(dir.path()));
        have_same_files(&host, &app, patterns, ["1-a", "2-b"]).unwrap()
    }

    #[test]
    fn content_modes_and_links_are_compared() {
        assert!(is_same_after(|_| {}));
        assert!(is_same_after(|release| fs::write(
            release.join("api/run"),
            "2"
        )
        .unwrap()));
        let write = |path: &'static str, text: String| {
            is_same_after(move |release| fs::write(release.join(path), &text).unwrap())
        };
        assert!(!write("web/run", "2".to_owned()));
        assert!(!write("web/page", "x".repeat(199_999) + "y"));
        assert!(!write("web/page", "x".repeat(200_001)));
        assert!(!write("web/new", String::new()));
        assert!(!write(".venv/lib/a.py", "2".to_owned()));
        assert!(!is_same_after(|release| fs::remove_file(
            release.join("web/run")
        )
        .unwrap()));
        assert!(!is_same_after(|release| {
            fs::create_dir(release.join("web/empty")).unwrap();
        }));
        assert!(!is_same_after(|release| {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(release.join("web/run"), mode).unwrap();
        }));
        assert!(!is_same_after(|release| {
            fs::remove_file(release.join("web/link")).unwrap();
            symlink("page", release.join("web/link")).unwrap();
        }));
    }
}
