//! What the payload shows: the architecture of its programs, and the interpreters that they need.

use crate::app::{App, PYTHON_DIR};
use crate::error::{HintedError, fail};
use anyhow::Result;

/// What an ELF file says of its architecture (`e_machine`, elf(5)), and the word of Debian for it.
const ARCHITECTURES: &[(u16, &str)] = &[
    (62, "amd64"),
    (183, "arm64"),
    (40, "armhf"),
    (3, "i386"),
    (243, "riscv64"),
    (21, "ppc64el"),
    (22, "s390x"),
    (258, "loong64"),
];

/// Interpreters that Debian has in packages, by their paths.
const INTERPRETERS: &[(&str, &str)] = &[
    ("/usr/bin/java", "default-jre-headless"),
    ("/usr/bin/node", "nodejs"),
    ("/usr/bin/php", "php-cli"),
    ("/usr/bin/python3", "python3"),
    ("/usr/bin/ruby", "ruby"),
    ("/usr/sbin/nginx", "nginx"),
];

/// The architecture of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// No file depends on it.
    All,
    /// The one of its programs.
    One(&'static str),
}

impl Architecture {
    /// Debian's word for it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::One(name) => name,
        }
    }
}

/// A file of the payload that is a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Its path in the payload.
    pub(crate) path: String,
    /// `e_machine` of an ELF file.
    pub(crate) machine: Option<u16>,
    /// The interpreter of a script.
    pub(crate) interpreter: Option<String>,
    /// Whether it loads libraries.
    pub(crate) is_dynamic: bool,
}

/// The architecture of the payload.
///
/// # Errors
/// A [`HintedError`] when its files are for different ones, or for one that Debian does not have.
pub(crate) fn architecture(files: &[FoundFile]) -> Result<Architecture> {
    let mut found: Option<(&str, &str)> = None;
    for file in files {
        let Some(machine) = file.machine else {
            continue;
        };
        let known = ARCHITECTURES.iter().find(|(number, _)| *number == machine);
        let Some((_, name)) = known else {
            return fail(
                format!(
                    "`{}` is a program for an architecture that Debian does not have (e_machine {machine})",
                    file.path
                ),
                "list it in `release.exclude`",
            );
        };
        match found {
            Some((first, other)) if other != *name => {
                return fail(
                    format!(
                        "`{first}` is a program for {other}, and `{}` is one for {name}",
                        file.path
                    ),
                    "a package is for one architecture: make one package for each, and list the other files in `release.exclude`",
                );
            }
            Some(_) => {}
            None => found = Some((&file.path, name)),
        }
    }
    Ok(found.map_or(Architecture::All, |(_, name)| Architecture::One(name)))
}

/// The packages with the interpreters that the app needs.
///
/// # Errors
/// A [`HintedError`] when a script needs a program of the machine that made it.
pub(crate) fn dependencies(app: &App, files: &[FoundFile]) -> Result<Vec<String>> {
    let services = app.services.iter();
    let programs = services.filter_map(|service| service.exec.first());
    let programs = programs.map(|word| word.as_str().to_owned());
    let of_scripts = files.iter().filter_map(|file| file.interpreter.clone());
    let mut out = Vec::new();
    for program in programs.chain(of_scripts) {
        let known = INTERPRETERS.iter().find(|(path, _)| *path == program);
        out.extend(known.map(|(_, package)| (*package).to_owned()));
    }
    if let Some(minor) = files.iter().find_map(|file| python_version(&file.path)) {
        // Its modules are in a directory of this version, which another one does not look into.
        out.retain(|package| package != "python3");
        out.push(format!("python3 (>= 3.{minor})"));
        out.push(format!("python3 (<< 3.{})", minor + 1));
    }
    out.sort_unstable();
    out.dedup();
    check_interpreters(app, files)?;
    Ok(out)
}

/// The minor version of Python whose environment a path of the payload belongs to: `.venv/lib/python3.11/…`.
fn python_version(path: &str) -> Option<u32> {
    let rest = path
        .strip_prefix(PYTHON_DIR)?
        .strip_prefix("/lib/python3.")?;
    rest.split('/').next()?.parse().ok()
}

/// Directories of the machine that made the payload, and of no other.
const OF_THIS_MACHINE: [&str; 4] = ["/home/", "/root/", "/tmp/", "/var/tmp/"];

/// Refuses scripts whose interpreter is not on another machine: those of a virtual environment hold its path.
fn check_interpreters(app: &App, files: &[FoundFile]) -> Result<(), HintedError> {
    let current = format!("{}/", app.layout.current());
    let foreign = files.iter().find_map(|file| {
        let program = file.interpreter.as_deref()?;
        let is_foreign = OF_THIS_MACHINE.iter().any(|dir| program.starts_with(dir))
            || program.starts_with("/opt/") && !program.starts_with(&current);
        is_foreign.then_some((file, program))
    });
    let Some((file, program)) = foreign else {
        return Ok(());
    };
    Err(HintedError::new(
        format!(
            "`{}` needs `{program}`, which only this machine has",
            file.path
        ),
        "let `release.python` or a command of `release.build` make the environment: they see the release where it will be",
    ))
}

#[cfg(test)]
mod tests {
    use super::{Architecture, FoundFile, architecture, dependencies};
    use crate::app::App;
    use crate::manifest::parse;

    fn elf(path: &str, machine: u16) -> FoundFile {
        FoundFile {
            path: path.into(),
            machine: Some(machine),
            interpreter: None,
            is_dynamic: false,
        }
    }

    fn script(path: &str, interpreter: &str) -> FoundFile {
        FoundFile {
            path: path.into(),
            machine: None,
            interpreter: Some(interpreter.into()),
            is_dynamic: false,
        }
    }

    #[test]
    fn a_package_is_for_the_architecture_of_its_programs() {
        assert_eq!(
            architecture(&[script("a", "/bin/sh")]).unwrap(),
            Architecture::All
        );
        let both = [elf("a", 62), elf("b", 62)];
        assert_eq!(architecture(&both).unwrap(), Architecture::One("amd64"));
        for (files, error) in [
            (
                vec![elf("a", 62), elf("b", 183)],
                "`a` is a program for amd64, and `b` is one for arm64",
            ),
            (
                vec![elf("a", 9999)],
                "an architecture that Debian does not have",
            ),
        ] {
            let message = architecture(&files).unwrap_err().to_string();
            assert!(message.contains(error), "{message}");
        }
    }

    #[test]
    fn interpreters_become_dependencies() {
        let text = "[app]\nname = \"shop\"\nversion = \"1.0\"\n[service.web]\nexec = [\"/usr/bin/node\", \"a\"]\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let of = |files: &[FoundFile]| dependencies(&app, files);
        assert_eq!(of(&[]).unwrap(), ["nodejs"]);
        let venv = [
            script("bin/x", "/usr/bin/python3"),
            script(".venv/bin/pip", "/opt/shop/current/.venv/bin/python"),
            FoundFile {
                path: ".venv/lib/python3.11/site-packages/a.py".into(),
                machine: None,
                interpreter: None,
                is_dynamic: false,
            },
        ];
        assert_eq!(
            of(&venv).unwrap(),
            ["nodejs", "python3 (<< 3.12)", "python3 (>= 3.11)"]
        );
        let foreign =
            of(&[script(".venv/bin/pip", "/home/ann/shop/.venv/bin/python")]).unwrap_err();
        assert!(
            foreign.to_string().contains("which only this machine has"),
            "{foreign}"
        );
    }
}
