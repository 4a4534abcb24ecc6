//! Events as text.

use crate::events::Event;

/// What happened, with the app that it happened to.
pub(in crate::cli) fn text(event: &Event) -> String {
    let Event { app, message, .. } = event;
    if app.is_empty() || event.event == "note" || message.starts_with(&format!("{app} ")) {
        message.clone()
    } else {
        format!("{app}: {message}")
    }
}

/// A line of the history: when, which app, what happened, and the release where the message does not
/// name it.
pub(in crate::cli) fn history_line(event: &Event) -> String {
    let Event {
        ts,
        app,
        event,
        message,
        release,
        ..
    } = event;
    let subject = match release {
        Some(id) if !message.contains(id.as_str()) => format!("{id}: "),
        _ => String::new(),
    };
    format!("{ts}  {app}  {event}  {subject}{message}\n")
}
