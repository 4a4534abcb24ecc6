//! Events: what a command does, one step at a time.
//!
//! Every event has the same envelope. It goes to the systemd journal, to the screen or to the JSON
//! output of the command, and the important ones to the app's history.

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

/// Receives every event as it happens.
pub type Sink<'a> = dyn Fn(&Event) + 'a;

/// What an event is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// A release's id.
    pub release: Option<&'a str>,
    /// A unit's name.
    pub unit: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// A release.
    pub fn release(id: &'a str) -> Self {
        Self {
            release: Some(id),
            unit: None,
        }
    }
}
