//! The table of checks, and running it.

use super::checks;
use super::report::{CheckContext, Finding, Report, Severity, Skipped};
use crate::app::{App, Layout, Name};
use crate::host::Host;
use crate::store::Store;
use crate::tree::FileTree;
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

/// What a check must be able to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    /// What any user may read.
    Public(fn(&CheckContext<'_>) -> Result<Vec<Finding>>),
    /// The content of the live release, which only root can read.
    Content(fn(&CheckContext<'_>, &App, &FileTree) -> Result<Vec<Finding>>),
}

/// One check.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct Check {
    /// Stable name.
    pub(crate) id: &'static str,
    /// The worst severity of its findings.
    pub(crate) severity: Severity,
    /// What must hold.
    pub(crate) summary: &'static str,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// The function that runs the check.
    #[serde(skip)]
    pub(crate) run: Needs,
}

/// Every check, in the order in which a person would run them.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "state",
        severity: Severity::Error,
        summary: "the state that robotctl keeps of the app can be read",
        why: "deploy and rollback refuse a state that is damaged",
        run: Needs::Content(|context, _, _| checks::state(context)),
    },
    Check {
        id: "journal",
        severity: Severity::Error,
        summary: "no change was interrupted",
        why: "an interrupted change leaves the host between two releases until it is ended",
        run: Needs::Public(checks::journal),
    },
    Check {
        id: "current",
        severity: Severity::Error,
        summary: "`current` is a relative link to the live release, and the release exists",
        why: "services start the release that `current` names",
        run: Needs::Public(checks::current),
    },
    Check {
        id: "content",
        severity: Severity::Error,
        summary: "the files of the live release are as they were staged",
        why: "releases share unchanged files, so a change by hand changes several releases",
        run: Needs::Content(|context, _, _| checks::content(context)),
    },
    Check {
        id: "files",
        severity: Severity::Error,
        summary: "units, drop-ins, tmpfiles.d and sysusers.d are as the live release has them",
        why: "the next deploy overwrites changes by hand",
        run: Needs::Content(checks::files),
    },
    Check {
        id: "shadowed",
        severity: Severity::Warning,
        summary: "no unit under `/etc` hides a generated one",
        why: "systemd reads the unit in `/etc` and ignores the generated one",
        run: Needs::Public(checks::shadowed),
    },
    Check {
        id: "units",
        severity: Severity::Error,
        summary: "enabled units are loaded, active and not failed",
        why: "a unit that is down does not serve",
        run: Needs::Public(checks::units),
    },
    Check {
        id: "running",
        severity: Severity::Error,
        summary: "every process runs the live release",
        why: "a process that was not restarted answers with old code",
        run: Needs::Public(checks::running),
    },
    Check {
        id: "tmpfiles",
        severity: Severity::Error,
        summary: "the directories of tmpfiles.d exist, with owner and mode",
        why: "services fail without their directories",
        run: Needs::Content(checks::tmpfiles),
    },
    Check {
        id: "permissions",
        severity: Severity::Error,
        summary: "only root can write to the release and read the secrets",
        why: "a service that can write to its own program can keep an intruder",
        run: Needs::Content(|context, app, _| checks::permissions(context, app)),
    },
    Check {
        id: "secrets",
        severity: Severity::Error,
        summary: "every secret exists",
        why: "a service does not start without a credential that it loads",
        run: Needs::Content(|context, app, _| checks::secrets(context, app)),
    },
    Check {
        id: "ports",
        severity: Severity::Error,
        summary: "every address accepts, and its unit holds it",
        why: "another process on the address answers in place of the service",
        run: Needs::Content(|context, app, _| checks::ports(context, app)),
    },
    Check {
        id: "manifest",
        severity: Severity::Error,
        summary: "the manifest of the live release has no error and no lint warning",
        why: "lints find settings that are allowed and probably wrong",
        run: Needs::Content(|_, app, _| checks::manifest(app)),
    },
    Check {
        id: "pins",
        severity: Severity::Note,
        summary: "no service is pinned to another release",
        why: "the next deploy is refused unless it lifts the pins with `--lift-pins`",
        run: Needs::Public(checks::pins),
    },
    Check {
        id: "disk",
        severity: Severity::Warning,
        summary: "the disks of the releases and of the records have space for another release",
        why: "a deploy is refused on a full disk",
        run: Needs::Public(checks::disk),
    },
];

/// Runs every check of an app with a live release.
pub(crate) fn run_checks(context: &CheckContext<'_>) -> Report {
    let mut report = Report {
        app: context.name.to_string(),
        ..Report::default()
    };
    for check in CHECKS {
        let found = match (check.run, context.content) {
            (Needs::Public(run), _) => run(context),
            (Needs::Content(run), Some((app, tree))) => run(context, app, tree),
            (Needs::Content(_), None) => {
                report.skipped.push(Skipped {
                    check: check.id,
                    reason: "it needs root: run `sudo robotctl doctor`".to_owned(),
                });
                continue;
            }
        };
        add(&mut report, check.id, found);
    }
    report
}

/// Checks what can be checked of an app without a readable live release.
///
/// # Errors
/// When the state cannot be read for another reason than damage.
pub(crate) fn checks_without_release(
    host: &Host,
    store: &Store,
    layout: &Layout,
    name: &Name,
) -> Result<Report> {
    let mut report = Report {
        app: name.to_string(),
        ..Report::default()
    };
    let damaged = checks::damaged(store)?;
    let is_damaged = !damaged.is_empty();
    add(&mut report, "state", Ok(damaged));
    add(&mut report, "journal", checks::journal_of(store));
    if !is_damaged {
        add(
            &mut report,
            "current",
            checks::no_live_release(host, store, layout),
        );
    }
    for check in CHECKS {
        if !["state", "journal", "current"].contains(&check.id) {
            report.skipped.push(Skipped {
                check: check.id,
                reason: "no release is live".to_owned(),
            });
        }
    }
    Ok(report)
}

/// The report of an app that no check can look at now.
pub(crate) fn skipped(name: &Name, reason: &str) -> Report {
    Report {
        app: name.to_string(),
        skipped: vec![Skipped {
            check: "all",
            reason: reason.to_owned(),
        }],
        ..Report::default()
    }
}

fn add(report: &mut Report, check: &'static str, found: Result<Vec<Finding>>) {
    match found {
        Ok(found) => {
            report.checked += 1;
            let findings = found
                .into_iter()
                .map(|finding| Finding { check, ..finding });
            report.findings.extend(findings);
        }
        Err(error) => report.skipped.push(Skipped {
            check,
            reason: format!("{error:#}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::CHECKS;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_an_id_of_its_own_and_says_what_and_why() {
        let ids: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        for check in CHECKS {
            assert!(
                !check.summary.is_empty() && !check.why.is_empty(),
                "{}",
                check.id
            );
        }
    }
}
