//! Verdicts of checks as text.

use crate::health::Verdict;

/// One line per check.
pub(in crate::cli) fn line(verdict: &Verdict) -> String {
    let Verdict {
        unit,
        check,
        failure: _,
        millis,
        kind: _,
    } = verdict;
    match verdict.wrong() {
        None => format!("pass  {unit}: {check} ({millis} ms)\n"),
        Some(wrong) => format!("FAIL  {unit}: {wrong}\n"),
    }
}
