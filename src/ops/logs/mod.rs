//! `logs`: what the services of an app log, in one view. Works for members of systemd-journal.

mod blocks;
mod record;
mod releases;
mod units;

pub(crate) use record::LogRecord;

use super::choose_release::named_release;
use super::context::Context;
use crate::app::Name;
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, HintedError, Kind, fail};
use crate::host::{
    JournalEntry, can_read_journal, defer_signals, interrupted, interruptible, read_journal,
};
use anyhow::Result;
use blocks::in_blocks;
use releases::Runs;
use units::LoggedUnits;

/// How many entries are shown unless a time, a release or a trace is named.
const DEFAULT_LINES: usize = 100;

/// What `logs` is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogsRequest {
    /// The short names of the services; none for the whole app.
    pub(crate) services: Vec<String>,
    /// Whether to wait for further entries.
    pub(crate) follow: bool,
    /// How many entries, the last ones.
    pub(crate) lines: Option<usize>,
    /// A pattern of `journalctl --grep`.
    pub(crate) grep: Option<String>,
    /// A time, as people or `journalctl --since` write it.
    pub(crate) since: Option<String>,
    /// A release, or the beginning of its id.
    pub(crate) release: Option<String>,
    /// A trace id.
    pub(crate) trace: Option<String>,
}

/// Reads the log, the oldest entry first, and gives each entry to `show`. Ends when that returns false. While there is
/// nothing to read, `show` gets `None` several times a second.
///
/// # Errors
/// [`Kind::Refused`] without a right to read the systemd journal, and for what it does not accept.
pub(crate) fn run(
    ctx: &Context<'_>,
    request: &LogsRequest,
    show: &mut dyn FnMut(Option<&LogRecord>) -> bool,
) -> Result<(), Error> {
    let guard = defer_signals();
    let (ended, is_interrupted) =
        interruptible(|| (read(ctx, request, show).nothing_changed(), interrupted()));
    drop(guard);
    // Ctrl-C is how people end `--follow`.
    if is_interrupted && !request.follow {
        return Err(Error::new(Kind::Interrupted, "it was interrupted"));
    }
    ended
}

fn read(
    ctx: &Context<'_>,
    request: &LogsRequest,
    show: &mut dyn FnMut(Option<&LogRecord>) -> bool,
) -> Result<()> {
    if ctx.host.is_offline() {
        return fail(
            "nothing logs below `--root`",
            "repeat the command on the host itself, without `--root`",
        );
    }
    let name = ctx.selected_app()?;
    ctx.check_deployed(&name)?;
    if !can_read_journal() {
        return Err(HintedError {
            message:
                "only root and members of the group `systemd-journal` can read what services log"
                    .to_owned(),
            hints: vec![
                Hint::to("read it as root", ctx.typed().with_sudo()),
                Hint::to(
                    "or join the group, and log in again",
                    CommandLine::sudo(["usermod", "-aG", "systemd-journal", &user()]),
                ),
            ],
        }
        .into());
    }
    let store = ctx.store(&name);
    let release = match &request.release {
        Some(wanted) => Some(named_release(&store, wanted)?),
        None => None,
    };
    let units = LoggedUnits::find(&store, &name, &request.services, release.as_deref())?;
    let runs = match &release {
        Some(id) => Some(Runs::of_release(&name, &units, id)?),
        None => None,
    };
    Log {
        name,
        request,
        units,
        runs,
    }
    .read(show)
}

/// Who types the command, for a hint.
fn user() -> String {
    crate::host::caller()
        .user
        .unwrap_or_else(|| "USER".to_owned())
}

/// A log to read.
struct Log<'a> {
    name: Name,
    request: &'a LogsRequest,
    units: LoggedUnits,
    /// The runs of a release, if only those count.
    runs: Option<Runs>,
}

impl Log<'_> {
    fn read(&self, show: &mut dyn FnMut(Option<&LogRecord>) -> bool) -> Result<()> {
        let last = self.last_entries()?;
        let cursor = last.last().map(|entry| entry.cursor.clone());
        for entry in in_blocks(last) {
            if !show(Some(&self.record(&entry))) {
                return Ok(());
            }
        }
        if !self.request.follow || interrupted() {
            return Ok(());
        }
        let from = cursor.map_or("--lines=0".to_owned(), |at| format!("--after-cursor={at}"));
        let arguments = self.arguments(&["--follow", &from]);
        self.read_journal(&arguments, |entry| match entry {
            Some(entry) if self.is_meant(&entry) => show(Some(&self.record(&entry))),
            Some(_) => true,
            None => show(None),
        })
    }

    /// The last entries that are meant, the oldest first.
    fn last_entries(&self) -> Result<Vec<JournalEntry>> {
        let request = self.request;
        let is_bounded =
            request.since.is_some() || request.release.is_some() || request.trace.is_some();
        let most = match (request.lines, is_bounded) {
            (Some(lines), _) => lines,
            (None, true) => usize::MAX,
            (None, false) => DEFAULT_LINES,
        };
        let mut entries = Vec::new();
        if most > 0 {
            self.read_journal(&self.arguments(&["--reverse"]), |entry| {
                entries.extend(entry.filter(|entry| self.is_meant(entry)));
                entries.len() < most
            })?;
        }
        entries.reverse();
        Ok(entries)
    }

    fn read_journal(
        &self,
        arguments: &[String],
        go_on: impl FnMut(Option<JournalEntry>) -> bool,
    ) -> Result<()> {
        let read = read_journal(arguments, self.request.trace.is_some(), go_on);
        read.or_else(|error| {
            fail(
                format!("the systemd journal refuses this: {error:#}"),
                "`--grep` takes a regular expression, and `--since` a time such as `10min`, \
                 `2026-12-01 14:00` or `yesterday`",
            )
        })
    }

    fn arguments(&self, first: &[&str]) -> Vec<String> {
        let mut out: Vec<String> = first.iter().map(|word| (*word).to_owned()).collect();
        if let Some(pattern) = &self.request.grep {
            out.push(format!("--grep={pattern}"));
        }
        if let Some(time) = &self.request.since {
            out.push(format!("--since={}", in_words_of_journalctl(time)));
        }
        out.extend(self.units.matches(&self.name));
        out
    }

    fn is_meant(&self, entry: &JournalEntry) -> bool {
        let trace = self.request.trace.as_ref();
        let runs = self.runs.as_ref();
        self.units.label(&entry.unit).is_some()
            && trace.is_none_or(|id| entry.mentions(id))
            && runs.is_none_or(|runs| runs.include(entry))
    }

    fn record(&self, entry: &JournalEntry) -> LogRecord {
        let service = self.units.label(&entry.unit).unwrap_or_default();
        LogRecord::of(entry, service)
    }
}

/// A time such as `10min` is so long ago. Everything else is as journalctl(1) takes it.
fn in_words_of_journalctl(time: &str) -> String {
    let number = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_span = !number.is_empty()
        && number.len() < time.len()
        && number.bytes().all(|byte| byte.is_ascii_digit());
    match is_span {
        true => format!("-{time}"),
        false => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words_of_journalctl;

    #[test]
    fn a_span_is_a_time_ago() {
        for (typed, passed) in [
            ("10min", "-10min"),
            ("2h", "-2h"),
            ("yesterday", "yesterday"),
            ("2026-12-01 14:00", "2026-12-01 14:00"),
            ("-1h", "-1h"),
            ("1 hour ago", "1 hour ago"),
            ("@1764547200", "@1764547200"),
        ] {
            assert_eq!(in_words_of_journalctl(typed), passed);
        }
    }
}
