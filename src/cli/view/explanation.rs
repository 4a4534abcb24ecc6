//! What a check of the doctor looks for, as text.

use crate::doctor::Check;

/// One line of the list of checks.
pub(in crate::cli) fn line(check: &Check) -> String {
    format!("{:12} {}\n", check.id, check.summary)
}

/// Everything about a check.
pub(in crate::cli) fn text(check: &Check) -> String {
    format!(
        "{}: {}\n\nseverity: {} at most\nwhy: {}\nfix: {}\nread: {}\n",
        check.id,
        check.summary,
        check.severity.word(),
        check.why,
        check.fix,
        check.man.join(", ")
    )
}
