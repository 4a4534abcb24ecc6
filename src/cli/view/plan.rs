//! The plan as text.
//!
//! The order puts what matters most at the end, above the prompt: header, content, keys of the
//! manifest, files, commands, accounts, units, notes, warnings, and the release that a rollback
//! would restore.

use crate::bytesize::format_bytes;
use crate::plan::{Action, Diff, PayloadPlan, Plan};
use crate::tree::FileChange;
use std::fmt::Write as _;

/// The width of the column of [`Action::word`].
const ACTION_WIDTH: usize = "unchanged".len();

/// The width of the column of the keys of commands.
const COMMAND_WIDTH: usize = "before-switch".len();

/// The plan as text. Changed files are listed by name.
pub(in crate::cli) fn text(plan: &Plan) -> String {
    let sections = [
        header(plan),
        content(plan),
        manifest(plan),
        repair(plan),
        files(plan),
        commands(plan),
        accounts(plan),
        units(plan),
        notes(plan),
        warnings(plan),
        rollback_target(plan),
    ];
    let sections: Vec<String> = sections
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    sections.join("\n")
}

/// The changed files of the plan as unified diffs.
pub(in crate::cli) fn diffs(plan: &Plan) -> String {
    let diffs = plan.files.iter().map(|change| Diff(change).to_string());
    diffs.collect::<Vec<_>>().join("\n")
}

fn header(plan: &Plan) -> String {
    let (app, version, to) = (&plan.app, &plan.version, &plan.to);
    match plan.from.as_deref() {
        Some(from) if from == to => format!("{app} {version}: {from} stays\n"),
        from => format!("{app} {version}: {} -> {to}\n", from.unwrap_or("nothing")),
    }
}

fn content(plan: &Plan) -> String {
    let payload = &plan.payload;
    if payload.files == 0 {
        return String::new();
    }
    format!(
        "content: {} files, {} ({} new): {} added, {} changed, {} removed\ndisk: {}\n",
        payload.files,
        format_bytes(payload.bytes),
        format_bytes(payload.new_bytes),
        payload.added.len(),
        payload.changed.len(),
        payload.removed.len(),
        disk(payload, plan.from.as_deref())
    )
}

fn disk(payload: &PayloadPlan, from: Option<&str>) -> String {
    if payload.there {
        return "nothing, the release is already there".to_owned();
    }
    let shared = match (from, payload.shared) {
        (Some(from), count) if count > 0 => format!(", {count} files shared with {from}"),
        _ => String::new(),
    };
    let (bytes, inodes) = (format_bytes(payload.disk_bytes), payload.disk_inodes);
    format!("{bytes} in {inodes} new inodes{shared}")
}

fn manifest(plan: &Plan) -> String {
    if plan.manifest.is_empty() {
        return String::new();
    }
    format!("manifest: {}\n", plan.manifest.join(", "))
}

fn repair(plan: &Plan) -> String {
    let repair = plan.repair.as_ref();
    repair.map_or(String::new(), |wrong| format!("repair: {wrong}\n"))
}

fn files(plan: &Plan) -> String {
    let line = |change: &FileChange| {
        let mark = match (&change.before, &change.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        format!("  {mark} {}\n", change.path)
    };
    list("files on the host", plan.files.iter().map(line))
}

fn commands(plan: &Plan) -> String {
    let lines = plan.commands.iter().map(|command| {
        let argv = command.argv.join(" ");
        format!("  {:COMMAND_WIDTH$}  {argv}\n", command.when)
    });
    list("commands", lines)
}

fn accounts(plan: &Plan) -> String {
    let accounts = plan.accounts.iter();
    list(
        "accounts",
        accounts.map(|account| format!("  creates {account}\n")),
    )
}

fn units(plan: &Plan) -> String {
    let width = plan.units.iter().map(|unit| unit.unit.len()).max();
    let width = width.unwrap_or_default();
    let lines = plan.units.iter().map(|unit| {
        let word = unit.action.word();
        format!(
            "  {word:ACTION_WIDTH$} {:width$}  {}\n",
            unit.unit, unit.why
        )
    });
    let mut text = list("units", lines);
    if plan.units.iter().any(|unit| unit.action == Action::Rebind) {
        text += "\nan address refuses connections while it is rebound\n";
    }
    text
}

fn notes(plan: &Plan) -> String {
    paragraphs(plan.notes.iter().map(|note| format!("note: {note}\n")))
}

fn warnings(plan: &Plan) -> String {
    let warnings = plan.warnings.iter();
    paragraphs(warnings.map(|warning| format!("warning: {warning}\n")))
}

fn rollback_target(plan: &Plan) -> String {
    let target = plan.rollback_target.as_ref();
    target.map_or(String::new(), |release| {
        format!("a rollback after this would restore {release}\n")
    })
}

/// A title and its lines; nothing without lines.
fn list(title: &str, lines: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines {
        if text.is_empty() {
            let _ = writeln!(text, "{title}:");
        }
        text += &line;
    }
    text
}

fn paragraphs(paragraphs: impl Iterator<Item = String>) -> String {
    paragraphs.collect::<Vec<_>>().join("\n")
}
