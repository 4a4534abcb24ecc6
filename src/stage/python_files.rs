//! The files that `release.python` reads: they must be in the release before anything is built.

use super::exclude::Exclude;
use super::source::Source;
use crate::app::Release;
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::host::files;
use crate::manifest::nearest;
use crate::payload::{Kind, Payload};
use anyhow::Result;
use std::path::{Component, Path, PathBuf};

/// The suffixes of the files that `pip install --find-links` takes.
const PACKAGE_SUFFIXES: [&str; 9] = [
    ".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz",
];

/// A file or directory of `release.python` that the release would not have.
#[derive(Debug)]
pub struct MissingFile {
    /// The key that names it: `requirements` or `wheels`.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub error: HintedError,
}

/// Where the files of a release come from, and which of them it would have.
struct Case<'a> {
    source: &'a Source,
    /// The directory of the manifest.
    base: &'a Path,
    release: &'a Release,
    payload: &'a Payload,
    exclude: Exclude,
}

/// The requirement files that the release would not have, and a directory of wheels that it would not have or whose
/// wheels `release.exclude` leaves out. A directory without wheels is enough for requirements that name no package.
/// The environment is made before the build commands run, so no build can create them. `base` is the
/// directory of the manifest.
///
/// # Errors
/// When `release.exclude` cannot be read.
pub fn missing_python_files(
    source: &Source,
    base: &Path,
    release: &Release,
    payload: &Payload,
) -> Result<Vec<MissingFile>> {
    let Some(python) = &release.python else {
        return Ok(Vec::new());
    };
    let case = Case {
        source,
        base,
        release,
        payload,
        exclude: Exclude::new(release)?,
    };
    let files = python.requirements.iter();
    let files = files.filter_map(|file| case.requirements(&plain(file.as_str())));
    let files = files.map(|error| MissingFile {
        key: "requirements",
        error,
    });
    let wheels = python.wheels.iter();
    let wheels = wheels.filter_map(|dir| case.wheels(&plain(dir.as_str())));
    let wheels = wheels.map(|error| MissingFile {
        key: "wheels",
        error,
    });
    Ok(files.chain(wheels).collect())
}

/// A path as the payload has it, and `.` for the release itself.
fn plain(path: &str) -> String {
    let parts = Path::new(path).components();
    let parts = parts.filter(|part| *part != Component::CurDir);
    match parts.collect::<PathBuf>().display().to_string() {
        path if path.is_empty() => ".".to_owned(),
        path => path,
    }
}

