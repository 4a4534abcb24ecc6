//! The common envelope of every event.

use super::Store;
use crate::events::Event;
use anyhow::Result;

/// How many lines of the history a prune leaves.
const MAX_HISTORY_LINES: usize = 1000;

/// Where it lies in the book.
const FILE: &str = "history.jsonl";

impl Store {
    /// Adds a line to the history. A history that cannot be written never fails a deploy.
    pub fn append_event(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            let _ = self.root.append(&self.path(FILE), &line);
        }
    }

    /// The history, oldest first; a torn last line is passed over.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn history(&self) -> Result<Vec<Event>> {
        let text = self.root.read_text(&self.path(FILE))?.unwrap_or_default();
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Drops all but the last thousand lines of the history.
    ///
    /// # Errors
    /// When it cannot be read or written; it is then as it was.
    pub fn trim_history(&self) -> Result<()> {
        let path = self.path(FILE);
        let text = self.root.read_text(&path)?.unwrap_or_default();
        let Some(excess) = text
            .lines()
            .count()
            .checked_sub(MAX_HISTORY_LINES)
            .filter(|it| *it > 0)
        else {
            return Ok(());
        };
        let kept: Vec<&str> = text.lines().skip(excess).collect();
        let kept = kept.join("\n") + "\n";
        self.root.write_atomic(&path, kept.as_bytes(), 0o600)
    }
}
