//! The common envelope of every event.

use serde::{Deserialize, Serialize};

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
