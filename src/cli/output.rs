//! The only file that prints: data to standard output, messages to standard error.
//!
//! With `--format json`, every line on standard output is one [`Envelope`], and the last line is the
//! result or the error.

use super::exit::Exit;
use super::view::{self, DataSubject, Envelope};
use crate::app::Name;
use crate::command_line::CommandLine;
use crate::error::{Error, Hint, Kind};
use crate::events::Event;
use crate::host;
use crate::ops::Context;
use crate::printable::is_hidden;
use crate::stage::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How data is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// for people
    #[default]
    Text,
    /// one JSON object per line
    Json,
}

/// What a command changes when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    /// It only reads.
    Nothing,
    /// It writes files that the user names.
    NamedFiles,
    /// It may change the app on the host.
    Host,
}

/// How often the line of an activity is drawn again.
const TICK: Duration = Duration::from_millis(200);

/// Where a command prints to.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    quiet: bool,
    trace: String,
    /// The tree that commands in hints must name.
    root: Option<PathBuf>,
    /// Whether the reader of standard output has gone.
    closed: Cell<bool>,
    /// Why data could not be written. The command continues, and the exit code says so.
    lost: RefCell<Option<String>>,
    /// All messages, for the result.
    result: RefCell<String>,
}

impl Output {
    pub(super) fn new(format: Format, quiet: bool, trace: &str, root: Option<PathBuf>) -> Self {
        Self {
            format,
            quiet,
            trace: trace.to_owned(),
            root,
            closed: Cell::new(false),
            lost: RefCell::new(None),
            result: RefCell::default(),
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Data of a kind, as one line of JSON or as text.
    pub(super) fn data<T: Serialize>(
        &self,
        kind: &str,
        subject: &DataSubject,
        data: &T,
        text: &str,
    ) {
        if self.is_json() {
            self.line(&Envelope::data(kind, &self.trace, subject, data));
        } else {
            self.write(&plain(text));
        }
    }

    /// The same with text that is printable already, and may have colours.
    pub(super) fn shown_data<T: Serialize>(
        &self,
        kind: &str,
        subject: &DataSubject,
        data: &T,
        text: &str,
    ) {
        if self.is_json() {
            self.data(kind, subject, data, text);
        } else {
            self.write(text);
        }
    }

    /// Whether text may have colours (no-color.org).
    pub(super) fn has_colors() -> bool {
        let refused = host::variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        !refused && host::terminal_columns().is_some()
    }

    /// Whether nothing reads the output any more, or it cannot be written.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get() || self.lost.borrow().is_some() || host::is_output_closed()
    }

    /// Text that only people read; nothing with `--format json`.
    pub(super) fn text(&self, text: &str) {
        if !self.is_json() {
            self.write(&plain(text));
        }
    }

    /// An event as it happens.
    pub(super) fn event(&self, event: &Event) {
        if self.is_json() {
            self.line(&Envelope::event(event));
            return;
        }
        // The systemd journal has all events but notes already.
        if host::journald::has_stderr() && event.event != "note" {
            return;
        }
        match event.level.as_str() {
            "info" => self.message(&view::event::text(event)),
            // The error at the end of the command says why it failed.
            "debug" => {}
            _ if event.event == "failed" => {}
            level => Self::always(&format!("{level}: {}", view::event::text(event))),
        }
    }

    /// A message that `--quiet` hides. With `--format json` it is the message of the result.
    pub(super) fn message(&self, text: &str) {
        if self.is_json() {
            let mut result = self.result.borrow_mut();
            if !result.is_empty() {
                result.push('\n');
            }
            result.push_str(text.trim_start());
        } else if !self.quiet {
            Self::always(text);
        }
    }

    /// A message that `--quiet` does not hide.
    fn always(text: &str) {
        let _ = writeln!(std::io::stderr(), "{}", plain(text));
    }

    /// An error of one of several apps; the command continues.
    fn app_error(&self, ctx: &Context<'_>, app: &str, error: Error) {
        let error = self.complete(error);
        if self.is_json() {
            let subject = DataSubject::app(ctx, app);
            self.line(&Envelope::app_error(&self.trace, &subject, &error));
        } else {
            Self::always(&format!("error: {app}: {error}"));
        }
    }

    /// Errors of several apps, each in a message of its own.
    pub(super) fn app_errors(&self, ctx: &Context<'_>, failed: Vec<(Name, Error)>) {
        for (name, error) in failed {
            self.app_error(ctx, name.as_str(), error);
        }
    }

    /// The end of a command that reads or fixes several apps: an error when one could not be read. It has the worst of
    /// their kinds.
    pub(super) fn failed_apps(
        &self,
        ctx: &Context<'_>,
        failed: Vec<(Name, Error)>,
    ) -> Result<Exit, Error> {
        let count = failed.len();
        let Some(kind) = failed.iter().map(|(_, error)| error.kind).max() else {
            return Ok(Exit::Done);
        };
        self.app_errors(ctx, failed);
        Err(match count {
            1 => Error::new(kind, "1 app could not be read").hint("its error is above"),
            _ => Error::new(kind, format!("{count} apps could not be read"))
                .hint("their errors are above"),
        })
    }

    /// Events of the history.
    pub(super) fn past_events(&self, events: &[Event]) {
        if self.is_json() {
            for event in events {
                self.line(&Envelope::event(event));
            }
            return;
        }
        for line in view::event::history(events, host::terminal_columns()) {
            self.write(&plain(&line));
        }
    }

    /// The tree that a command to type must name.
    pub(super) fn hint_root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The last line, and the exit code.
    pub(super) fn finish(&self, result: Result<Exit, Error>, changes: Changes) -> u8 {
        let error = match result {
            Ok(exit) => {
                if self.is_json() && self.lost.borrow().is_none() {
                    let message = self.result.borrow();
                    self.line(&Envelope::result(&self.trace, exit.code(), &message));
                }
                // The last line can be lost, too.
                match self.lost_output(changes) {
                    None => return exit.code(),
                    Some(error) => error,
                }
            }
            Err(error) => error,
        };
        let error = self.complete(error);
        if self.is_json() {
            self.line(&Envelope::error(&self.trace, &error));
        }
        // An error that standard output did not take must be seen all the same.
        if !self.is_json() || self.lost.borrow().is_some() {
            Self::always(&format!("error: {error}"));
        }
        error.kind.exit_code()
    }

    /// The error of a success whose output was lost. The change is made all the same.
    fn lost_output(&self, changes: Changes) -> Option<Error> {
        let reason = self.lost.borrow().clone()?;
        let message = format!("writing to standard output: {reason}");
        let done = || Error::new(Kind::Degraded, format!("{message}; the command succeeded"));
        Some(match changes {
            Changes::Host => done()
                .hint(Hint::to(
                    "see what it did",
                    CommandLine::robotctl(["status"]),
                ))
                .hint(Hint::run(CommandLine::robotctl(["history"]))),
            Changes::NamedFiles => {
                done().hint("the files are written; free disk space where the output goes")
            }
            Changes::Nothing => {
                Error::refused(message, "free disk space, or write it to another place")
            }
        })
    }

    /// The error with at least one hint, whose commands work on the tree.
    fn complete(&self, error: Error) -> Error {
        let root = self.root.as_deref();
        let mut error = error.with_any_hint();
        error.hints = error
            .hints
            .into_iter()
            .map(|hint| hint.for_root(root))
            .collect();
        error
    }

    /// Where progress is shown: on a terminal, nowhere else.
    fn draw_target(&self) -> ProgressDrawTarget {
        let shown = !self.quiet && !self.is_json() && std::io::stderr().is_terminal();
        if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        }
    }

