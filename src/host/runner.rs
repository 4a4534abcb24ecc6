//! Other programs: arguments in, output out, and an error that shows the command as typed.

use super::clock::Deadline;
use super::signals::interrupted;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

/// How often a wait for a program looks whether anybody still wants it.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    input: Option<Vec<u8>>,
}

/// What a command left behind.
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
        }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives standard input; without it there is none.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// The command as a person would type it.
    pub fn shown(&self) -> String {
        self.argv.join(" ")
    }

    /// Runs it to its end, whatever the exit code.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self) -> Result<Output> {
        self.ended(self.spawn()?)
    }

    /// Runs a program that prints little to its end; `None` when it had to be killed because the
    /// time is over, or because the user waits no longer.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output_within(&self, time: Duration) -> Result<Option<Output>> {
        let deadline = Deadline::after(time);
        let mut child = self.spawn()?;
        let mut stderr = child.stderr.take().context("its words are lost")?;
        let mut said = Vec::new();
        loop {
            if deadline.is_over() || interrupted() {
                child.kill().ok();
                child.wait().ok();
                return Ok(None);
            }
            let left = PollTimeout::try_from(deadline.left().min(POLL_INTERVAL));
            let mut watched = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut watched, left.unwrap_or(PollTimeout::ZERO));
            let mut buffer = [0; 4096];
            // A signal wakes it too.
            if ready.is_ok_and(|count| count > 0) {
                match stderr.read(&mut buffer).unwrap_or(0) {
                    0 => break,
                    count => said.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                }
            }
        }
        let mut output = self.ended(child)?;
        output.stderr = String::from_utf8_lossy(&said).into_owned();
        Ok(Some(output))
    }

    fn spawn(&self) -> Result<Child> {
        let Some((program, arguments)) = self.argv.split_first() else {
            bail!("running an empty command");
        };
        let mut process = Process::new(program);
        // A terminal's Ctrl-C is for us: the program that does our work goes on.
        std::os::unix::process::CommandExt::process_group(&mut process, 0);
        process
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("SYSTEMD_PAGER", "")
            .env("SYSTEMD_COLORS", "0")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(match self.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let context = || format!("running `{}`", self.shown());
        let mut child = process.spawn().with_context(context)?;
        if let (Some(input), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            stdin.write_all(input).with_context(context)?;
        }
        Ok(child)
    }

    fn ended(&self, child: Child) -> Result<Output> {
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

    /// Runs it and gives its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails: the error shows the command and the end of stderr.
    pub fn run(&self) -> Result<String> {
        self.judged(self.output()?)
    }

    /// The standard output of a run that went well.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn judged(&self, output: Output) -> Result<String> {
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
    fn a_program_that_hangs_is_killed_in_time() {
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
        let said = (output.stdout.as_str(), output.stderr.as_str());
        assert_eq!((output.code, said), (3, ("out\n", "no\n")));
    }
}
