//! Running other programs. Errors show the command as you would type it.

use super::clock::Deadline;
use super::environment::variable;
use super::signals::interrupted;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

/// How often a wait for a program checks for an interrupt.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A program that cannot be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingProgram(String);

impl fmt::Display for MissingProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program `{}` is not installed", self.0)
    }
}

impl std::error::Error for MissingProgram {}

/// Whether a program is on `PATH`.
pub fn is_installed(program: &str) -> bool {
    // Without it, execvp(3) looks in these.
    let path = variable("PATH").unwrap_or_else(|| "/bin:/usr/bin".to_owned());
    let mut dirs = path.split(':').filter(|dir| !dir.is_empty());
    dirs.any(|dir| Path::new(dir).join(program).is_file())
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    input: Option<Vec<u8>>,
    ids: Option<(u32, u32)>,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 + signal when it was killed.
    pub code: i32,
    /// Standard output as text.
    pub stdout: String,
    /// Standard error as text.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

impl Command {
    /// A program and its arguments, found on `PATH`.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            input: None,
            ids: None,
        }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets standard input, which is empty otherwise.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Runs it as the user and in the group with these ids, in no other group, and in `/`. Only root can.
    /// A process of the same user can take it over, so it must be a user that no other process has, and the
    /// caller must have no terminal.
    #[must_use]
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        self.ids = Some((uid, gid));
        self
    }

    /// The command as you would type it.
    pub fn shown(&self) -> String {
        self.argv.join(" ")
    }

    /// Runs the command to its end, with any exit code.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn output(&self) -> Result<Output> {
        self.wait(self.spawn()?)
    }

    /// Runs a program that prints little to its end. Kills it and returns `None` when the time is over
    /// or the user interrupts the wait.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn output_within(&self, time: Duration) -> Result<Option<Output>> {
        let deadline = Deadline::after(time);
        self.output_while(|| !deadline.is_over() && !interrupted())
    }

    /// Runs a program that prints little to its end, and calls `go_on` several times a second. Kills the
    /// program and returns `None` when that returns false.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn output_while(&self, go_on: impl FnMut() -> bool) -> Result<Option<Output>> {
        self.follow(self.spawn()?, go_on)
    }

    /// Runs a program that prints little to its end, with a file as its standard input. Kills it and returns `None`
    /// when the user interrupts the wait.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn output_with_file(&self, input: File) -> Result<Option<Output>> {
        self.follow(self.spawn_with(input.into())?, || !interrupted())
    }

    fn follow(&self, mut child: Child, mut go_on: impl FnMut() -> bool) -> Result<Option<Output>> {
        let mut stderr = child
            .stderr
            .take()
            .context("standard error is not a pipe")?;
        let mut written = Vec::new();
        loop {
            if !go_on() {
                child.kill().ok();
                child.wait().ok();
                return Ok(None);
            }
            let pause = PollTimeout::try_from(POLL_INTERVAL);
            let mut watched = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut watched, pause.unwrap_or(PollTimeout::ZERO));
            let mut buffer = [0; 4096];
            // A signal also ends poll(2).
            if ready.is_ok_and(|count| count > 0) {
                match stderr.read(&mut buffer).unwrap_or(0) {
                    0 => break,
                    count => written.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                }
            }
        }
        let mut output = self.wait(child)?;
        output.stderr = String::from_utf8_lossy(&written).into_owned();
        Ok(Some(output))
    }

    /// Runs a program and calls `go_on` with each line that it writes, and several times a second without one. Kills
    /// the program and returns `None` when that returns false.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn stream_lines(
        &self,
        mut go_on: impl FnMut(Option<&str>) -> bool,
    ) -> Result<Option<Output>> {
        let mut child = self.spawn()?;
        let mut stdout = child
            .stdout
            .take()
            .context("standard output is not a pipe")?;
        let mut pending = Vec::new();
        let mut goes_on = true;
        while goes_on {
            let pause = PollTimeout::try_from(POLL_INTERVAL);
            let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut watched, pause.unwrap_or(PollTimeout::ZERO));
            if !ready.is_ok_and(|count| count > 0) {
                goes_on = go_on(None);
                continue;
            }
            let mut buffer = [0; 8192];
            let count = stdout.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                break;
            }
            pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let mut lines: Vec<&[u8]> = pending.split(|byte| *byte == b'\n').collect();
            let rest = lines.pop().unwrap_or_default().to_vec();
            goes_on = lines
                .iter()
                .all(|line| go_on(Some(&String::from_utf8_lossy(line))));
            pending = rest;
        }
        if !goes_on {
            child.kill().ok();
            child.wait().ok();
            return Ok(None);
        }
        self.wait(child).map(Some)
    }

    fn spawn(&self) -> Result<Child> {
        self.spawn_with(match self.input {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        })
    }

    fn spawn_with(&self, stdin: Stdio) -> Result<Child> {
        let Some((program, arguments)) = self.argv.split_first() else {
            bail!("running an empty command");
        };
        let mut process = Process::new(program);
        // Ctrl-C on the terminal goes to robotctl alone, which decides what happens to the program.
        std::os::unix::process::CommandExt::process_group(&mut process, 0);
        process
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("SYSTEMD_PAGER", "")
            .env("SYSTEMD_COLORS", "0")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some((uid, gid)) = self.ids {
            use std::os::unix::process::CommandExt as _;
            process.uid(uid).gid(gid).current_dir("/");
        }
        let context = || format!("running `{}`", self.shown());
        let spawned = process.spawn();
        if spawned
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
        {
            return Err(MissingProgram(program.clone()).into());
        }
        let mut child = spawned.with_context(context)?;
        if let (Some(input), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            stdin.write_all(input).with_context(context)?;
        }
        Ok(child)
    }

    fn wait(&self, child: Child) -> Result<Output> {
        use std::os::unix::process::ExitStatusExt as _;
        let context = || format!("running `{}`", self.shown());
        let output = child.wait_with_output().with_context(context)?;
        let status = output.status;
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok(Output {
            code,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs the command and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails: the error shows the command and the end of standard error.
    pub fn run(&self) -> Result<String> {
        self.checked(self.output()?)
    }

    /// The standard output of a successful run.
    ///
    /// # Errors
    /// When the exit code is not 0: the error shows the command and the end of standard error.
    pub fn checked(&self, output: Output) -> Result<String> {
        if output.success() {
            return Ok(output.stdout);
        }
        let lines: Vec<&str> = output.stderr.trim().lines().collect();
        let tail = lines.get(lines.len().saturating_sub(4)..).unwrap_or(&[]);
        bail!(
            "running `{}`: exit code {}: {}",
            self.shown(),
            output.code,
            tail.join("; ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Command;
    use crate::host::Stopwatch;
    use std::time::Duration;

    #[test]
    fn a_program_that_hangs_is_killed_at_the_deadline() {
        let watch = Stopwatch::start();
        let hangs = Command::new(["sleep", "60"]);
        assert_eq!(
            hangs.output_within(Duration::from_millis(100)).unwrap(),
            None
        );
        assert!(watch.elapsed() < Duration::from_secs(10), "{watch:?}");
        let ends = Command::new(["sh", "-c", "echo out; echo no >&2; exit 3"]);
        let output = ends
            .output_within(Duration::from_secs(60))
            .unwrap()
            .unwrap();
        let written = (output.stdout.as_str(), output.stderr.as_str());
        assert_eq!((output.code, written), (3, ("out\n", "no\n")));
    }
}
