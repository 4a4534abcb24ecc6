//! The doctor's report as text.

use super::counted::counted;
use crate::command_line::CommandLine;
use crate::doctor::{Report, Severity};
use crate::error::AS_ROOT;
use crate::sandbox::probes::{ProbedSandbox, Status};

/// How many checks that were skipped for the same reason are named.
const MAX_SKIPPED: usize = 5;

/// The results of a probe, the findings of an app, the skipped checks, and a summary line.
pub(in crate::cli) fn text(report: &Report) -> String {
    let mut text: String = report.probed.iter().flatten().map(probed).collect();
    for finding in &report.findings {
        text.push_str(&format!(
            "{}: {} [{}]
",
            finding.severity.word(),
            finding.message,
            finding.check
        ));
        for step in &finding.fix {
            text.push_str(&format!(
                "  hint: {step}
"
            ));
        }
    }
    text.push_str(&skipped(report));
    let findings = report.findings.iter();
    let count = findings.filter(|one| one.severity > Severity::Note).count();
    let verdict = match count {
        0 if report.skipped.is_empty() => "healthy".to_owned(),
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        _ => format!("{count} findings"),
    };
    text.push_str(&format!(
        "{}: {verdict}, {}\n",
        report.app,
        counted(report.checked, "check")
    ));
    text
}

/// A line that says what `doctor --fix` can do about the findings; empty when it can do nothing.
pub(in crate::cli) fn safe_to_fix(report: &Report) -> String {
    let findings = report.findings.iter();
    let count = match findings.filter(|one| !one.safe_fixes.is_empty()).count() {
        0 => return String::new(),
        1 => "1 finding is".to_owned(),
        count => format!("{count} findings are"),
    };
    let fix = CommandLine::sudo_robotctl(["--app", &report.app, "doctor", "--fix"]);
    format!("hint: {count} safe to fix: {fix}\n")
}

/// One line for each thing that was tried in a sandbox.
fn probed(sandbox: &ProbedSandbox) -> String {
    let mut text = format!(
        "sandbox of {}, user {}:\n",
        sandbox.units.join(", "),
        sandbox.user
    );
    if let Some(failure) = &sandbox.failure {
        text.push_str(&format!("  not tested: {failure}\n"));
    }
    let width = sandbox.results.iter().map(|one| one.what.len()).max();
    for result in &sandbox.results {
        let names = result.directives.iter();
        let names: Vec<String> = names.map(|name| format!("{name}=")).collect();
        let detail = match result.status {
            Status::Enforced | Status::NoEffect => names.join(", "),
            Status::Unsupported => format!("{}: {}", names.join(", "), result.why),
            Status::Allowed | Status::NotTested => result.why.clone(),
        };
        text.push_str(&format!(
            "  {:11}  {:width$}  {detail}\n",
            result.status.words(),
            result.what,
            width = width.unwrap_or(0)
        ));
    }
    text
}

/// One line for all checks that were skipped for the same reason.
fn skipped(report: &Report) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for skipped in &report.skipped {
        match reasons
            .iter_mut()
            .find(|(reason, _)| *reason == skipped.reason)
        {
            Some((_, checks)) => checks.push(skipped.check),
            None => reasons.push((&skipped.reason, vec![skipped.check])),
        }
    }
    let mut text = String::new();
    for (reason, checks) in reasons {
        let which = match checks.len() {
            0..=MAX_SKIPPED => checks.join(", "),
            // A user decides by them whether to ask root.
            _ if reason.contains(AS_ROOT) => checks.join(", "),
            count => format!("{} (`--format json` lists them)", counted(count, "check")),
        };
        text.push_str(&format!("skipped: {which}: {reason}\n"));
    }
    text
}
