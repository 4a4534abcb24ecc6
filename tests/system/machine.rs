//! A disposable machine with a real systemd: wraps `scripts/container` and cleans up on drop.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A command that takes longer than this, in seconds, hangs.
const HANGS_AFTER: &str = "600";
/// How long a test waits for an event that must happen, even on a busy host.
const PATIENCE: Duration = Duration::from_secs(180);
/// The names of all machines begin with this; the pid of the run follows.
const PREFIX: &str = "sys-";

/// The file with the pid of the last spawned command.
const SPAWNED_PID: &str = "/root/begun";

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The script that boots machines.
fn container() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/container")
}

/// Checks that machines can be booted, and removes those of killed runs.
pub fn ready() -> Result<(), String> {
    let uid = Command::new("id").arg("-u").output();
    if uid.map_err(|error| error.to_string())?.stdout != b"0\n" {
        return Err(
            "system tests boot machines and need root: `sudo -E cargo test --test system`".into(),
        );
    }
    for tool in ["systemd-nspawn", "nsenter", "mmdebstrap"] {
        let found = Command::new("which")
            .arg(tool)
            .stdout(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(format!(
                "`{tool}` is missing: `sudo scripts/container setup` installs it"
            ));
        }
    }
    let list = Command::new(container()).arg("list").output();
    let list = list.map_err(|error| format!("scripts/container: {error}"))?;
    for line in String::from_utf8_lossy(&list.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let run = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'));
        // Digits only: other tools may use the prefix too.
        if let Some((pid, _)) = run
            && pid.parse::<u32>().is_ok()
            && !Path::new("/proc").join(pid).exists()
        {
            let _ = Command::new(container()).args(["stop", name]).status();
        }
    }
    Ok(())
}

/// A running machine. Dropping it removes it.
pub struct Machine {
    pub name: String,
    pub suite: String,
    root: Mutex<PathBuf>,
    notes: Mutex<String>,
}

/// The result of a command.
#[derive(Debug)]
pub struct Out {
    shown: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Out {
    pub fn new(shown: String, output: &Output) -> Self {
        Self {
            shown,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code of {self}");
        self
    }

    /// Asserts that stdout or stderr contains a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            found,
            "`{text}` is not printed by {self}, which prints:\n{}{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The data of the envelopes that `--format json` printed. All must be of one kind, and a result
    /// must follow.
    #[track_caller]
    pub fn data(&self, kind: &str) -> Vec<Value> {
        let lines = self.stdout.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{self}"));
            line
        });
        let mut lines: Vec<Value> = lines.collect();
        let result = lines.pop().unwrap_or_default();
        assert_eq!(result["kind"], "result", "the last line of {self}");
        assert_eq!(result["exit_code"], self.code, "the last line of {self}");
        for line in &lines {
            assert_eq!(line["kind"], kind, "{line} in {self}");
        }
        let data = lines.iter_mut().map(|line| line["data"].take());
        data.collect()
    }

    /// Asserts that nothing was printed.
    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        let nothing = self.stdout.trim().is_empty() && self.stderr.trim().is_empty();
        assert!(nothing, "unexpected output of {self}");
        self
    }
}

impl std::fmt::Display for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            shown,
            code,
            stdout,
            stderr,
        } = self;
        write!(f, "`{shown}` (exit code {code})\n{stdout}{stderr}")
    }
}

impl Machine {
    /// Boots a machine of a suite with the binary under test as /usr/bin/robotctl.
    pub fn boot(suite: &str) -> Self {
        let program = concat!(env!("CARGO_BIN_EXE_robotctl"), ":/usr/bin/robotctl");
        Self::start(suite, &["--bind", program])
    }

    /// The same in a container that keeps systemd from loading BPF programs.
    pub fn boot_without_bpf(suite: &str) -> Self {
        let program = concat!(env!("CARGO_BIN_EXE_robotctl"), ":/usr/bin/robotctl");
        Self::start(suite, &["--without-bpf", "--bind", program])
    }

    /// The same in a container with users of its own, as one without privileges has.
    pub fn boot_with_private_users(suite: &str) -> Self {
        let program = concat!(env!("CARGO_BIN_EXE_robotctl"), ":/usr/bin/robotctl");
        Self::start(suite, &["--private-users", "--bind", program])
    }

    /// Boots a machine of a suite without robotctl.
    pub fn bare(suite: &str) -> Self {
        Self::start(suite, &[])
    }

