//! What is wrong with a host or with the settings of an app, and what to type.

use crate::error::{Hint, HintedError};
use crate::safe_fix::SafeFix;

/// What a fault means: for the doctor, which looks at the live release, and for a deploy or a rollback, which
/// asks before it changes anything.
///
/// | impact | the doctor finds | a change |
/// |---|---|---|
/// | [`Blocking`](Self::Blocking) | an error | is refused |
/// | [`Created`](Self::Created) | an error | creates what is missing, and says nothing |
/// | [`Serious`](Self::Serious) | an error | goes on, and its plan warns |
/// | [`Minor`](Self::Minor) | a warning | goes on, and its plan warns |
/// | [`Harmless`](Self::Harmless) | a note | goes on, and its plan has a note |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impact {
    /// A service could not start, or the change could not be made.
    Blocking,
    /// Something is missing, and a deploy creates it.
    Created,
    /// It must be fixed, and the services start all the same.
    Serious,
    /// The services run with it.
    Minor,
    /// The services run with it, as well as without.
    Harmless,
}

/// One thing that is wrong with the host or with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What it means.
    pub(crate) impact: Impact,
    /// One sentence without a full stop.
    pub(crate) message: String,
    /// What to do about it, step by step.
    pub(crate) fix: Vec<Hint>,
    /// The same as a value, if it is safe.
    pub(crate) safe_fix: Option<SafeFix>,
}

impl Fault {
    /// A fault with the first step of what to do about it.
    pub(crate) fn new(impact: Impact, message: impl Into<String>, fix: impl Into<Hint>) -> Self {
        Self {
            impact,
            message: message.into(),
            fix: vec![fix.into()],
            safe_fix: None,
        }
    }

    /// The same with another step after those that it has.
    #[must_use]
    pub(crate) fn then(mut self, step: impl Into<Hint>) -> Self {
        self.fix.push(step.into());
        self
    }

    /// The message and what to do, as one text.
    pub(crate) fn text(&self) -> String {
        let steps = self.fix.iter().map(|step| format!("; {step}"));
        format!("{}{}", self.message, steps.collect::<String>())
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
