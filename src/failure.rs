//! Why something failed, in two texts: one for every user, and one for root.
//!
//! The history and the records of releases are readable for every user. Only the summary of a failure
//! goes there; the terminal of root and the systemd journal get the detail.

use crate::host::MissingProgram;
use crate::host_cause::{HostCause, NO_PROGRAM};
use serde::{Serialize, Serializer};
use std::fmt;

/// Why a release or one of its units failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    summary: String,
    detail: String,
    /// What is wrong with the host, if that is the cause.
    host_cause: Option<&'static HostCause>,
}

impl Failure {
    /// A failure that any user may know: names, ids, times and results. Never what a program wrote, a
    /// command of the manifest or a value.
    pub(crate) fn public(what: impl Into<String>) -> Self {
        let summary = what.into();
        Self {
            detail: summary.clone(),
            summary,
            host_cause: None,
        }
    }

    /// A failure with a summary that any user may know, and what only root may.
    pub(crate) fn new(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            detail: detail.into(),
            host_cause: None,
        }
    }

    /// The same, caused by the host.
    #[must_use]
    pub(crate) fn caused_by(self, host_cause: Option<&'static HostCause>) -> Self {
        Self { host_cause, ..self }
    }

    /// What is wrong with the host, if that is the cause. Then the release is not marked as failed.
    pub(crate) fn host_cause(&self) -> Option<&'static HostCause> {
        self.host_cause
    }

    /// The failure that an error holds. The text of any other error may hold anything, so only the
    /// operating system's part of it is public.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let detail = format!("{error:#}");
        if let Some(known) = error.downcast_ref::<Self>() {
            return Self::new(known.summary.clone(), detail).caused_by(known.host_cause);
        }
        let codes = error.chain().filter_map(|cause| {
            let cause = cause.downcast_ref::<std::io::Error>();
            cause.and_then(std::io::Error::raw_os_error)
        });
        let code = codes.last();
        let is_missing = error.is::<MissingProgram>();
        let host_cause = match is_missing {
            true => Some(&NO_PROGRAM),
            false => code.and_then(HostCause::of_error),
        };
        let summary = match code {
            Some(code) => {
                let cause = std::io::Error::from_raw_os_error(code);
                format!("the change could not be made: {cause}")
            }
            None => "the change could not be made".to_owned(),
        };
        Self::new(summary, detail).caused_by(host_cause)
    }

    /// What any user may know.
    pub(crate) fn summary(&self) -> &str {
        &self.summary
    }

    /// The same with a public clause before it, such as the name of a unit.
    #[must_use]
    pub(crate) fn after(self, clause: &str) -> Self {
        Self {
            summary: format!("{clause}: {}", self.summary),
            detail: format!("{clause}: {}", self.detail),
            ..self
        }
    }

    /// The same with more for root.
    #[must_use]
    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..self
        }
    }

    /// The same with the last lines of a program below it, for root.
    #[must_use]
    pub(crate) fn with_lines(mut self, lines: &[impl AsRef<str>]) -> Self {
        for line in lines {
            self.detail.push_str("\n    ");
            self.detail.push_str(line.as_ref());
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Failure {}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, NO_PROGRAM};
    use crate::host_cause::DISK_FULL;
    use anyhow::{Context as _, anyhow};

    #[test]
    fn a_summary_never_holds_the_text_of_an_unknown_error() {
        let failure = Failure::of(&anyhow!("`tool --key=marker` said marker"));
        assert_eq!(failure.summary(), "the change could not be made");
        assert!(failure.to_string().contains("marker"));
        let full = std::io::Error::from_raw_os_error(28);
        let error = anyhow::Error::new(full).context("writing `marker`");
        assert_eq!(
            Failure::of(&error).summary(),
            "the change could not be made: No space left on device (os error 28)"
        );
    }

    #[test]
    fn an_error_of_the_host_is_known_through_its_contexts() {
        let full = std::io::Error::from_raw_os_error(28);
        let error = anyhow::Error::new(full).context("writing a file");
        let failure = Failure::of(&error).after("`web`").with_detail("more");
        assert_eq!(failure.host_cause(), Some(&DISK_FULL));
        let again = Failure::of(&anyhow::Error::new(failure).context("again"));
        assert_eq!(again.host_cause(), Some(&DISK_FULL));
        let absent = std::io::Error::from_raw_os_error(2);
        assert_eq!(Failure::of(&anyhow::Error::new(absent)).host_cause(), None);
        let program = crate::host::Command::new(["/nonexistent/program"]).run();
        let failure = Failure::of(&program.unwrap_err());
        assert_eq!(failure.host_cause(), Some(&NO_PROGRAM));
    }

    #[test]
    fn a_summary_survives_the_context_around_its_error() {
        let failed = Failure::public("it ended").with_lines(&["marker"]);
        let error = Err::<(), _>(failed).context("marker").unwrap_err();
        let failure = Failure::of(&error);
        assert_eq!(failure.summary(), "it ended");
        assert_eq!(failure.to_string(), "marker: it ended\n    marker");
    }
}