    /// A line on a terminal that says what runs and for how long, nothing elsewhere.
    pub(super) fn activity(&self, text: &str) -> Box<dyn Any> {
        let bar = ProgressBar::with_draw_target(None, self.draw_target());
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
        let bar = match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        bar.set_message(plain(text).into_owned());
        bar.enable_steady_tick(TICK);
        Box::new(ActivityLine(bar))
    }

    /// A bar of bytes on a terminal, nothing elsewhere.
    pub(super) fn progress(&self, bytes: u64) -> Box<dyn Progress> {
        let bar = ProgressBar::with_draw_target(Some(bytes), self.draw_target());
        let style = ProgressStyle::with_template(
            "staging {wide_bar} {msg} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        );
        Box::new(StagingBar(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }))
    }

    fn line<T: Serialize>(&self, envelope: &Envelope<'_, T>) {
        let json = serde_json::to_string(envelope).unwrap_or_default();
        self.write(&format!("{}\n", plain_json(&json)));
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.note_lost(written);
    }

    /// Keeps the first error of writing. A reader that has gone is not an error.
    pub(super) fn note_lost(&self, written: std::io::Result<()>) {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.closed.set(true),
            Err(error) => drop(self.lost.borrow_mut().get_or_insert(error.to_string())),
            Ok(()) => {}
        }
    }
}

/// The bar disappears when staging ends.
struct StagingBar(ProgressBar);

impl Progress for StagingBar {
    fn staged(&self, bytes: u64, files: usize, all: usize) {
        if !self.0.is_hidden() {
            self.0.inc(bytes);
            self.0.set_message(format!("{files}/{all} files"));
        }
    }
}

impl Drop for StagingBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The line disappears when it is dropped.
struct ActivityLine(ProgressBar);

impl Drop for ActivityLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The text without characters that control the terminal: it may hold the output of a service.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    escaped(
        text,
        |c| !is_hidden(c) || matches!(c, '\n' | '\t'),
        |c| c.escape_default().collect(),
    )
}

/// A line of JSON without such characters. JSON escapes only those below U+0020 (RFC 8259, section 7).
fn plain_json(json: &str) -> std::borrow::Cow<'_, str> {
    let escape = |c: char| {
        let mut out = String::new();
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
        out
    };
    escaped(json, |c| !is_hidden(c), escape)
}

fn escaped(
    text: &str,
    is_plain: impl Fn(char) -> bool,
    escape: impl Fn(char) -> String,
) -> std::borrow::Cow<'_, str> {
    if text.chars().all(&is_plain) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_plain(c) {
            true => out.push(c),
            false => out.push_str(&escape(c)),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::{plain, plain_json};

    #[test]
    fn output_of_a_service_cannot_control_the_terminal() {
        assert_eq!(plain("a\tb\nc"), "a\tb\nc");
        assert_eq!(plain("\x1b]0;x\x07y\u{9b}"), "\\u{1b}]0;x\\u{7}y\\u{9b}");
    }

    #[test]
    fn no_character_turns_the_direction_of_a_line() {
        assert_eq!(plain("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        let json = serde_json::to_string("\u{9b}é\u{202e}\n").unwrap();
        let shown = plain_json(&json);
        assert_eq!(shown, "\"\\u009bé\\u202e\\n\"");
        let read: String = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, "\u{9b}é\u{202e}\n");
    }
}
