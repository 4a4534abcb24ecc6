//! What the checks look at, and what they give.

use super::loaded::LoadedUnits;
use crate::app::{App, Layout, Name};
use crate::error::Hint;
use crate::host::Host;
use crate::printable;
use crate::safe_fix::SafeFix;
use crate::sandbox::probes::ProbedSandbox;
use crate::store::{PublicRelease, State, Store};
use crate::tree::FileTree;
use schemars::JsonSchema;
use serde::Serialize;

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    /// Good to know; nothing is wrong.
    Note,
    /// It works, but check it.
    Warning,
    /// It does not work, or will not work after the next start.
    Error,
}

impl Severity {
    /// The word in text and in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// The id of the check.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// One sentence without a full stop.
    pub(crate) message: String,
    /// What to do about it, step by step.
    pub(crate) fix: Vec<Hint>,
    /// What `doctor --fix --apply` does about it; nothing if a person must decide.
    pub(crate) safe_fixes: Vec<SafeFix>,
}

impl Finding {
    /// A finding with what to do, step by step. Names of files and processes in the message may hold anything, and
    /// become part of one line.
    pub(super) fn with_steps(
        severity: Severity,
        message: impl Into<String>,
        fix: Vec<Hint>,
    ) -> Self {
        Self {
            check: "",
            severity,
            message: printable::name(&message.into()).into_owned(),
            fix,
            safe_fixes: Vec::new(),
        }
    }

    pub(super) fn new(
        severity: Severity,
        message: impl Into<String>,
        fix: impl Into<Hint>,
    ) -> Self {
        Self::with_steps(severity, message, vec![fix.into()])
    }

    /// The same finding, which these safe fixes fix.
    pub(super) fn safely(mut self, fixes: impl IntoIterator<Item = SafeFix>) -> Self {
        self.safe_fixes.extend(fixes);
        self
    }
}

/// A check that could not run. It never changes the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Skipped {
    /// The id of the check; `all` when none could run.
    pub(crate) check: &'static str,
    /// Why it could not run.
    pub(crate) reason: String,
}

/// What all checks of an app gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The app's name, with its environment.
    pub(crate) app: String,
    /// How many checks ran.
    pub(crate) checked: usize,
    /// What they found.
    pub(crate) findings: Vec<Finding>,
    /// The checks that could not run.
    pub(crate) skipped: Vec<Skipped>,
    /// What `--probe` found; absent without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probed: Option<Vec<ProbedSandbox>>,
}

impl Report {
    /// Whether no finding has this severity or a higher one.
    pub(crate) fn is_below(&self, severity: Severity) -> bool {
        let mut findings = self.findings.iter();
        findings.all(|finding| finding.severity < severity)
    }

    /// Changes each step of the fixes.
    pub(crate) fn map_fixes(&mut self, change: impl Fn(Hint) -> Hint) {
        for finding in &mut self.findings {
            let fix = std::mem::take(&mut finding.fix).into_iter();
            finding.fix = fix.map(&change).collect();
        }
    }
}

/// What the checks of an app without a readable live release look at.
#[derive(Debug)]
pub(crate) struct BareContext<'a> {
    /// The host.
    pub(crate) host: &'a Host,
    /// The app's store.
    pub(crate) store: &'a Store,
    /// Where the app's files are.
    pub(crate) layout: &'a Layout,
    /// The app's name.
    pub(crate) name: &'a Name,
    /// Why there is no readable live release: the reason of all checks that are skipped.
    pub(crate) reason: String,
}

/// What the checks look at.
#[derive(Debug)]
pub(crate) struct CheckContext<'a> {
    /// The host.
    pub(crate) host: &'a Host,
    /// The app's store.
    pub(crate) store: &'a Store,
    /// Where the app's files are.
    pub(crate) layout: &'a Layout,
    /// The app's name.
    pub(crate) name: &'a Name,
    /// What is live.
    pub(crate) state: &'a State,
    /// What any user may know of the live release.
    pub(crate) release: &'a PublicRelease,
    /// The app and the files of the live release, which only root can read.
    pub(crate) content: Option<&'a (App, FileTree)>,
    /// Whether to compare the content of every file of the live release.
    pub(crate) digests: bool,
    /// The units of the live release as systemd has loaded them.
    pub(crate) units: LoadedUnits<'a>,
}
