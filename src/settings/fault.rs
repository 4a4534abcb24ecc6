//! What is wrong with a setting, and what to type.

use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::host::{Meta, Root};
use crate::safe_fix::SafeFix;

/// What a fault means for a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deploy {
    /// No service could start.
    Refused,
    /// The plan says it.
    Warned,
    /// The plan says it among its notes: the services run all the same.
    Noted,
    /// The deploy itself creates what is missing.
    Fixes,
}

/// One thing that is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Whether it must be fixed. Otherwise it is a warning.
    pub(crate) is_error: bool,
    /// What it means for a deploy.
    pub(crate) deploy: Deploy,
    /// One sentence without a full stop.
    pub(crate) message: String,
    /// What to do about it, step by step.
    pub(crate) fix: Vec<Hint>,
    /// The same as a value, if it is safe.
    pub(crate) safe_fix: Option<SafeFix>,
}

impl Fault {
    /// A fault with which no service can start, or a change cannot be made.
    pub(crate) fn error(message: String, fix: impl Into<Hint>) -> Self {
        Self {
            is_error: true,
            deploy: Deploy::Refused,
            message,
            fix: vec![fix.into()],
            safe_fix: None,
        }
    }

    /// The message and what to do, as one text.
    pub(crate) fn text(&self) -> String {
        let steps = self.fix.iter().map(|step| format!("; {step}"));
        format!("{}{}", self.message, steps.collect::<String>())
    }

    /// A fault with which the services run.
    pub(crate) fn warning(message: String, fix: impl Into<Hint>) -> Self {
        Self {
            is_error: false,
            deploy: Deploy::Warned,
            ..Self::error(message, fix)
        }
    }
}

impl From<Fault> for HintedError {
    fn from(fault: Fault) -> Self {
        Self {
            message: fault.message,
            hints: fault.fix,
        }
    }
}

/// The fault of a file that users other than root can read or replace, if they can. `meta` is that of
/// the file itself, not of a link to it.
pub(super) fn open_file(root: &Root, path: &str, meta: &Meta) -> Option<Fault> {
    let is_open = meta.mode & 0o077 != 0 || meta.uid != 0;
    if !is_open {
        return None;
    }
    // A link may lead to it.
    let real = root.followed(path).display().to_string();
    let mut fault = Fault::error(
        format!("users other than root can read `{path}`"),
        Hint::to(
            "make root the owner",
            CommandLine::sudo(["chown", "root:root", &real]),
        ),
    );
    fault.deploy = Deploy::Warned;
    // A link leads to a file that something else may read.
    let found = root.meta(path).ok().flatten();
    fault.safe_fix = found.filter(Meta::is_file).map(|_| SafeFix::CloseFile {
        path: path.to_owned(),
    });
    fault.fix.push(Hint::to(
        "then remove access for other users",
        CommandLine::sudo(["chmod", "600", &real]),
    ));
    Some(fault)
}
