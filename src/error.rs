//! Errors as values: what happened to the host, what went wrong, and what to type.
//!
//! | type | made by | says |
//! |---|---|---|
//! | [`HintedError`] | any module | what went wrong and what to do; nothing about the host |
//! | [`Error`] | `ops` | the same, and its [`Kind`]: what the command left behind |
//!
//! The kind decides the exit code. [`Kind::Refused`] promises that nothing was changed, so only code
//! that knows this may claim it, with [`Claim::nothing_changed`] or [`Error::refused`]. Every other
//! error that reaches `ops` becomes [`Kind::Unexpected`].

use crate::command_line::CommandLine;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// What a command left behind. It decides the exit code.
///
/// The kinds are in the order in which they count when several apps fail: the last is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The command was refused, or failed before it changed what is live.
    Refused,
    /// A signal ended the command before it changed what is live.
    Interrupted,
    /// Another `robotctl` holds the lock of the app.
    Locked,
    /// The services that were started are not healthy. They stay as they are.
    Unhealthy,
    /// The change failed. What was live before was restored and is healthy.
    RolledBack,
    /// The command failed, and you must act: the hints say what to type.
    Degraded,
    /// An unexpected error. Something may have changed.
    Unexpected,
}

impl Kind {
    /// The exit code of a command that ended so.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unhealthy => 1,
            Self::Refused => 2,
            Self::RolledBack => 3,
            Self::Degraded | Self::Unexpected => 4,
            Self::Locked => 5,
            Self::Interrupted => 130,
        }
    }
}

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hint {
    /// What to do, in words; empty when the command is enough.
    pub text: String,
    /// The command that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub command: Option<CommandLine>,
}

impl Hint {
    /// A command to type, and nothing else.
    pub fn run(command: CommandLine) -> Self {
        Self {
            text: String::new(),
            command: Some(command),
        }
    }

    /// What to do, and the command that does it.
    pub fn to(text: impl Into<String>, command: CommandLine) -> Self {
        Self {
            text: text.into(),
            command: Some(command),
        }
    }

    /// The same hint for an app.
    #[must_use]
    pub fn for_app(self, app: &str, environment: Option<&str>) -> Self {
        let command = self.command;
        Self {
            text: self.text,
            command: command.map(|command| command.for_app(app, environment)),
        }
    }

    /// The same hint for the tree below `root`.
    #[must_use]
    pub fn for_root(self, root: Option<&Path>) -> Self {
        Self {
            text: self.text,
            command: self.command.map(|command| command.for_root(root)),
        }
    }
}

impl<T: Into<String>> From<T> for Hint {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            command: None,
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.command, self.text.as_str()) {
            (None, text) => f.write_str(text),
            (Some(command), "") => write!(f, "{command}"),
            (Some(command), text) => write!(f, "{text}: {command}"),
        }
    }
}

/// The hint of an error that root does not get. The command that failed replaces it by itself with `sudo`.
pub const AS_ROOT: &str = "type `sudo` before the command";

/// What went wrong and what to do about it. It says nothing about the state of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintedError {
    /// One sentence without a full stop.
    pub message: String,
    /// What to do, the most likely first.
    pub hints: Vec<Hint>,
}

impl HintedError {
    /// An error with its first hint.
    pub fn new(message: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self {
            message: message.into(),
            hints: vec![hint.into()],
        }
    }
}

impl fmt::Display for HintedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HintedError {}

/// Fails with a message and a hint.
///
/// # Errors
/// Always: a [`HintedError`].
pub fn fail<T>(message: impl Into<String>, hint: impl Into<Hint>) -> anyhow::Result<T> {
    Err(HintedError::new(message, hint).into())
}

/// Fails with all problems as one error, if there are any: the messages in one text, and each hint once.
///
/// # Errors
/// A [`HintedError`], unless there are no problems.
pub fn fail_all(problems: Vec<HintedError>) -> anyhow::Result<()> {
    let mut problems = problems.into_iter();
    let Some(first) = problems.next() else {
        return Ok(());
    };
    let rest: Vec<HintedError> = problems.collect();
    if rest.is_empty() {
        return Err(first.into());
    }
    let count = rest.len() + 1;
    let all = [first].into_iter().chain(rest);
    let (messages, hints): (Vec<String>, Vec<Vec<Hint>>) =
        all.map(|one| (one.message, one.hints)).unzip();
    let mut distinct: Vec<Hint> = Vec::new();
    for hint in hints.into_iter().flatten() {
        if !distinct.contains(&hint) {
            distinct.push(hint);
        }
    }
    Err(HintedError {
        message: format!("{count} things prevent it: {}", messages.join("; ")),
        hints: distinct,
    }
    .into())
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Error {
    /// What the command left behind.
    pub kind: Kind,
    /// One sentence without a full stop; lines of a service's own output may follow.
    pub message: String,
    /// What to do, the most likely first.
    pub hints: Vec<Hint>,
    /// Where it came from, for `Debug` output.
    pub source: Option<anyhow::Error>,
}

impl Error {
    /// An error of a kind, without a hint. It is printed with a general one.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            source: None,
        }
    }

    /// A command that was refused: nothing was changed.
    pub fn refused(message: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::new(Kind::Refused, message).hint(hint)
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with a general hint when the code that failed knew none. Every error passes through
    /// here before it is printed.
    #[must_use]
    pub fn with_any_hint(mut self) -> Self {
        if !self.hints.is_empty() {
            return self;
        }
        let of_cause = self.source.as_ref().and_then(hint_of_cause);
        let knows_cause = of_cause.is_some();
        self.hints.extend(of_cause.map(Hint::from));
        let status = || CommandLine::robotctl(["status"]);
        let doctor = || CommandLine::sudo_robotctl(["doctor"]);
        match self.kind {
            Kind::Degraded | Kind::Unhealthy => {
                self.hint(Hint::to("find out what is wrong", doctor()))
            }
            Kind::Unexpected => self
                .hint(Hint::to("see what is live", status()))
                .hint(Hint::to("find out what is wrong", doctor()))
                .hint("if that does not explain it, report it with this message"),
            _ if knows_cause => self,
            Kind::Refused | Kind::RolledBack => {
                self.hint("fix what the message names, then repeat the command")
            }
            Kind::Locked | Kind::Interrupted => self.hint("repeat the command"),
        }
    }

    /// An error of a module, with a kind. An [`Error`] keeps its own kind.
    pub fn of_kind(kind: Kind, error: anyhow::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(known) => return known,
            Err(error) => error,
        };
        let hints = match error.downcast_ref::<HintedError>() {
            Some(hinted) => hinted.hints.clone(),
            None => Vec::new(),
        };
        Self {
            kind,
            message: format!("{error:#}"),
            hints,
            source: Some(error),
        }
    }
}

