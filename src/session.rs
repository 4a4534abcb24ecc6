//! The session: what every step of one command on one app works with.

use crate::audit::Audit;
use crate::events::{Event, JOURNAL_FIELDS, Sink, Subject};
use crate::failure::Failure;
use crate::host::{self, Host, Killed};
use crate::store::Store;
use std::cell::RefCell;
use std::fmt;

/// The host, the app's store, and where events go.
pub struct Session<'a> {
    /// The host.
    pub host: &'a Host,
    /// The app's store.
    pub store: &'a Store,
    /// The app's name, with its environment.
    pub app: String,
    /// The environment in that name, when there is one.
    pub environment: Option<String>,
    /// The trace id: the same for every event of one command, and sent with every HTTP check.
    pub trace: String,
    /// Who started the command, and what it works with.
    pub audit: &'a RefCell<Audit>,
    /// Shows an event to the user.
    pub sink: &'a Sink<'a>,
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("app", &self.app)
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

impl Session<'_> {
    /// Sends an event to the user, to the systemd journal, and to the history when it belongs there.
    /// Every user can read the history: a message with the text of an error or the output of a program
    /// belongs to an event that it does not keep.
    pub fn emit(&self, level: &str, event: &str, subject: Subject<'_>, message: &str) {
        self.report_killed();
        self.send(level, event, subject, message, message);
    }

    /// Sends an event for each unit whose processes were killed, because it took longer to start or stop
    /// than its timeouts allow.
    pub fn report_killed(&self) {
        for Killed { unit, verb, .. } in self.host.systemd.take_killed() {
            let text = format!(
                "`{unit}` did not {verb} within its timeout, and its processes were killed"
            );
            let subject = Subject {
                release: None,
                unit: Some(&unit),
            };
            self.send("warning", "killed", subject, &text, &text);
        }
    }

    /// Sends the event `failed` of a release. The history gets the summary only.
    pub(crate) fn emit_failure(&self, release: &str, failure: &Failure) {
        self.report_killed();
        let (subject, detail) = (Subject::release(release), failure.to_string());
        self.send("error", "failed", subject, &detail, failure.summary());
    }

    fn send(&self, level: &str, event: &str, subject: Subject<'_>, message: &str, public: &str) {
        let event = self.event(level, event, subject, message);
        (self.sink)(&event);
        self.keep(&event, public);
    }

    /// Keeps the end of a command that was refused, interrupted or not completed, which the command itself reports. `public` is what
    /// every user may know of it.
    pub(crate) fn keep_attempt(&self, event: &str, message: &str, public: &str) {
        let event = self.event("error", event, Subject::default(), message);
        self.keep(&event, public);
    }

    fn event(&self, level: &str, event: &str, subject: Subject<'_>, message: &str) -> Event {
        Event {
            ts: host::now().to_string(),
            trace_id: self.trace.clone(),
            app: self.app.clone(),
            environment: self.environment.clone(),
            release: subject.release.map(str::to_owned),
            service: subject.unit.map(str::to_owned),
            event: event.to_owned(),
            level: level.to_owned(),
            message: message.to_owned(),
            audit: Some(self.audit.borrow().clone()),
        }
    }

    /// Writes an event to the history, if it belongs there, and to the systemd journal.
    fn keep(&self, event: &Event, public: &str) {
        self.store.append_event(event, public);
        // Priorities of syslog(3).
        let priority = match event.level.as_str() {
            "error" => "3",
            "warning" => "4",
            "debug" => "7",
            _ => "6",
        };
        let own = JOURNAL_FIELDS.iter();
        let own = own.map(|field| (field.name, (field.value)(event).unwrap_or_default()));
        let general = [
            ("MESSAGE", event.message_with_app()),
            ("PRIORITY", priority.to_owned()),
            ("SYSLOG_IDENTIFIER", "robotctl".to_owned()),
        ];
        let fields: Vec<(&str, String)> = general.into_iter().chain(own).collect();
        // A field without a value says nothing.
        let known = fields.iter().filter(|(_, value)| !value.is_empty());
        let known: Vec<(&str, &str)> = known.map(|(name, value)| (*name, value.as_str())).collect();
        host::journald::send(&known);
    }
}
