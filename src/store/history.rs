//! The history: one line per event, readable for every user.
//!
//! The message of an event is a summary without the output of programs. The systemd journal has the
//! whole message.

use super::records::{PUBLIC, Store};
use super::release::UNKNOWN_FAILURE;
use crate::events::Event;
use anyhow::Result;

/// How many lines a prune leaves.
const MAX_LINES: usize = 1000;

const FILE: &str = "history.jsonl";

impl Store {
    /// Adds an event. A history that cannot be written never fails a deploy.
    pub fn append_event(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            let _ = self.root.append(&self.path(FILE), &line, PUBLIC);
        }
    }

    /// The history, oldest first. A torn last line is skipped.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn history(&self) -> Result<Vec<Event>> {
        let text = self.root.read_text(&self.path(FILE))?.unwrap_or_default();
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Drops all but the last thousand lines.
    ///
    /// # Errors
    /// When it cannot be read or written; it is then as before.
    pub fn trim_history(&self) -> Result<()> {
        let path = self.path(FILE);
        let text = self.root.read_text(&path)?.unwrap_or_default();
        let Some(excess) = text
            .lines()
            .count()
            .checked_sub(MAX_LINES)
            .filter(|it| *it > 0)
        else {
            return Ok(());
        };
        let kept: Vec<&str> = text.lines().skip(excess).collect();
        let kept = kept.join("\n") + "\n";
        self.root.write_atomic(&path, kept.as_bytes(), PUBLIC)
    }

    /// Writes a history of format 1, which only root could read, again for every user.
    pub(super) fn publish_history(&self) -> Result<()> {
        let mut text = String::new();
        for event in self.history()? {
            text.push_str(&serde_json::to_string(&public(event))?);
            text.push('\n');
        }
        self.root
            .write_atomic(&self.path(FILE), text.as_bytes(), PUBLIC)
    }
}

/// The event without the output of a service, which any line of such a message may hold.
fn public(mut event: Event) -> Event {
    if event.event == "failed" {
        UNKNOWN_FAILURE.clone_into(&mut event.message);
    }
    event
}
