//! A throwaway machine with a real systemd: `scripts/container` as a value that cleans up.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// No command of a test takes this long, unless it hangs.
const HANGS_AFTER: &str = "240";
/// Machines of all runs begin with this; the run's pid follows.
const PREFIX: &str = "sys-";

/// Where a command that was begun leaves its pid.
const BEGUN: &str = "/root/begun";

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The script that boots machines.
fn container() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/container")
}

/// Checks that machines can be booted, and removes those of runs that were killed.
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

/// A running machine; dropping it ends it with all that it holds.
pub struct Machine {
    pub name: String,
    pub suite: String,
    root: Mutex<PathBuf>,
    notes: Mutex<String>,
}

/// What a command left behind.
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

    /// Asserts that the data or the talk holds a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(found, "`{text}` is not said by {self}");
        self
    }

    /// Asserts that nothing was said at all.
    #[track_caller]
    pub fn silent(self) -> Self {
        let nothing = self.stdout.trim().is_empty() && self.stderr.trim().is_empty();
        assert!(nothing, "something is said by {self}");
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
    /// The suite may be followed by what its root file system has besides: `bookworm+servers`.
    pub fn boot(suite: &str) -> Self {
        let program = concat!(env!("CARGO_BIN_EXE_robotctl"), ":/usr/bin/robotctl");
        Self::start(suite, &["--bind", program])
    }

    /// Boots a machine of a suite that has no robotctl.
    pub fn bare(suite: &str) -> Self {
        Self::start(suite, &[])
    }

    fn start(suite: &str, options: &[&str]) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        let me = std::env::current_exe().unwrap();
        let mut command = Command::new(container());
        command.args(["boot", suite, &name]);
        command.args(["--bind", &format!("{}:/usr/local/bin/system", me.display())]);
        command.args(options);
        let output = command.output().unwrap();
        let out = Out::new("container boot".into(), &output).exits(0);
        Self {
            root: Mutex::new(root_of(&out)),
            name,
            suite: suite.trim_end_matches("+servers").to_owned(),
            notes: Mutex::new(String::new()),
        }
    }

    /// Binds a directory of this checkout as well, by copying it in.
    pub fn copy_in(&self, from: &Path, to: &str) {
        let to = self.path(to);
        let copied = Command::new("cp").arg("-r").arg(from).arg(&to).status();
        assert!(copied.unwrap().success(), "copying {} in", from.display());
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

    pub fn notes(&self) -> String {
        self.notes.lock().unwrap().clone()
    }

    /// The end of the system journal, for a failure's report.
    pub fn last_words(&self) -> String {
        let argv = "journalctl --no-pager -o short-precise -n 15";
        format!("--- {argv}\n{}", self.sh(argv).stdout)
    }

    /// A command, to be run inside as root in /root.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", HANGS_AFTER])
            .arg(container())
            .args(["exec", &self.name, "--"])
            .args(argv);
        command
    }

    /// A command that lasts as long as the test wants.
    pub fn lasting(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(container());
        command.args(["exec", &self.name, "--"]).args(argv);
        command
    }

    /// Starts a command whose words nobody reads.
    pub fn begin(&self, argv: &[&str]) -> Child {
        let mut command = self.beginning(argv);
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
        silent.stderr(Stdio::null()).spawn().unwrap()
    }

    /// A command as [`Machine::begin`] starts it.
    pub fn beginning(&self, argv: &[&str]) -> Command {
        let noted = format!("echo $$ > {BEGUN} && exec \"$@\"");
        self.command(&[&["sh", "-c", &noted, "sh"], argv].concat())
    }

    /// The pid, inside, of what was begun last, once it shows that it runs.
    pub fn begun(&self) -> String {
        self.read(BEGUN).trim().to_owned()
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

    /// Runs a line of shell that must succeed, and gives what it prints without the last break.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let out = self.sh(line).exits(0);
        out.stdout.trim_end().to_owned()
    }

    /// Runs `robotctl` with arguments that hold no blanks.
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

    /// The body that an address answers with, and the status code in front.
    pub fn get(&self, address: &str) -> String {
        let line = format!(
            "curl --silent --show-error --max-time 10 --write-out ' %{{http_code}}' {address}"
        );
        let out = self.sh(&line);
        let (body, code) = out.stdout.rsplit_once(' ').unwrap_or(("", "000"));
        format!("{code} {}{}", body.trim(), out.stderr.trim())
    }

    /// Where a path inside lies outside. Links are not followed well: they lead outside.
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

    /// Writes a file, with the directories above it.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str, mode: u32) {
        let real = self.path(path);
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::write(&real, text).unwrap_or_else(|error| panic!("{path}: {error}"));
        fs::set_permissions(&real, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The text of a link, empty when there is none.
    pub fn link(&self, path: &str) -> String {
        let target = fs::read_link(self.path(path)).unwrap_or_default();
        target.to_string_lossy().into_owned()
    }
}

/// The machine's `/`, seen from here through its first process.
fn root_of(out: &Out) -> PathBuf {
    Path::new("/proc").join(out.stdout.trim()).join("root")
}

/// Asks until it is so, for what no event announces.
#[track_caller]
pub fn until(what: &str, within: Duration, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < within, "{what}: not within {within:?}");
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
