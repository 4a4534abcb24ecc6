//! Finding what is wrong: a table of checks, each of which looks and says what to type.
//!
//! A check that cannot look is not a finding: the outer error says so.

mod checks;

use crate::app::{App, Layout};
use crate::host::Host;
use crate::store::{State, Store};
use crate::tree::FileTree;
use anyhow::Result;
use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Works, and should be looked at.
    Warning,
    /// Does not work, or will not after the next start.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's id.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// What to type or do.
    pub hint: String,
}

/// A check that could not look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The check's id.
    pub check: &'static str,
    /// Why.
    pub why: String,
}

/// What all checks found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The app; none for the host alone.
    pub app: Option<String>,
    /// How many checks looked.
    pub checked: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Checks that could not look.
    pub skipped: Vec<Skipped>,
}

/// What a check gets to look at.
#[derive(Debug)]
pub struct CheckContext<'a> {
    /// The host.
    pub host: &'a Host,
    /// The app's records.
    pub store: &'a Store,
    /// Where the app lives.
    pub layout: &'a Layout,
    /// What is live.
    pub state: &'a State,
    /// The live release's app.
    pub app: &'a App,
    /// The files that the live release put on the host.
    pub tree: &'a FileTree,
}

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// What must hold.
    pub summary: &'static str,
    /// Looks, and gives what is wrong: severity, sentence, what to type.
    pub run: fn(&CheckContext<'_>) -> Result<Vec<Found>>,
}

/// What a check found: severity, sentence, what to type.
pub type Found = (Severity, String, String);

/// Every check, in the order in which a person would look.
pub const CHECKS: &[Check] = &[
    Check {
        id: "records",
        summary: "what robotctl remembers of the app can be read",
        run: checks::records,
    },
    Check {
        id: "journal",
        summary: "no change was interrupted",
        run: checks::journal,
    },
    Check {
        id: "current",
        summary: "`current` is a relative link to the live release, which is complete",
        run: checks::current,
    },
    Check {
        id: "files",
        summary: "units, drop-ins, tmpfiles.d and sysusers.d are as the live release has them",
        run: checks::files,
    },
    Check {
        id: "shadowed",
        summary: "no unit under `/etc` hides a generated one",
        run: checks::shadowed,
    },
    Check {
        id: "units",
        summary: "enabled units are loaded, active and not failed",
        run: checks::units,
    },
    Check {
        id: "running",
        summary: "every process runs the live release",
        run: checks::running,
    },
    Check {
        id: "tmpfiles",
        summary: "directories of tmpfiles.d are there, with owner and mode",
        run: checks::tmpfiles,
    },
    Check {
        id: "permissions",
        summary: "nothing in the release is writable by others than root; secrets are root's alone",
        run: checks::permissions,
    },
    Check {
        id: "secrets",
        summary: "every secret is there",
        run: checks::secrets,
    },
    Check {
        id: "ports",
        summary: "every address accepts, and is held by systemd or by the service itself",
        run: checks::ports,
    },
    Check {
        id: "manifest",
        summary: "no lint has a warning for the live release's manifest",
        run: checks::manifest,
    },
    Check {
        id: "disk",
        summary: "there is room for another release",
        run: checks::disk,
    },
];

/// What is wrong with records, of which nothing else can be looked at.
pub fn unreadable(app: &str, store: &Store) -> Result<Report> {
    let found = checks::damaged(store)?;
    Ok(Report {
        app: Some(app.to_owned()),
        checked: 1,
        findings: found.into_iter().map(|it| finding("records", it)).collect(),
        skipped: Vec::new(),
    })
}

fn finding(check: &'static str, (severity, message, hint): Found) -> Finding {
    Finding {
        check,
        severity,
        message,
        hint,
    }
}

/// Runs every check.
pub fn run_checks(context: &CheckContext<'_>) -> Report {
    let mut report = Report {
        app: Some(context.app.name.to_string()),
        ..Report::default()
    };
    for check in CHECKS {
        match (check.run)(context) {
            Ok(found) => {
                report.checked += 1;
                let found = found.into_iter().map(|it| finding(check.id, it));
                report.findings.extend(found);
            }
            Err(error) => report.skipped.push(Skipped {
                check: check.id,
                why: format!("{error:#}"),
            }),
        }
    }
    report
}