impl Case<'_> {
    fn requirements(&self, path: &str) -> Option<HintedError> {
        let is_there = self.payload.get(path).is_some_and(|item| !item.is_dir());
        if is_there || self.is_behind_link(path) {
            return None;
        }
        if let Some(known) = self.left_out("the requirements file", path, false) {
            return Some(known);
        }
        let items = self.payload.items.iter();
        let names: Vec<&str> = items
            .filter(|item| !item.is_dir())
            .map(|item| item.path.as_str())
            .collect();
        let hint = match nearest(path, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "create it, or correct `requirements`".to_owned(),
        };
        Some(HintedError::new(
            format!("the source has no requirements file `{path}`"),
            hint,
        ))
    }

    fn wheels(&self, path: &str) -> Option<HintedError> {
        let is_there = path == "." || self.payload.get(path).is_some_and(|item| !item.is_dir());
        if is_there || self.is_behind_link(path) || self.has_packages(path) {
            return None;
        }
        if let Some(known) = self.left_out("the directory of wheels", path, true) {
            return Some(known);
        }
        if self.payload.get(path).is_some() {
            let wheel = format!("{path}/x.whl");
            let pattern = self.exclude.pattern(Path::new(&wheel), false)?;
            return Some(excluded(&format!("the wheels in `{path}`"), &pattern));
        }
        Some(HintedError::new(
            format!("the source has no directory of wheels `{path}`"),
            self.download(path),
        ))
    }

    /// How to fill the directory of wheels.
    fn download(&self, wheels: &str) -> Hint {
        let Source::Directory(dir) = self.source else {
            return "create the archive again, with the wheels in it".into();
        };
        let at = |path: &str| dir.join(path).display().to_string();
        let files = self.release.python.iter().flat_map(|one| &one.requirements);
        let files = files.flat_map(|file| ["-r".to_owned(), at(&plain(file.as_str()))]);
        let line = ["python3", "-m", "pip", "wheel", "-w", &at(wheels)].map(str::to_owned);
        Hint::to(
            "make them with the Python version of this host",
            CommandLine::new(line.into_iter().chain(files)),
        )
    }

    /// Why a file that exists is not in the release, if that is known.
    fn left_out(&self, what: &str, path: &str, is_dir: bool) -> Option<HintedError> {
        if let Some(pattern) = self.exclude.pattern(Path::new(path), is_dir) {
            return Some(excluded(&format!("{what} `{path}`"), &pattern));
        }
        let Source::Directory(dir) = self.source else {
            return None;
        };
        let beside = self.base.join(path);
        let is_outside = files::exists(&beside) && !beside.starts_with(dir);
        if !is_outside || files::exists(&dir.join(path)) {
            return None;
        }
        let to = dir.join(path);
        let words = [&beside, &to].map(|path| path.display().to_string());
        let copy = ["cp", "-r"].map(str::to_owned).into_iter().chain(words);
        let mut error = HintedError::new(
            format!(
                "{what} `{path}` is outside the source `{}`, so the release does not have it",
                dir.display()
            ),
            Hint::to("copy it into the source", CommandLine::new(copy)),
        );
        if let Some(parent) = to.parent().filter(|parent| !files::exists(parent)) {
            let create = CommandLine::new(["mkdir", "-p", &parent.display().to_string()]);
            let create = Hint::to("create the directory for it", create);
            error.hints.insert(0, create);
        }
        Some(error)
    }

    fn is_link(&self, path: &str) -> bool {
        let item = self.payload.get(path);
        item.is_some_and(|item| matches!(item.kind, Kind::Link(_)))
    }

    /// Whether a link of the release leads to a directory above. Where it leads is known only on the disk.
    fn is_behind_link(&self, path: &str) -> bool {
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        above.into_iter().any(|dir| self.is_link(dir))
    }

    /// Whether a directory of the release holds something that pip installs.
    fn has_packages(&self, dir: &str) -> bool {
        self.payload.items.iter().any(|item| {
            let (parent, name) = item.path.rsplit_once('/').unwrap_or((".", &item.path));
            let is_package = PACKAGE_SUFFIXES.iter().any(|end| name.ends_with(end));
            parent == dir && is_package && !item.is_dir()
        })
    }
}

