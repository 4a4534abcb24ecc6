//! The values on the page. An anonymous reader sees all of them, so they hold only what is public:
//! names, ids, times, states and the ids of doctor checks. Messages of `robotctl doctor` name files
//! and settings, so they are not among them.

use askama::Template;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How healthy an app or unit is. The worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Health {
    /// It works.
    Healthy,
    /// Its state is unknown.
    Unknown,
    /// It works, and needs attention.
    Warning,
    /// It does not work.
    Failed,
}

impl Health {
    /// The word on the page.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Warning => "needs attention",
            Self::Failed => "not healthy",
        }
    }

    /// The style class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// Everything on the page.
#[derive(Debug, Serialize, Template)]
#[template(path = "page.html", config = "packaging/askama.toml")]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) now: Timestamp,
    pub(super) apps: Vec<AppStatus>,
    /// Why the states of units are unknown, if they are.
    pub(super) units_unknown: Option<String>,
    pub(super) report: Option<DoctorReport>,
}

/// One app.
#[derive(Debug, Serialize)]
pub(super) struct AppStatus {
    pub(super) name: String,
    pub(super) health: Health,
    /// The reason, in one sentence.
    pub(super) why: String,
    pub(super) live: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) releases: Vec<String>,
    pub(super) units: Vec<UnitRow>,
}

/// One unit.
#[derive(Debug, Serialize)]
pub(super) struct UnitRow {
    pub(super) unit: String,
    pub(super) health: Health,
    /// The state in words.
    pub(super) text: String,
    /// The state as systemd prints it.
    pub(super) state: String,
    /// The release that its process runs, if it has one.
    pub(super) runs: Option<String>,
}

/// What `/opt` shows of an app.
#[derive(Debug)]
pub(super) struct DeployedApp {
    pub(super) name: String,
    pub(super) live: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) releases: Vec<String>,
}

/// The public part of what `robotctl doctor --report` wrote.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DoctorReport {
    pub(super) ts: Timestamp,
    pub(super) apps: Vec<AppReport>,
}

/// The report of one app.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AppReport {
    pub(super) app: Option<String>,
    pub(super) findings: Vec<Finding>,
    /// Checks that could not run.
    pub(super) skipped: Vec<SkippedCheck>,
}

/// One finding, without its message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) severity: String,
}

/// A check that could not run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SkippedCheck {
    pub(super) check: String,
}

/// The check of the doctor that looks at what processes run.
const RUNNING: &str = "running";
/// The word of the doctor for all of its checks.
const ALL: &str = "all";

impl DoctorReport {
    /// The findings of an app.
    pub(super) fn findings<'a>(&'a self, app: &'a str) -> impl Iterator<Item = &'a Finding> {
        let apps = self.apps.iter();
        let own = apps.filter(move |one| one.app.as_deref() == Some(app));
        own.flat_map(|one| &one.findings)
    }

    /// Whether the doctor has checked what an app runs since its switch, and found nothing wrong. A
    /// service that has the same files in the new release is not restarted.
    pub(super) fn approves_running(&self, app: &str, since: Option<Timestamp>) -> bool {
        let is_later = since.is_some_and(|since| self.ts > since);
        let mut apps = self.apps.iter();
        let own = apps.find(|one| one.app.as_deref() == Some(app));
        let is_right = |one: &AppReport| {
            let has_run = one
                .skipped
                .iter()
                .all(|one| one.check != RUNNING && one.check != ALL);
            let mut findings = one.findings.iter();
            has_run && findings.all(|one| one.check != RUNNING || one.severity == "note")
        };
        is_later && own.is_some_and(is_right)
    }
}

impl Status {
    fn ago(&self, then: &Timestamp) -> String {
        crate::ago::ago(*then, self.now)
    }

    fn findings<'a>(&'a self, app: &'a str) -> Vec<&'a Finding> {
        let reports = self.report.iter();
        reports.flat_map(|report| report.findings(app)).collect()
    }

    fn skipped(&self) -> Vec<&str> {
        let apps = self.report.iter().flat_map(|report| &report.apps);
        let skipped = apps.flat_map(|one| &one.skipped);
        skipped.map(|one| one.check.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::DoctorReport;

    #[test]
    fn messages_of_the_doctor_are_not_on_the_page() {
        let text = r#"{"ts": "2026-11-20T23:59:30Z", "version": "1", "apps": [{"app": "shop",
            "checked": 9, "findings": [{"check": "secrets", "severity": "error",
            "message": "`/etc/shop/credentials/KEY` is readable",
            "fix": [{"text": "remove access for other users", "command": "chmod"}]}],
            "skipped": [{"check": "running", "reason": "`/proc/7` is hidden"}]}]}"#;
        let report: DoctorReport = serde_json::from_str(text).unwrap();
        let findings: Vec<_> = report.findings("shop").collect();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].check, "secrets");
        let shown = serde_json::to_string(&report).unwrap();
        for private in ["/etc/shop", "chmod", "/proc/7"] {
            assert!(!shown.contains(private), "{shown}");
        }
    }
}