    fn start(suite: &str, options: &[&str]) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        let me = std::env::current_exe().unwrap();
        let mut command = Command::new(container());
        // All tests use one root file system: it would only take time to make one without the servers.
        let root = match suite {
            "bullseye" => suite.to_owned(),
            _ => format!("{suite}+servers"),
        };
        command.args(["boot", &root, &name]);
        command.args(["--bind", &format!("{}:/usr/local/bin/system", me.display())]);
        command.args(options);
        let output = command.output().unwrap();
        let out = Out::new("container boot".into(), &output).exits(0);
        Self {
            root: Mutex::new(root_of(&out)),
            name,
            suite: suite.to_owned(),
            notes: Mutex::new(String::new()),
        }
    }

    /// Copies a file or directory into the machine.
    pub fn copy_in(&self, from: &Path, to: &str) {
        let to = self.path(to);
        let copied = Command::new("cp").arg("-r").arg(from).arg(&to).status();
        assert!(
            copied.unwrap().success(),
            "copying {} into the machine",
            from.display()
        );
    }

    /// Cuts the power: every process dies at once, and the machine boots again from its disk.
    pub fn cut_power(&self) {
        let output = Command::new(container())
            .args(["cut", &self.name])
            .output()
            .unwrap();
        let out = Out::new("container cut".into(), &output).exits(0);
        *self.root.lock().unwrap() = root_of(&out);
    }

    /// Keeps a measurement for the report.
    pub fn note(&self, text: &str) {
        let mut notes = self.notes.lock().unwrap();
        notes.push_str(text);
        notes.push('\n');
    }

    /// Notes a row of a table that `scripts/prove` writes to the documents. It adds the first cell, the
    /// version of systemd.
    pub fn row(&self, table: &str, cells: &[String]) {
        let version = if self.suite == "trixie" { "257" } else { "252" };
        self.note(&format!(
            "table {table} | {version} | {} |",
            cells.join(" | ")
        ));
    }

    pub fn notes(&self) -> String {
        self.notes.lock().unwrap().clone()
    }

    /// The end of the system journal, for the report of a failure.
    pub fn journal_tail(&self) -> String {
        let argv = "journalctl --no-pager -o short-precise -n 15";
        format!("--- {argv}\n{}", self.sh(argv).stdout)
    }

    /// A command that runs inside as root in /root, with a time limit.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", HANGS_AFTER])
            .arg(container())
            .args(["exec", &self.name, "--"])
            .args(argv);
        command
    }

    /// A command without a time limit.
    pub fn long_command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(container());
        command.args(["exec", &self.name, "--"]).args(argv);
        command
    }

    /// Starts a command and discards its output.
    pub fn spawn(&self, argv: &[&str]) -> Child {
        let mut command = self.spawn_command(argv);
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
        silent.stderr(Stdio::null()).spawn().unwrap()
    }

    /// A command that writes its pid to a file, as [`Machine::spawn`] starts it.
    pub fn spawn_command(&self, argv: &[&str]) -> Command {
        let noted = format!("echo $$ > {SPAWNED_PID} && exec \"$@\"");
        self.command(&[&["sh", "-c", &noted, "sh"], argv].concat())
    }

    /// The pid, inside the machine, of the last spawned command.
    pub fn spawned_pid(&self) -> String {
        self.read(SPAWNED_PID).trim().to_owned()
    }

    /// Runs a command to its end.
    pub fn run(&self, argv: &[&str]) -> Out {
        let output = self.command(argv).stdin(Stdio::null()).output().unwrap();
        Out::new(argv.join(" "), &output)
    }

    /// Runs a line of shell.
    pub fn sh(&self, line: &str) -> Out {
        let output = self.command(&["bash", "-c", line]).output().unwrap();
        Out::new(line.to_owned(), &output)
    }

    /// Runs a line of shell that must succeed, and returns its output without the last line break.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let out = self.sh(line).exits(0);
        out.stdout.trim_end().to_owned()
    }

    /// Runs `robotctl` with arguments that contain no blanks.
    pub fn robotctl(&self, arguments: &str) -> Out {
        let argv: Vec<&str> = ["robotctl"]
            .into_iter()
            .chain(arguments.split_whitespace())
            .collect();
        self.run(&argv)
    }

    /// One property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.ok(&format!(
            "systemctl show --value --property {name} -- {unit}"
        ))
    }

    /// The status code and the body of an HTTP answer.
    pub fn get(&self, address: &str) -> String {
        let line = format!(
            "curl --silent --show-error --max-time 10 --write-out ' %{{http_code}}' {address}"
        );
        let out = self.sh(&line);
        let (body, code) = out.stdout.rsplit_once(' ').unwrap_or(("", "000"));
        format!("{code} {}{}", body.trim(), out.stderr.trim())
    }

    /// The path outside of a path inside. Do not use it through links: they lead outside.
    pub fn path(&self, path: &str) -> PathBuf {
        let root = self.root.lock().unwrap();
        root.join(path.trim_start_matches('/'))
    }

    pub fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Writes a file, and creates its parent directories.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str, mode: u32) {
        let real = self.path(path);
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::write(&real, text).unwrap_or_else(|error| panic!("{path}: {error}"));
        fs::set_permissions(&real, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The target of a link; empty if there is none.
    pub fn link(&self, path: &str) -> String {
        let target = fs::read_link(self.path(path)).unwrap_or_default();
        target.to_string_lossy().into_owned()
    }
}

/// The machine's `/`, as the host sees it through the first process.
fn root_of(out: &Out) -> PathBuf {
    Path::new("/proc").join(out.stdout.trim()).join("root")
}

/// Polls a condition that no event announces. The time that it takes decides nothing: it depends on
/// how busy the host is.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let stopped = Command::new(container())
            .args(["stop", &self.name])
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!("system: `{}` was left behind", self.name);
        }
    }
}
