//! One line of JSON output.

use super::DataSubject;
use crate::audit::Audit;
use crate::error::{Error, Hint, Kind};
use crate::events::Event;
use crate::host;
use schemars::JsonSchema;
use serde::Serialize;

/// The version of the envelope and of all data in it. It changes when a program that reads the output
/// has to change.
const SCHEMA: u32 = 1;

/// One line of the output with `--format json`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct Envelope<'a, T> {
    /// The version of this shape.
    schema: u32,
    /// What the line is. Lines with `data`: `plan`, `status`, `release`, `check`, `score`, `report`,
    /// `doctor-check`, `file`, `fix`, `lint`, `log`, and `event`, unless an earlier robotctl wrote it. Lines without:
    /// `app-error`, and the last line, `result` or `error`.
    kind: &'a str,
    /// When it was written: RFC 3339, UTC. Of an event: when it happened.
    ts: String,
    /// The same for all lines of one command. An event of `history` has that of its own command.
    trace_id: &'a str,
    /// The app's name, with its environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    /// The environment in that name, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    /// The release that the line is about: of a plan the one that goes live, of a status or a report the
    /// live one.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    /// The unit that the line is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    /// What happened: see the list of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    /// `debug`, `info`, `warning` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    /// The text of an event, of an error, or of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// The kind of the error: what the command left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Kind>,
    /// The exit code of the command, on the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    /// What to do about an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    hints: Option<&'a [Hint]>,
    /// The data of the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a T>,
}

impl<'a, T> Envelope<'a, T> {
    fn new(kind: &'a str, trace: &'a str) -> Self {
        Self {
            schema: SCHEMA,
            kind,
            ts: host::now().to_string(),
            trace_id: trace,
            app: None,
            environment: None,
            release: None,
            service: None,
            event: None,
            level: None,
            message: None,
            error: None,
            exit_code: None,
            hints: None,
            data: None,
        }
    }

    pub(in crate::cli) fn data(
        kind: &'a str,
        trace: &'a str,
        subject: &'a DataSubject,
        data: &'a T,
    ) -> Self {
        Self {
            app: subject.app.as_deref(),
            environment: subject.environment.as_deref(),
            release: subject.release.as_deref(),
            service: subject.unit.as_deref(),
            data: Some(data),
            ..Self::new(kind, trace)
        }
    }
}

impl<'a> Envelope<'a, Audit> {
    pub(in crate::cli) fn event(event: &'a Event) -> Self {
        Self {
            ts: event.ts.clone(),
            app: Some(event.app.as_str()).filter(|app| !app.is_empty()),
            environment: event.environment.as_deref(),
            release: event.release.as_deref(),
            service: event.service.as_deref(),
            event: Some(&event.event),
            level: Some(&event.level),
            message: Some(&event.message),
            data: event.audit.as_ref(),
            ..Self::new("event", &event.trace_id)
        }
    }
}

impl<'a> Envelope<'a, ()> {
    pub(in crate::cli) fn result(trace: &'a str, exit_code: u8, message: &'a str) -> Self {
        Self {
            exit_code: Some(exit_code),
            message: Some(message).filter(|message| !message.is_empty()),
            ..Self::new("result", trace)
        }
    }

    /// The error of one of several apps. It is not the last line.
    pub(in crate::cli) fn app_error(
        trace: &'a str,
        subject: &'a DataSubject,
        error: &'a Error,
    ) -> Self {
        Self {
            kind: "app-error",
            app: subject.app.as_deref(),
            environment: subject.environment.as_deref(),
            exit_code: None,
            ..Self::error(trace, error)
        }
    }

    pub(in crate::cli) fn error(trace: &'a str, error: &'a Error) -> Self {
        Self {
            level: Some("error"),
            message: Some(&error.message),
            error: Some(error.kind),
            exit_code: Some(error.kind.exit_code()),
            hints: Some(&error.hints),
            ..Self::new("error", trace)
        }
    }
}
