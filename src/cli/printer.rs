//! The only file that prints. stdout is data, stderr is talk.

use crate::stage::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::Mutex;

/// Why data did not get where it was to go: the work goes on, and the exit code tells.
static LOST: Mutex<Option<String>> = Mutex::new(None);

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON value, or one a line for events.
    Json,
}

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// How data is written.
    pub format: Format,
    /// Says nothing but errors.
    pub quiet: bool,
}

impl Printer {
    /// Data, as it is. A reader that has gone is no error.
    pub fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        drop(out);
        note(written);
    }

    /// Why data was lost, if any was.
    pub fn lost() -> Option<String> {
        LOST.lock().ok()?.clone()
    }

    /// Data in the form that was asked for.
    pub fn value<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Text => self.data(&plain(&text(value))),
            Format::Json => {
                let json = serde_json::to_string_pretty(value).unwrap_or_default();
                self.data(&format!("{json}\n"));
            }
        }
    }

    /// Talk.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.always(text);
        }
    }

    /// Talk that `--quiet` does not hush.
    pub fn always(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{}", plain(text));
    }

    /// A bar of bytes on a terminal, nothing elsewhere; its message tells of files.
    pub fn progress(&self, bytes: u64) -> ProgressBar {
        let shown = !self.quiet && self.format == Format::Text && std::io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        let style = ProgressStyle::with_template(
            "staging {wide_bar} {msg} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        );
        match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

impl Progress for ProgressBar {
    fn staged(&self, bytes: u64, files: usize, all: usize) {
        if !self.is_hidden() {
            self.inc(bytes);
            self.set_message(format!("{files}/{all} files"));
        }
    }
}

/// Keeps the first error of writing; that nobody reads any more is none.
pub(super) fn note(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
        && let Ok(mut lost) = LOST.lock()
    {
        lost.get_or_insert(error.to_string());
    }
}

/// The text without what a terminal takes for a command: a service's own words are in it.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(harmless) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match harmless(c) {
            true => out.push(c),
            false => out.extend(c.escape_default()),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_terminal_gets_no_commands_from_a_service() {
        assert_eq!(plain("a\tb\nc"), "a\tb\nc");
        assert_eq!(plain("\x1b]0;x\x07y\u{9b}"), "\\u{1b}]0;x\\u{7}y\\u{9b}");
    }
}
