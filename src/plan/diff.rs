//! A changed file as a unified diff.

use crate::tree::{FileChange, Stored};
use similar::TextDiff;
use std::fmt;

/// How many unchanged lines surround a change.
const CONTEXT_LINES: usize = 2;

/// Displays the change of one file as a unified diff.
#[derive(Debug)]
pub struct Diff<'a>(pub &'a FileChange);

impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileChange {
            path,
            before,
            after,
        } = self.0;
        let (before, after) = (text(before.as_ref()), text(after.as_ref()));
        let diff = TextDiff::from_lines(&before, &after);
        let from = if before.is_empty() { "/dev/null" } else { path };
        let to = if after.is_empty() { "/dev/null" } else { path };
        let mut unified = diff.unified_diff();
        write!(
            f,
            "{}",
            unified.context_radius(CONTEXT_LINES).header(from, to)
        )
    }
}

fn text(stored: Option<&Stored>) -> String {
    stored
        .and_then(|stored| stored.entry().ok())
        .map_or(String::new(), |entry| entry.text())
}
