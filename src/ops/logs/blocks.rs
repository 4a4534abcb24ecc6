//! Traces of several lines stay whole, although other services log at the same time.

use crate::host::JournalEntry;
use std::collections::VecDeque;

/// How long after a line the next line of the same trace may come, in milliseconds.
const GAP_MS: i64 = 100;

/// The entries in the order in which they are shown: a line that continues one comes directly after it.
pub(super) fn in_blocks(entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
    let mut left: VecDeque<JournalEntry> = entries.into();
    let mut out: Vec<JournalEntry> = Vec::with_capacity(left.len());
    while let Some(first) = left.pop_front() {
        let (unit, pid) = (first.unit.clone(), first.pid);
        let mut last = first.at;
        out.push(first);
        let mut at = 0;
        while let Some(next) = left.get(at) {
            if next.at.as_millisecond() - last.as_millisecond() > GAP_MS {
                break;
            }
            if next.unit != unit || next.pid != pid {
                at += 1;
                continue;
            }
            if !continues(&next.message) {
                break;
            }
            last = next.at;
            out.extend(left.remove(at));
        }
    }
    out
}

/// Whether a line continues a trace: it is indented, or a language writes it below one.
fn continues(line: &str) -> bool {
    const BELOW: [&str; 4] = [
        "Caused by: ",
        "stack backtrace:",
        "During handling of ",
        "}",
    ];
    line.is_empty()
        || line.starts_with([' ', '\t'])
        || BELOW.iter().any(|begin| line.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::in_blocks;
    use crate::host::JournalEntry;

    fn entry(ms: i64, unit: &str, message: &str) -> JournalEntry {
        let line = serde_json::json!({
            "__REALTIME_TIMESTAMP": (1_764_547_200_000_000 + ms * 1000).to_string(),
            "__CURSOR": "s",
            "_SYSTEMD_UNIT": unit,
            "_PID": "7",
            "MESSAGE": message,
        });
        JournalEntry::parse(&line.to_string()).unwrap()
    }

    #[test]
    fn a_trace_is_not_torn_by_other_services() {
        let entries = vec![
            entry(0, "web", "Traceback (most recent call last):"),
            entry(1, "db", "one"),
            entry(2, "web", "  File \"a.py\""),
            entry(3, "db", "two"),
            entry(4, "web", "    open()"),
            entry(5, "web", "OSError: no"),
            entry(900, "web", "  much later"),
        ];
        let shown = in_blocks(entries);
        let shown: Vec<&str> = shown.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            shown,
            [
                "Traceback (most recent call last):",
                "  File \"a.py\"",
                "    open()",
                "one",
                "two",
                "OSError: no",
                "  much later"
            ]
        );
    }
}
