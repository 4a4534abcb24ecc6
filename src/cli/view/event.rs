//! Events as text.

use crate::events::Event;

/// What stands for the end of a line that does not fit.
const ELLIPSIS: char = '…';

/// What happened, with the app that it happened to.
pub(in crate::cli) fn text(event: &Event) -> String {
    match event.event.as_str() {
        "note" => event.message.clone(),
        _ => event.message_with_app(),
    }
}

/// The lines of the history, one for each event, with aligned columns: when, which app, what happened, by
/// whom, and the message. On a terminal, a line ends where the terminal does.
pub(in crate::cli) fn history(events: &[Event], columns: Option<usize>) -> Vec<String> {
    let widest = |text: fn(&Event) -> &str| {
        let widths = events.iter().map(|one| text(one).chars().count());
        widths.max().unwrap_or_default()
    };
    let [app, kind, by] = [
        widest(|event| &event.app),
        widest(|event| &event.event),
        widest(by_whom),
    ];
    let line = |event: &Event| {
        let line = format!(
            "{}  {:app$}  {:kind$}  {:by$}  {}",
            second(&event.ts),
            event.app,
            event.event,
            by_whom(event),
            summary(event)
        );
        cut(&line, columns) + "\n"
    };
    events.iter().map(line).collect()
}

/// The time without fractions of a second.
fn second(ts: &str) -> String {
    match ts.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => ts.to_owned(),
    }
}

fn by_whom(event: &Event) -> &str {
    let by = event.audit.as_ref().map(|audit| &audit.by);
    by.and_then(|by| by.user.as_deref()).unwrap_or("-")
}

/// The first line of the message, with the release where the message does not name it, and the Git revision
/// or the signer of what was deployed.
fn summary(event: &Event) -> String {
    let Event {
        release, message, ..
    } = event;
    let first = message.lines().next().unwrap_or_default();
    let mut text = match release {
        Some(id) if !message.contains(id.as_str()) => format!("{id}: {first}"),
        _ => first.to_owned(),
    };
    let git = event.audit.as_ref().and_then(|audit| audit.git.as_ref());
    if let Some(git) = git.filter(|_| event.event == "deployed") {
        text.push_str(&format!(", git {}", git.short()));
    }
    let archive = event
        .audit
        .as_ref()
        .and_then(|audit| audit.archive.as_ref());
    if let Some(archive) = archive.filter(|_| event.event == "deployed") {
        text.push_str(&format!(", {}", archive.in_words()));
    }
    text
}

/// The line, cut to a number of columns.
fn cut(line: &str, columns: Option<usize>) -> String {
    match columns {
        Some(columns) if columns > 0 && line.chars().count() > columns => {
            let mut text: String = line.chars().take(columns - 1).collect();
            text.push(ELLIPSIS);
            text
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::history;
    use crate::audit::{Audit, Caller, GitRevision};
    use crate::events::Event;

    fn event(app: &str, kind: &str, message: &str, audit: Option<Audit>) -> Event {
        Event {
            ts: "2026-11-30T12:00:00.123456789Z".to_owned(),
            trace_id: "1".to_owned(),
            app: app.to_owned(),
            environment: None,
            release: Some("1.0-ab".to_owned()),
            service: None,
            event: kind.to_owned(),
            level: "info".to_owned(),
            message: message.to_owned(),
            audit,
        }
    }

    #[test]
    fn each_event_is_one_aligned_line() {
        let audit = |user: &str, dirty| Audit {
            by: Caller {
                user: Some(user.to_owned()),
                ..Caller::default()
            },
            git: Some(GitRevision {
                revision: "1a2b3c4d5e6f".repeat(4),
                dirty,
            }),
            ..Audit::default()
        };
        let events = [
            event("shop", "deployed", "1.0-ab is live", None),
            event(
                "shop-test",
                "refused",
                "it was refused\nwith output",
                Some(audit("bo", None)),
            ),
            event(
                "shop",
                "deployed",
                "1.0-ab is live",
                Some(audit("alice", Some(true))),
            ),
        ];
        let time = "2026-11-30T12:00:00Z";
        assert_eq!(
            history(&events, None),
            [
                format!("{time}  shop       deployed  -      1.0-ab is live\n"),
                format!("{time}  shop-test  refused   bo     1.0-ab: it was refused\n"),
                format!(
                    "{time}  shop       deployed  alice  1.0-ab is live, git 1a2b3c4d5e6f, dirty\n"
                ),
            ]
        );
        for line in history(&events, Some(60)) {
            assert!(line.chars().count() <= 61, "{line}");
        }
    }
}
