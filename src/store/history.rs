//! The common envelope of every event.

use super::Store;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How many lines of the history a prune leaves.
const MAX_HISTORY_LINES: usize = 1000;

/// One event of a deploy, rollback, recovery or prune.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// RFC 3339, UTC.
    pub ts: String,
    /// The same for all events of one command.
    pub trace_id: String,
    /// The app.
    pub app: String,
    /// The overlay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub environment: Option<String>,
    /// The release it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<String>,
    /// The service it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
    /// What happened: `deployed`, `rolled-back`, `failed`, `recovered`, `pruned`, or a step.
    pub event: String,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// One sentence.
    pub message: String,
}

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