/// What to do about the operating system's error in a chain, where that is known.
fn hint_of_cause(error: &anyhow::Error) -> Option<&'static str> {
    let kinds = error.chain().filter_map(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>()?;
        Some(cause.kind())
    });
    kinds.last().and_then(|kind| {
        Some(match kind {
            ErrorKind::PermissionDenied => {
                "type `sudo` before the command, or change the mode or the owner of the file"
            }
            ErrorKind::StorageFull => "free space on that disk, then repeat the command",
            ErrorKind::QuotaExceeded => "raise the quota or free space, then repeat the command",
            ErrorKind::ReadOnlyFilesystem => {
                "make the file system writable, then repeat the command"
            }
            ErrorKind::NotFound => "check that the path in the message exists",
            ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
                "move what is at that path to another place, or name another path"
            }
            ErrorKind::ResourceBusy | ErrorKind::AddrInUse => {
                "end what uses it, then repeat the command"
            }
            _ => return None,
        })
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hints
            .iter()
            .try_for_each(|hint| write!(f, "\n\nhint: {hint}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message holds the whole chain already.
        None
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::of_kind(Kind::Unexpected, error)
    }
}

/// Claims about what a failed step left behind.
pub trait Claim<T> {
    /// The step changes nothing on the host, or has undone what it changed.
    ///
    /// # Errors
    /// The step's error, as [`Kind::Refused`].
    fn nothing_changed(self) -> Result<T, Error>;
}

impl<T> Claim<T> for anyhow::Result<T> {
    fn nothing_changed(self) -> Result<T, Error> {
        self.map_err(|error| Error::of_kind(Kind::Refused, error))
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim as _, CommandLine, Error, Hint, Kind, fail};
    use anyhow::{Context as _, anyhow};

    #[test]
    fn only_code_that_claims_it_says_that_nothing_changed() {
        let unexpected: Error = anyhow!("input/output error").into();
        assert_eq!(unexpected.kind, Kind::Unexpected);
        assert_eq!(unexpected.kind.exit_code(), 4);
        let claimed = Err::<(), _>(anyhow!("no such file")).nothing_changed();
        assert_eq!(claimed.unwrap_err().kind, Kind::Refused);
        // A kind that is known stays.
        let degraded = Err::<(), _>(anyhow!(Error::new(Kind::Degraded, "x"))).nothing_changed();
        assert_eq!(degraded.unwrap_err().kind, Kind::Degraded);
    }

    #[test]
    fn an_error_without_a_hint_gets_one_from_its_cause_or_its_kind() {
        let hints = |error: Error| -> Vec<String> {
            let hints = error.with_any_hint().hints;
            hints.iter().map(ToString::to_string).collect()
        };
        let io = |code| anyhow::Error::new(std::io::Error::from_raw_os_error(code));
        for (code, said) in [
            (13, "type `sudo`"),
            (28, "free space"),
            (30, "writable"),
            (2, "exists"),
        ] {
            let error = io(code).context("writing `/x`");
            let hints = hints(Error::of_kind(Kind::Refused, error));
            assert!(hints.len() == 1 && hints[0].contains(said), "{hints:?}");
        }
        let unexpected = hints(anyhow!("it broke").into());
        assert_eq!(unexpected[0], "see what is live: robotctl status");
        assert!(
            unexpected[1].ends_with("sudo robotctl doctor"),
            "{unexpected:?}"
        );
        for kind in [
            Kind::Refused,
            Kind::RolledBack,
            Kind::Degraded,
            Kind::Locked,
            Kind::Interrupted,
        ] {
            assert_eq!(hints(Error::new(kind, "x")).len(), 1, "{kind:?}");
        }
        // A better one stays alone.
        assert_eq!(hints(Error::refused("x", "do this")), ["do this"]);
    }

    #[test]
    fn a_hint_survives_the_context_around_its_error() {
        let hint = Hint::to(
            "free disk space",
            CommandLine::sudo_robotctl(["prune", "--apply"]),
        );
        let failed: anyhow::Result<()> = fail("the disk is full", hint.clone());
        let error = Error::from(failed.context("staging 1.0").unwrap_err());
        assert_eq!(error.message, "staging 1.0: the disk is full");
        assert_eq!(error.hints, [hint]);
        assert_eq!(
            error.hints[0].to_string(),
            "free disk space: sudo robotctl prune --apply"
        );
    }
}
