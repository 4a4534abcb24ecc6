//! The session: what every step of one command on one app works with.

use crate::events::{Event, Sink, Subject};
use crate::host::{self, Host};
use crate::store::Store;

/// Events that the app's own history keeps; the systemd journal gets all of them.
const HISTORY_EVENTS: [&str; 9] = [
    "adopted",
    "deployed",
    "failed",
    "pinned",
    "pruned",
    "put-back",
    "recovered",
    "removed",
    "rolled-back",
];

/// What every step of a command needs: the host, the app's store, and where events go.
pub struct Session<'a> {
    /// The host.
    pub host: &'a Host,
    /// The app's records.
    pub store: &'a Store,
    /// The app's name, with its environment.
    pub app: String,
    /// The environment in that name, when there is one.
    pub environment: Option<String>,
    /// The same for every event of one command, and sent with every check.
    pub trace: String,
    /// Shows an event to the user.
    pub show: &'a Sink<'a>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("app", &self.app)
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

impl Session<'_> {
    /// Makes one event known: to the user, the history and the systemd journal.
    pub fn emit(&self, level: &str, event: &str, about: Subject<'_>, message: &str) {
        let event = Event {
            ts: host::now().to_string(),
            trace_id: self.trace.clone(),
            app: self.app.clone(),
            environment: self.environment.clone(),
            release: about.release.map(str::to_owned),
            service: about.unit.map(str::to_owned),
            event: event.to_owned(),
            level: level.to_owned(),
            message: message.to_owned(),
        };
        (self.show)(&event);
        if HISTORY_EVENTS.contains(&event.event.as_str()) {
            self.store.append_event(&event);
        }
        let priority = match level {
            "error" => "3",
            "warning" => "4",
            "debug" => "7",
            _ => "6",
        };
        host::journald::send(&[
            ("MESSAGE", message),
            ("PRIORITY", priority),
            ("SYSLOG_IDENTIFIER", "robotctl"),
            ("ROBOTCTL_APP", &self.app),
            (
                "ROBOTCTL_ENVIRONMENT",
                self.environment.as_deref().unwrap_or_default(),
            ),
            ("ROBOTCTL_EVENT", &event.event),
            ("ROBOTCTL_TRACE_ID", &self.trace),
            ("ROBOTCTL_RELEASE", about.release.unwrap_or_default()),
            ("ROBOTCTL_UNIT", about.unit.unwrap_or_default()),
        ]);
    }
}
