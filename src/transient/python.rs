//! The commands that create the Python environment of a release, in `.venv`.

use super::build_step::{BuildStep, Purpose};
use crate::app::{App, Install, Python, Text};

/// Compiles to byte code that is valid for any time stamp. A file that does not compile (a template,
/// test data, the syntax of another version) is skipped, as pip does. A file that cannot be read or
/// written is an error.
const COMPILE: &str = "\
import os, py_compile, sys

def fail(error):
    raise error

for top, _, names in os.walk(sys.argv[1], onerror=fail):
    for path in (os.path.join(top, name) for name in names if name.endswith('.py')):
        try:
            if os.path.isfile(path):
                mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
                py_compile.compile(path, doraise=True, invalidation_mode=mode)
        except OSError:
            raise
        except Exception:
            pass
";

/// Copies the release to a place where packages can be built, because a build of setuptools writes next to its source.
/// Then runs Python with the remaining arguments.
const IN_A_COPY: &str = "\
import os, shutil, sys

source, copy, *words = sys.argv[1:]
leave_out = lambda top, names: ['.venv'] if top == source else []
shutil.copytree(source, copy, symlinks=True, ignore=leave_out)
os.execv(sys.executable, [sys.executable, *words])
";

/// Where packages of the source tree are built. `/tmp` belongs to the command alone.
const COPY: &str = "/tmp/source";

/// The commands for an app. With `wheels`, they need no network.
pub(super) fn steps(app: &App, python: &Python) -> Vec<BuildStep> {
    let current = app.layout.current();
    let interpreter = format!("{current}/.venv/bin/python");
    let is_copied = python.install.iter().any(|one| one.path.is_some());
    let mut install = vec![interpreter.clone()];
    if is_copied {
        install.extend(["-ISB", "-", &current, COPY].map(str::to_owned));
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ];
    install.extend(pip.map(str::to_owned));
    if let Some(wheels) = &python.wheels {
        install.extend(["--no-index".into(), "--find-links".into()]);
        install.push(format!("{current}/{wheels}"));
    }
    for file in &python.requirements {
        install.extend(["-r".into(), format!("{current}/{file}")]);
    }
    for Install { path, name } in &python.install {
        install.push(match path.as_ref().map(Text::as_str) {
            Some(".") => format!("{COPY}{name}"),
            Some(path) => format!("{COPY}/{path}{name}"),
            None => name.to_string(),
        });
    }
    let venv = [
        "/usr/bin/python3",
        "-m",
        "venv",
        &format!("{current}/.venv"),
    ];
    let compile = [
        interpreter.as_str(),
        // Modules of the release must not shadow the standard library (python3(1), "-I").
        "-ISB",
        "-W",
        "ignore",
        "-",
        &format!("{current}/.venv/lib"),
    ];
    let packages = match python.wheels {
        Some(_) => Purpose::PackagesOffline,
        None => Purpose::Packages,
    };
    let step = |argv: Vec<String>, purpose, input| BuildStep {
        argv,
        purpose,
        is_offline: python.wheels.is_some(),
        input,
    };
    vec![
        step(venv.map(str::to_owned).to_vec(), Purpose::Environment, None),
        step(install, packages, is_copied.then_some(IN_A_COPY)),
        step(
            compile.map(str::to_owned).to_vec(),
            Purpose::Compile,
            Some(COMPILE),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::COMPILE;
    use crate::host::{Command, Output};

    /// Creates files with a line of shell, and compiles them.
    fn compiled(create: &str) -> (tempfile::TempDir, Output) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let shell = |line: &str| Command::new(["sh", "-ec", line, "sh", path]).run();
        shell(&format!("cd \"$1\"; {create}")).unwrap();
        let argv = ["python3", "-ISB", "-W", "ignore", "-", path];
        let output = Command::new(argv).input(COMPILE).output().unwrap();
        (dir, output)
    }

    #[test]
    fn a_file_that_does_not_compile_is_skipped() {
        let (dir, output) = compiled(
            "mkdir -p a/b; echo 'x = 1' > a/b/good.py; echo '{{ name }} = 1' > a/b/bad.py; \
             printf 'x = \\000' > a/zero.py; printf '\\377' > a/bytes.py; ln -s absent.py a/link.py",
        );
        assert!(output.success(), "{output:?}");
        let path = dir.path().to_str().unwrap();
        let list = Command::new(["find", path, "-name", "*.pyc", "-printf", "%f\n"]);
        let list = list.run().unwrap();
        assert!(list.starts_with("good.cpython-"), "{list}");
        assert_eq!(list.lines().count(), 1, "{list}");
    }

    #[test]
    fn byte_code_that_cannot_be_written_is_an_error() {
        let (_dir, output) = compiled("mkdir a; echo 'x = 1' > a/good.py; echo > a/__pycache__");
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("NotADirectoryError"), "{output:?}");
    }
}
