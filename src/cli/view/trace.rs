//! The result of `doctor --trace` as text.

use super::counted;
use crate::ops::Trace;

/// One line for each system call, below a summary.
pub(in crate::cli) fn text(app: &str, trace: &Trace) -> String {
    let Trace {
        service,
        release,
        is_live,
        ended,
        denied,
    } = trace;
    let mut text = match denied.len() {
        0 => format!("{app}: the sandbox denies `{service}` no system call that it made\n"),
        count => format!(
            "{app}: `{service}` makes {} that the sandbox denies\n",
            counted(count, "system call")
        ),
    };
    for one in denied {
        text.push_str(&format!("  {}: {}\n", one.call, one.fix));
    }
    if !is_live {
        text.push_str(&format!(
            "note: no release is live; this was the last one, {release}\n"
        ));
    }
    if let Some(ended) = ended {
        text.push_str(&format!(
            "note: the second instance ended by itself: {ended}\n"
        ));
    }
    text
}
