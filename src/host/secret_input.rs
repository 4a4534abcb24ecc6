//! Standard input as the source of a secret: a pipe, or a person at a terminal, whose typing is not shown.

use super::signals::{defer_signals, interrupted, interruptible};
use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr,
};
use std::io::{IsTerminal as _, Read as _, Stdin, Write as _, stdin};

/// How long a wait for a key lasts before it looks for a signal, in nanoseconds.
const WAIT_NS: i64 = 200_000_000;
/// More than a terminal passes on as one line (termios(3), "Canonical mode").
const LINE_BYTES: usize = 8192;

/// What standard input had.
#[derive(Debug)]
pub enum SecretInput {
    /// A pipe or a file: all of it, up to the limit.
    Piped(Vec<u8>),
    /// A line that a person typed, without its end.
    Typed(Vec<u8>),
    /// A person pasted more than one line. None of it is kept.
    SeveralLines,
    /// A signal ended the wait.
    Interrupted,
}

/// Reads at most `max_bytes` from standard input. At a terminal, it asks with `prompt`, and what is typed is not
/// shown.
///
/// # Errors
/// The operating system's.
pub fn read_secret_input(prompt: &str, max_bytes: u64) -> Result<SecretInput> {
    let input = stdin();
    if input.is_terminal() {
        return ask(&input, prompt).context("reading from the terminal");
    }
    let mut bytes = Vec::new();
    let read = input.lock().take(max_bytes).read_to_end(&mut bytes);
    read.context("reading standard input")?;
    Ok(SecretInput::Piped(bytes))
}

/// A process that holds secrets leaves no core dump, and no other process of the user can read its memory
/// (prctl(2), `PR_SET_DUMPABLE`).
///
/// # Errors
/// The operating system's.
pub fn protect_memory() -> Result<()> {
    nix::sys::prctl::set_dumpable(false).context("protecting the memory of this process")
}

/// While this value lives, the terminal does not show what is typed.
struct Hidden<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(terminal: &'a Stdin) -> rustix::io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ICANON);
        // What was typed before the question is not the answer.
        tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        // The end of the line was not shown either.
        let _ = writeln!(std::io::stderr());
    }
}

fn ask(terminal: &Stdin, prompt: &str) -> Result<SecretInput> {
    // The terminal must show again what is typed, also after Ctrl-C.
    let _guard = defer_signals();
    let hidden = Hidden::new(terminal)?;
    let mut message = std::io::stderr();
    let _ = write!(message, "{prompt}").and_then(|()| message.flush());
    let wait = || -> rustix::io::Result<bool> {
        loop {
            if interrupted() {
                return Ok(false);
            }
            if is_readable(terminal, WAIT_NS)? {
                return Ok(true);
            }
        }
    };
    if !interruptible(wait)? {
        return Ok(SecretInput::Interrupted);
    }
    let mut line = vec![0; LINE_BYTES];
    let len = rustix::io::read(terminal, &mut line)?;
    line.truncate(len);
    if is_readable(terminal, 0)? {
        tcflush(terminal, QueueSelector::IFlush)?;
        line.fill(0);
        return Ok(SecretInput::SeveralLines);
    }
    drop(hidden);
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(SecretInput::Typed(line))
}

fn is_readable(terminal: &Stdin, wait_ns: i64) -> rustix::io::Result<bool> {
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: wait_ns,
    };
    let mut fds = [PollFd::new(terminal, PollFlags::IN)];
    match poll(&mut fds, Some(&wait)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error),
    }
}
