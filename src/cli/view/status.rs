//! The status as text.

use super::counted;
use crate::command_line::CommandLine;
use crate::ops::{AppStatus, Draining, UnitStatus};
use std::path::Path;

/// An app with its units.
pub(in crate::cli) fn text(status: &AppStatus, root: Option<&Path>) -> String {
    let mut text = format!("{}: ", status.app);
    match (&status.live, &status.since) {
        (None, _) => {
            text.push_str("no release is live");
            if let Some(failure) = &status.failure {
                let doctor = CommandLine::sudo_robotctl(["--app", &status.app, "doctor"]);
                let doctor = doctor.for_root(root);
                text.push_str(&format!(", and {failure}\n  what to do about it: {doctor}"));
            }
            text.push('\n');
        }
        (Some(live), None) => text.push_str(&format!("{live} is live\n")),
        (Some(live), Some(since)) => text.push_str(&format!("{live} is live since {since}\n")),
    }
    if let Some(archive) = &status.archive {
        text.push_str(&format!("  its archive: {}\n", archive.in_words()));
    }
    for other in &status.environments {
        let what = match &other.environment {
            Some(name) => format!("environment {name}"),
            None => "without an environment".to_owned(),
        };
        let live = other.live.as_deref().map(|live| format!("{live} is live"));
        let live = live.unwrap_or_else(|| "no release is live".to_owned());
        text.push_str(&format!("  also here: {}, {what}: {live}\n", other.app));
    }
    if let Some(drift) = &status.package {
        text.push_str(&format!("  {drift}\n"));
    }
    if let Some(what) = &status.under_way {
        text.push_str(&format!("  a change is under way: {what}\n"));
    }
    if status.interrupted {
        let recover = CommandLine::sudo_robotctl(["recover"]).for_root(root);
        text.push_str(&format!(
            "  a change was interrupted; to end it: {recover}\n"
        ));
    }
    let width = status.units.iter().map(|unit| unit.unit.len()).max();
    let width = width.unwrap_or_default();
    for unit in &status.units {
        let UnitStatus {
            unit,
            state,
            runs,
            note,
        } = unit;
        let runs = runs.as_deref().unwrap_or("-");
        text.push_str(&format!("  {unit:width$}  {state:20} {runs}"));
        if let Some(note) = note {
            text.push_str(&format!("  {note}"));
        }
        text.push('\n');
    }
    for one in &status.draining {
        text.push_str(&draining(one));
    }
    text
}

/// A time in the largest unit of which there are two or more: `90 s`, `2 min`, `30 h`.
fn rough(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// A previous release that ends its connections.
fn draining(one: &Draining) -> String {
    let release = one.release.as_deref().unwrap_or("a previous release");
    let mut text = format!("  {} drains: {release}", one.scope);
    match one.connections {
        Some(count) => text.push_str(&format!(", {}", counted(count, "connection"))),
        None if one.processes == 1 => text.push_str(", 1 process"),
        None => text.push_str(&format!(", {} processes", one.processes)),
    }
    match one.seconds_left {
        Some(seconds) => text.push_str(&format!(", {} left", rough(seconds))),
        // The next release does not accept connections yet.
        None => text.push_str(", still serves"),
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::draining;
    use crate::ops::Draining;

    #[test]
    fn what_drains_is_one_line() {
        let one = Draining {
            unit: "shop-web.service".to_owned(),
            scope: "shop-web-old-1a2b3c4d.scope".to_owned(),
            release: Some("1.0-ab".to_owned()),
            processes: 1,
            connections: Some(20),
            seconds_left: Some(24),
        };
        for (connections, processes, seconds_left, text) in [
            (Some(20), 1, Some(24), "1.0-ab, 20 connections, 24 s left"),
            (Some(1), 3, Some(600), "1.0-ab, 1 connection, 10 min left"),
            (None, 1, Some(86_400), "1.0-ab, 1 process, 24 h left"),
            (None, 3, None, "1.0-ab, 3 processes, still serves"),
        ] {
            let line = draining(&Draining {
                processes,
                connections,
                seconds_left,
                ..one.clone()
            });
            let wanted = format!("  shop-web-old-1a2b3c4d.scope drains: {text}\n");
            assert_eq!(line, wanted);
        }
    }
}
