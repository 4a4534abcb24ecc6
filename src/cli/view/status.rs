//! The status as text.

use crate::command_line::CommandLine;
use crate::ops::{AppStatus, UnitStatus};
use std::path::Path;

/// An app with its units.
pub(in crate::cli) fn text(status: &AppStatus, root: Option<&Path>) -> String {
    let mut text = format!("{}: ", status.app);
    match (&status.live, &status.since) {
        (None, _) => text.push_str("no release is live\n"),
        (Some(live), None) => text.push_str(&format!("{live} is live\n")),
        (Some(live), Some(since)) => text.push_str(&format!("{live} is live since {since}\n")),
    }
    if let Some(what) = &status.under_way {
        text.push_str(&format!("  a change is under way: {what}\n"));
    }
    if status.interrupted {
        let recover = CommandLine::sudo_robotctl(["recover"]).for_root(root);
        text.push_str(&format!("  a change was interrupted; end it: {recover}\n"));
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
    text
}
