//! Rendered files and their differences as text.

use crate::app::{LintFinding, Severity};
use crate::ops::Drift;
use crate::plan::Diff;
use crate::tree::{Entry, FileChange};
use schemars::JsonSchema;
use serde::Serialize;

/// A rendered file, or how one on the host differs from it.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct FileData {
    /// Absolute path on the host.
    path: String,
    /// The content of a rendered file.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The difference: a unified diff, or the two modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
}

impl FileData {
    pub(in crate::cli) fn rendered(path: &str, entry: &Entry) -> Self {
        Self {
            path: path.to_owned(),
            text: Some(entry.text()),
            difference: None,
        }
    }

    pub(in crate::cli) fn differing(drift: &Drift) -> Self {
        Self {
            path: match drift {
                Drift::Mode(path, ..) | Drift::Content(FileChange { path, .. }) => path.clone(),
            },
            text: None,
            difference: Some(difference(drift)),
        }
    }
}

/// A file with its path above it.
pub(in crate::cli) fn file(path: &str, entry: &Entry) -> String {
    format!("==> {path} <==\n{}\n", entry.text())
}

/// How a file differs from the rendered one.
pub(in crate::cli) fn difference(drift: &Drift) -> String {
    match drift {
        Drift::Mode(path, mode, wanted) => format!("{path}: mode {mode:o} should be {wanted:o}\n"),
        Drift::Content(change) => Diff(change).to_string(),
    }
}

/// What a lint found.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct LintData {
    /// The id of the lint.
    lint: &'static str,
    /// `error`, `warning` or `note`.
    severity: &'static str,
    /// One sentence, which names the service.
    message: String,
    /// What to do.
    hint: &'static str,
}

impl LintData {
    pub(in crate::cli) fn new(finding: &LintFinding) -> Self {
        Self {
            lint: finding.lint,
            severity: word(finding.severity),
            message: finding.message.clone(),
            hint: finding.hint,
        }
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// A lint finding with its hint.
pub(in crate::cli) fn lint(finding: &LintFinding) -> String {
    let LintFinding {
        message,
        hint,
        lint,
        severity,
    } = finding;
    let word = word(*severity);
    format!("{word}: {message} [{lint}]\n  hint: {hint}")
}
