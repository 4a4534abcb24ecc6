//! A program with the terminal or the files of robotctl itself.

use super::clock::pause;
use super::signals::{interrupted, interruptible};
use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command as Process;
use std::time::Duration;

/// How often a wait looks for a signal.
const INTERVAL: Duration = Duration::from_millis(20);

/// Runs systemd-run(1) with the standard input, output and error of this process: with a terminal of its own if
/// both are one. Returns its exit code. A signal to this process ends it.
///
/// # Errors
/// When it cannot be started.
pub fn attached(head: &[&str], rest: &[&str]) -> Result<u32> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let how = if is_terminal { "--pty" } else { "--pipe" };
    let words = || head.iter().chain([&how]).chain(rest);
    let context = || {
        let words: Vec<&str> = words().copied().collect();
        format!("running `{}`", words.join(" "))
    };
    let (program, arguments) = head.split_first().context("no program")?;
    let mut process = Process::new(program);
    process.args(arguments).arg(how).args(rest);
    let mut child = process.spawn().with_context(context)?;
    let status = interruptible(|| -> Result<_> {
        loop {
            if let Some(status) = child.try_wait().with_context(context)? {
                return Ok(status);
            }
            if interrupted() {
                // It sets the terminal as it was, which SIGKILL prevents.
                let pid = i32::try_from(child.id())
                    .map(Pid::from_raw)
                    .with_context(context)?;
                kill(pid, Signal::SIGTERM).ok();
                return child.wait().with_context(context);
            }
            pause(INTERVAL);
        }
    })?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(code
        .and_then(|code| u32::try_from(code).ok())
        .unwrap_or(255))
}
