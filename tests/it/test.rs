//! Runs the real binary on a temporary root, with an application's directory beside it. The checks
//! are strict: a test states everything that a run prints, or it fails.

use crate::tree::{self, Tree};
use serde_json::Value;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// An application of one service, without its source.
pub(crate) const SHOP: &str = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
                               [release]\nsource = \"src\"\n\
                               [service.web]\nexec = [\"{current}/bin/web\"]\n";

/// A host's tree and an application to deploy on it.
#[derive(Debug)]
pub(crate) struct Test {
    dir: TempDir,
}

/// A command to run.
#[derive(Debug)]
#[must_use = "the command runs in `success` or `status`"]
pub(crate) struct Run<'a> {
    test: &'a Test,
    case: String,
    before: Vec<String>,
    args: Vec<String>,
    root: Option<PathBuf>,
    dir: PathBuf,
    stdout: Option<String>,
    stderr: Option<String>,
    env: Vec<(String, String)>,
    input: Vec<u8>,
}

/// What a command printed, with paths and digests replaced by placeholders.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Test {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("make a temporary directory");
        for name in ["root", "app"] {
            std::fs::create_dir(dir.path().join(name)).expect("make a directory");
        }
        Self { dir }
    }

    /// A host with [`SHOP`] beside it, ready to be deployed.
    pub(crate) fn shop() -> Self {
        Self::new()
            .manifest(SHOP)
            .program("src/bin/web", "#!/bin/sh\n")
    }

    /// Writes the manifest.
    pub(crate) fn manifest(self, text: &str) -> Self {
        self.write("robot.toml", text);
        self
    }

    /// Writes a file of the application.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    /// Writes a program of the application.
    pub(crate) fn program(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self.mode(path, 0o755);
        self
    }

    /// Makes a link in the application's directory.
    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.app(path)).expect("make a link");
        self
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.app(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
        std::fs::write(path, text).expect("write a file");
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.app(path), mode).expect("set a mode");
    }

    /// A path in the application's directory.
    pub(crate) fn app(&self, path: &str) -> PathBuf {
        self.dir.path().join("app").join(path)
    }

    /// A path below the root.
    pub(crate) fn root(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    /// A path outside both.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Lets every user of this machine read the application.
    pub(crate) fn open_to_all(&self) {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.dir.path(), mode).expect("set a mode");
    }

    /// Everything below the root.
    pub(crate) fn tree(&self) -> Tree {
        tree::read(&self.root(""))
    }

    /// The host's state: everything except the lock, which every command takes, and the history,
    /// which every command extends, also one that is refused.
    pub(crate) fn state(&self) -> Tree {
        let all = self.tree();
        let informs = ["/history.", "/attempts."];
        tree::only(&all, |path| {
            !(path.ends_with("/lock") || informs.iter().any(|part| path.contains(part)))
        })
    }

    /// Waits until a file of the application is older than two seconds. A younger file can change
    /// again under the same time stamp, so the next deploy reads it once more and says so.
    pub(crate) fn settle(&self, path: &str) {
        let file = self.app(path);
        let time = || file.metadata().unwrap().modified().unwrap();
        while time().elapsed().unwrap() < Duration::from_millis(2100) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A command on the tree below the root, run in the application's directory.
    pub(crate) fn run<T: AsRef<str>>(&self, args: impl AsRef<[T]>) -> Run<'_> {
        Run {
            test: self,
            case: String::new(),
            before: Vec::new(),
            args: args
                .as_ref()
                .iter()
                .map(|arg| arg.as_ref().to_owned())
                .collect(),
            root: Some(self.root("")),
            dir: self.app(""),
            stdout: Some(String::new()),
            stderr: Some(String::new()),
            env: Vec::new(),
            input: Vec::new(),
        }
    }

    /// Replaces everything that differs from run to run.
    pub(crate) fn plain(&self, text: &str) -> String {
        let dir = self.dir.path().display().to_string();
        let text = text.replace(&dir, "[DIR]");
        digests(&without_login(&text))
    }
}

impl Ended {
    /// The lines of `--format json`.
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    /// The lines of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Value> {
        let mut lines = self.json();
        lines.retain(|line| line["kind"] == kind);
        lines
    }

    /// The data of the lines of a kind.
    pub(crate) fn data(&self, kind: &str) -> Vec<Value> {
        let lines = self.of_kind(kind).into_iter();
        lines.map(|mut line| line["data"].take()).collect()
    }
}