fn excluded(what: &str, pattern: &str) -> HintedError {
    HintedError::new(
        format!("`{pattern}` in `release.exclude` leaves {what} out of the release"),
        "remove the pattern: the build reads them from the release, and not from the source",
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test makes its own files")]

    use super::missing_python_files;
    use crate::app::App;
    use crate::manifest::parse;
    use crate::stage::scan::scan;
    use crate::stage::source::Source;
    use std::fs;
    use std::path::Path;

    const FILES: [&str; 7] = [
        "src/requirements.txt",
        "src/wheels/paper-1.0-py3-none-any.whl",
        "src/empty/README",
        "src/deep/requirements.txt",
        "beside/paper-1.0-py3-none-any.whl",
        "vendor/beside/paper-1.0.tar.xz",
        "other.txt",
    ];

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in FILES {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("wheels", dir.path().join("src/link")).unwrap();
        dir
    }

    /// Each missing file, as `key: message | hint`.
    fn missing(base: &Path, source: &Source, python: &str, exclude: &str) -> Vec<String> {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[release]\nexclude = [{exclude}]\npython = {{ {python} }}\n\
             [service.web]\nexec = [\"/bin/w\"]\n"
        );
        let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
        // An archive of the same files has the same payload.
        let files = Source::Directory(base.join("src"));
        let payload = scan(&files, &app.release, None).unwrap().payload;
        let found = missing_python_files(source, base, &app.release, &payload).unwrap();
        let line = |one: &super::MissingFile| {
            let hints = one.error.hints.iter().map(|hint| format!(" | {hint}"));
            let text = format!("{}: {}{}", one.key, one.error, hints.collect::<String>());
            text.replace(&base.display().to_string(), "BASE")
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn what_the_release_has_is_not_missing() {
        let dir = tree();
        let src = Source::Directory(dir.path().join("src"));
        for python in [
            "requirements = [\"requirements.txt\"]",
            "requirements = [\"./requirements.txt\", \"deep/requirements.txt\"], wheels = \"wheels/\"",
            "requirements = [\"requirements.txt\"], wheels = \"./link\"",
            "requirements = [\".//deep/./requirements.txt\"], wheels = \"wheels/./\"",
            // Requirements may name no package, and pip takes a file as well.
            "requirements = [\"requirements.txt\"], wheels = \"empty\"",
            "requirements = [\"requirements.txt\"], wheels = \".\"",
            "requirements = [\"requirements.txt\"], wheels = \"wheels/paper-1.0-py3-none-any.whl\"",
        ] {
            assert_eq!(missing(dir.path(), &src, python, ""), [""; 0], "{python}");
        }
    }

    const GOOD: &str = "requirements = [\"requirements.txt\"]";

    #[test]
    fn each_missing_file_says_why_and_what_to_type() {
        let dir = tree();
        let src = Source::Directory(dir.path().join("src"));
        let wheels = |dir: &str| format!("{GOOD}, wheels = \"{dir}\"");
        let download =
            "make them with the Python version of this host: python3 -m pip wheel -w BASE/src/";
        for (python, exclude, expected) in [
            (
                "requirements = [\"requirement.txt\"]".to_owned(),
                "",
                "requirements: the source has no requirements file `requirement.txt` | did you mean `requirements.txt`?"
                    .to_owned(),
            ),
            (
                "requirements = [\"deep\"]".to_owned(),
                "",
                "requirements: the source has no requirements file `deep` | create it, or correct `requirements`"
                    .to_owned(),
            ),
            (
                "requirements = [\"deep/requirements.txt\"]".to_owned(),
                "\"/deep\"",
                "requirements: `/deep` in `release.exclude` leaves the requirements file `deep/requirements.txt` out of \
                 the release | remove the pattern: the build reads them from the release, and not from the source"
                    .to_owned(),
            ),
            (
                "requirements = [\"other.txt\"]".to_owned(),
                "",
                "requirements: the requirements file `other.txt` is outside the source `BASE/src`, so the release does \
                 not have it | copy it into the source: cp -r BASE/other.txt BASE/src/other.txt"
                    .to_owned(),
            ),
            (
                wheels("wheels"),
                "\"wheels/\"",
                "wheels: `wheels/` in `release.exclude` leaves the directory of wheels `wheels` out of the release | \
                 remove the pattern: the build reads them from the release, and not from the source"
                    .to_owned(),
            ),
            (
                wheels("wheels"),
                "\"*.whl\"",
                "wheels: `*.whl` in `release.exclude` leaves the wheels in `wheels` out of the release | remove the \
                 pattern: the build reads them from the release, and not from the source"
                    .to_owned(),
            ),
            (
                wheels("beside"),
                "",
                "wheels: the directory of wheels `beside` is outside the source `BASE/src`, so the release does not \
                 have it | copy it into the source: cp -r BASE/beside BASE/src/beside"
                    .to_owned(),
            ),
            (
                wheels("vendor/beside"),
                "",
                "wheels: the directory of wheels `vendor/beside` is outside the source `BASE/src`, so the release does \
                 not have it | create the directory for it: mkdir -p BASE/src/vendor | copy it into the source: cp -r \
                 BASE/vendor/beside BASE/src/vendor/beside"
                    .to_owned(),
            ),
            (
                wheels("absent"),
                "",
                format!(
                    "wheels: the source has no directory of wheels `absent` | {download}absent -r \
                     BASE/src/requirements.txt"
                ),
            ),
        ] {
            assert_eq!(missing(dir.path(), &src, &python, exclude), [expected]);
        }
    }

    #[test]
    fn an_archive_is_judged_by_what_it_holds() {
        let dir = tree();
        let file = dir.path().join("a.tar");
        let of = |wheels: &str| {
            let python = format!("requirements = [\"requirements.txt\"], wheels = \"{wheels}\"");
            missing(dir.path(), &Source::Archive(file.clone()), &python, "")
        };
        assert_eq!(of("wheels"), [""; 0]);
        assert_eq!(
            of("beside"),
            [
                "wheels: the source has no directory of wheels `beside` | create the archive again, with the wheels in it"
            ]
        );
    }
}
