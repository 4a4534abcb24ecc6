//! The doctor's report as text.

use super::counted::counted;
use crate::doctor::{Report, Severity};

/// The findings of an app, the skipped checks, and a summary line.
pub(in crate::cli) fn text(report: &Report) -> String {
    let mut text = String::new();
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
        text.push_str(&format!("skipped: {}: {reason}\n", checks.join(", ")));
    }
    text
}
