//! The files that `release.python` reads: they must be in the release before anything is built.

use super::exclude::Exclude;
use super::made::text_in_source;
use super::source::Source;
use crate::app::{Release, Text, plain_path};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::host::files;
use crate::manifest::nearest;
use crate::payload::{Kind, Payload};
use anyhow::Result;
use std::path::Path;

/// The suffixes of the files that `pip install --find-links` takes.
const PACKAGE_SUFFIXES: [&str; 9] = [
    ".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz",
];

/// The file that describes a package (packaging.python.org, "pyproject.toml").
const PROJECT: &str = "pyproject.toml";
/// What builds a package that says nothing about it (PEP 518).
const DEFAULT_BACKEND: &str = "setuptools";

/// The requirements that a package has for its build, without those for some hosts only; `None` if the text is no
/// TOML.
fn build_requires(project: &str) -> Option<Vec<String>> {
    let table: toml::Table = toml::from_str(project).ok()?;
    let system = table.get("build-system");
    let Some(list) = system.and_then(|system| system.get("requires")?.as_array()) else {
        return Some(vec![DEFAULT_BACKEND.to_owned()]);
    };
    let words = list.iter().filter_map(toml::Value::as_str);
    let words = words.filter(|word| !word.contains([';', '@']));
    Some(words.map(str::to_owned).collect())
}

/// The name of a package at the start of a requirement.
fn name_of(requirement: &str) -> &str {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c));
    let requirement = requirement.trim_start();
    requirement.split(is_end).next().unwrap_or(requirement)
}

/// A name as files of packages have it.
fn plain_name(name: &str) -> String {
    name.to_lowercase().replace(['-', '.'], "_")
}

/// A file or directory of `release.python` that the release would not have.
#[derive(Debug)]
pub struct MissingFile {
    /// The key that names it: `requirements`, `wheels` or `install`.
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
    let files = files.filter_map(|file| case.requirements(&plain_path(file.as_str())));
    let files = files.map(|error| MissingFile {
        key: "requirements",
        error,
    });
    let wheels = python.wheels.iter();
    let wheels = wheels.filter_map(|dir| case.wheels(&plain_path(dir.as_str())));
    let wheels = wheels.map(|error| MissingFile {
        key: "wheels",
        error,
    });
    let packages = python.install.iter().filter_map(|one| one.path.as_ref());
    let packages = packages.filter_map(|path| case.package(path.as_str(), python.wheels.as_ref()));
    let packages = packages.map(|error| MissingFile {
        key: "install",
        error,
    });
    Ok(files.chain(wheels).chain(packages).collect())
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

    /// A package of the source tree that is not there, or whose build backend is not among the wheels.
    fn package(&self, path: &str, wheels: Option<&Text>) -> Option<HintedError> {
        if self.is_link(path) || self.is_behind_link(path) {
            return None;
        }
        let file = |name: &str| match path {
            "." => name.to_owned(),
            path => format!("{path}/{name}"),
        };
        let has = |name: &str| self.payload.get(&file(name)).is_some();
        if !has(PROJECT) && !has("setup.py") {
            let text = format!(
                "the release has no package in `{path}`: neither `{PROJECT}` nor `setup.py`"
            );
            let hint =
                "correct the path in `install`, or see whether `release.exclude` leaves it out";
            return Some(HintedError::new(text, hint));
        }
        let wheels = plain_path(wheels?.as_str());
        if self.is_link(&wheels) || self.is_behind_link(&wheels) {
            return None;
        }
        // What cannot be read or is no TOML, pip reports.
        let project = match has(PROJECT) {
            true => text_in_source(self.source, &file(PROJECT)).ok()?,
            false => String::new(),
        };
        let requires = build_requires(&project)?;
        let is_missing = |one: &&String| !self.has_wheel_of(&wheels, one);
        let missing: Vec<&String> = requires.iter().filter(is_missing).collect();
        let first = missing.first()?;
        let dir = match self.source {
            Source::Directory(dir) => dir.join(&wheels).display().to_string(),
            Source::Archive(_) => wheels.clone(),
        };
        let line = ["python3", "-m", "pip", "wheel", "-w", &dir].map(str::to_owned);
        let line = line.into_iter().chain(missing.iter().copied().cloned());
        Some(HintedError::new(
            format!(
                "`{wheels}` has no wheel of `{}`, with which the package in `{path}` is built",
                name_of(first)
            ),
            Hint::to(
                "add what builds it, with the Python version of this host",
                CommandLine::new(line),
            ),
        ))
    }

    /// Whether a directory has a wheel, or the source, of a package.
    fn has_wheel_of(&self, dir: &str, requirement: &str) -> bool {
        let wanted = plain_name(name_of(requirement));
        self.payload.items.iter().any(|item| {
            let (parent, file) = item.path.rsplit_once('/').unwrap_or((".", &item.path));
            parent == dir && file.split('-').next().map(plain_name).as_ref() == Some(&wanted)
        })
    }

    /// How to fill the directory of wheels.
    fn download(&self, wheels: &str) -> Hint {
        let Source::Directory(dir) = self.source else {
            return "create the archive again, with the wheels in it".into();
        };
        let at = |path: &str| dir.join(path).display().to_string();
        let files = self.release.python.iter().flat_map(|one| &one.requirements);
        let files = files.flat_map(|file| ["-r".to_owned(), at(&plain_path(file.as_str()))]);
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
    use crate::archive::ArchiveFile;
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
            missing(
                dir.path(),
                &Source::Archive(ArchiveFile::at(file.clone())),
                &python,
                "",
            )
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