impl Run<'_> {
    /// Names the case in failures of a table test.
    pub(crate) fn case(mut self, name: &str) -> Self {
        self.case = format!("{name}: ");
        self
    }

    /// Expects exactly this on stdout.
    pub(crate) fn stdout(mut self, text: &str) -> Self {
        self.stdout = Some(text.to_owned());
        self
    }

    /// Expects exactly this on stderr.
    pub(crate) fn stderr(mut self, text: &str) -> Self {
        self.stderr = Some(text.to_owned());
        self
    }

    /// Passes this to standard input.
    pub(crate) fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        bytes.as_ref().clone_into(&mut self.input);
        self
    }

    /// Accepts anything on stdout.
    pub(crate) fn any_stdout(mut self) -> Self {
        self.stdout = None;
        self
    }

    /// Accepts anything on stderr.
    pub(crate) fn any_stderr(mut self) -> Self {
        self.stderr = None;
        self
    }

    /// Works on another root.
    pub(crate) fn on(mut self, root: &Path) -> Self {
        self.root = Some(root.to_owned());
        self
    }

    /// Runs in another directory.
    pub(crate) fn from(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.dir);
        self
    }

    /// Works on this machine, without `--root`.
    pub(crate) fn on_this_host(mut self) -> Self {
        self.root = None;
        self
    }

    /// Runs as a user without privileges; the caller must be root and the tree open to all.
    pub(crate) fn by_other_user(self) -> Self {
        let ids = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        self.through(&ids)
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the command through another program.
    pub(crate) fn through(mut self, argv: &[&str]) -> Self {
        self.before = argv.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    #[track_caller]
    pub(crate) fn success(self) -> Ended {
        self.status(0)
    }

    /// Runs the command; fails unless exit code and output are as expected.
    #[track_caller]
    pub(crate) fn status(self, code: i32) -> Ended {
        let mut argv = self.before.clone();
        argv.push(env!("CARGO_BIN_EXE_robotctl").to_owned());
        argv.extend(self.args.iter().cloned());
        if let Some(root) = &self.root {
            argv.push("--root".into());
            argv.push(root.display().to_string());
        }
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .current_dir(&self.dir)
            .stdin(input(&self.input))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("SUDO_USER", "alice")
            .env("SUDO_UID", "1000")
            .envs(self.env)
            .output()
            .expect("start robotctl");
        let stdout = self.test.plain(&String::from_utf8_lossy(&output.stdout));
        let stderr = self.test.plain(&String::from_utf8_lossy(&output.stderr));
        let shown = format!("{}`{}`", self.case, argv.join(" "));
        let wrong = output.status.code() != Some(code);
        assert!(
            !wrong,
            "{shown} ended with {} where {code} was expected\n--- stdout\n{stdout}--- stderr\n{stderr}",
            output.status
        );
        for (name, found, wanted) in [
            ("stdout", &stdout, &self.stdout),
            ("stderr", &stderr, &self.stderr),
        ] {
            let Some(wanted) = wanted else { continue };
            let diff = similar::TextDiff::from_lines(wanted, found);
            assert!(
                wanted == found,
                "{shown} printed something else on {name}\n{}\n--- all of it\n{found}",
                diff.unified_diff().header("expected", "found")
            );
        }
        assert_hints(&shown, &stderr);
        let ended = Ended { stdout, stderr };
        if self.args.iter().any(|arg| arg == "json") {
            for line in ended
                .of_kind("error")
                .iter()
                .chain(&ended.of_kind("app-error"))
            {
                let hints = line["hints"].as_array();
                assert!(hints.is_some_and(|it| !it.is_empty()), "{shown}: {line}");
            }
        }
        ended
    }
}

/// Standard input with these bytes.
fn input(bytes: &[u8]) -> Stdio {
    let mut file = tempfile::tempfile().expect("make a temporary file");
    file.write_all(bytes).expect("write a temporary file");
    file.rewind().expect("rewind a temporary file");
    file.into()
}

/// Fails unless a hint follows every error.
#[track_caller]
fn assert_hints(shown: &str, stderr: &str) {
    let stderr = format!("\n{stderr}");
    for error in stderr.split("\nerror: ").skip(1) {
        // The parser of the command line has words of its own.
        let mut lines = error.lines().map(str::trim_start);
        let has_hint = lines.any(|line| {
            line.starts_with("hint: ") || line.starts_with("For more information, try")
        });
        assert!(
            has_hint,
            "{shown}: no hint follows `error: {error}`\n{stderr}"
        );
    }
}

/// The text without the login of the person who runs the tests, which some machines do not have.
fn without_login(text: &str) -> String {
    let mut parts = text.split(",\"login_uid\":");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// `-[ID]` for the digest of a release, `[HASH]` for that of a plan.
fn digests(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let run = rest.find(|c: char| !c.is_ascii_hexdigit());
        let run = run.unwrap_or(rest.len());
        let starts = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
        let (token, width) = match run {
            12 if out.ends_with('-') => ("[ID]", 12),
            16 | 64 if starts => ("[HASH]", run),
            _ => ("", 0),
        };
        if width > 0 {
            out.push_str(token);
            rest = &rest[width..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

#[test]
fn only_digests_are_replaced() {
    assert_eq!(
        digests("1.0-0123456789ab is live"),
        "1.0-[ID] is live",
        "a release"
    );
    assert_eq!(digests("plan `0123456789abcdef`"), "plan `[HASH]`");
    assert_eq!(digests("a-0123456789abc-dead"), "a-0123456789abc-dead");
}
