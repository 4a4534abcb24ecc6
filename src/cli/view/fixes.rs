//! What `doctor --fix` would do, as text.

use super::report;
use crate::ops::{Fixes, StepResult};
use crate::safe_fix::SafeFix;

/// The report, and the steps that are planned. Events have said what was done.
pub(in crate::cli) fn text(fixes: &Fixes) -> String {
    let mut text = report::text(&fixes.report);
    let steps = fixes.steps.iter();
    let planned = steps.filter(|step| step.result == StepResult::Planned);
    for (number, step) in planned.enumerate() {
        if number == 0 {
            text.push_str("\nwhat `--apply` does:\n");
        }
        let checks: Vec<&str> = step.checks.iter().copied().collect();
        text.push_str(&format!("  - {} [{}]\n", step.text, checks.join(", ")));
        if step.fix == SafeFix::EndChange {
            text.push_str("  - run the other checks, and fix what is safe to fix\n");
        }
    }
    if fixes.steps.is_empty() {
        text.push_str(match fixes.report.findings.is_empty() {
            true => "nothing to fix\n",
            false => "nothing here is safe to fix without you: follow the hints\n",
        });
    }
    text
}
