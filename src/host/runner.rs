//! Other programs: arguments in, output out, and an error that shows the command as typed.

use anyhow::{Context, Result, bail};
use std::io::Write as _;
use std::process::{Command as Process, Stdio};

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
        use std::os::unix::process::ExitStatusExt as _;
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
        let output = self.output()?;
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
