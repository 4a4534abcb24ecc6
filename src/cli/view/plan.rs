//! The plan as text.
//!
//! The order puts what matters most at the end, above the prompt: header, archive, content, keys of the
//! manifest, files, what the build makes, commands, accounts, secrets, units, rights, notes, warnings, and the release that a rollback
//! would restore.

use super::counted::counted;
use super::rights::lines;
use crate::bytesize::format_bytes;
use crate::plan::{Action, Diff, OutputPlan, PayloadPlan, Plan};
use crate::provenance::Provenance;
use crate::tree::FileChange;
use std::fmt::Write as _;

/// The width of the column of [`Action::word`].
const ACTION_WIDTH: usize = "unchanged".len();

/// The width of the column of the keys of commands.
const COMMAND_WIDTH: usize = "before-switch".len();

/// The plan as text. Changed files are listed by name; with `diff`, their changes follow.
pub(in crate::cli) fn shown(plan: &Plan, diff: bool) -> String {
    if plan.is_empty() {
        let nothing = format!("nothing to do: {} {} is live\n", plan.app, plan.to);
        let sections = [nothing, warnings(plan)];
        let sections = sections.into_iter().filter(|text| !text.is_empty());
        return sections.collect::<Vec<_>>().join("\n");
    }
    let sections = [
        header(plan),
        archive(plan),
        content(plan),
        manifest(plan),
        overlay(plan),
        repair(plan),
        files(plan),
        if diff { diffs(plan) } else { String::new() },
        outputs(plan),
        commands(plan),
        accounts(plan),
        secrets(plan),
        units(plan),
        rights(plan),
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

/// The changed files as unified diffs.
fn diffs(plan: &Plan) -> String {
    let diffs = plan.files.iter().map(|change| Diff(change).to_string());
    diffs.collect::<Vec<_>>().join("\n")
}

fn header(plan: &Plan) -> String {
    let (app, version, to) = (&plan.app, &plan.version, &plan.to);
    match plan.from.as_deref() {
        Some(from) if from == to => format!("{app} {version}: {from} stays live\n"),
        from => format!(
            "{app} {version}: {} -> {to}\n",
            from.unwrap_or("no release")
        ),
    }
}

/// What was proved of the archive.
fn archive(plan: &Plan) -> String {
    let Some(Provenance { digest, signer }) = &plan.archive else {
        return String::new();
    };
    let signed = signer
        .as_ref()
        .map(|signer| format!("signed by {signer}, "));
    format!("archive: {}{digest}\n", signed.unwrap_or_default())
}

fn content(plan: &Plan) -> String {
    let payload = &plan.payload;
    if payload.files == 0 {
        return String::new();
    }
    format!(
        "content: {}, {} ({} new): {} added, {} changed, {} removed\ndisk: {}\n",
        counted(payload.files, "file"),
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
        (Some(from), count) if count > 0 => {
            format!(", {} shared with {from}", counted(count, "file"))
        }
        _ => String::new(),
    };
    let bytes = format_bytes(payload.disk_bytes);
    let inodes = counted(payload.disk_inodes, "new inode");
    format!("{bytes} in {inodes}{shared}")
}

fn manifest(plan: &Plan) -> String {
    if plan.manifest.is_empty() {
        return String::new();
    }
    format!("manifest: {}\n", plan.manifest.join(", "))
}

fn overlay(plan: &Plan) -> String {
    let Some(overlay) = &plan.overlay else {
        return String::new();
    };
    let gone = overlay.changed.iter();
    let gone = gone.filter(|key| !overlay.keys.contains(key));
    let lines = overlay.keys.iter().chain(gone).map(|key| {
        let mark = match (overlay.changed.contains(key), overlay.keys.contains(key)) {
            (true, true) => "  (new value)",
            (true, false) => "  (no longer set)",
            _ => "",
        };
        format!("  {key}{mark}\n")
    });
    list(
        &format!("settings of this host, from {}", overlay.file),
        lines,
    )
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

fn outputs(plan: &Plan) -> String {
    let names = plan.outputs.iter().map(|output| output.paths.join(", "));
    let names: Vec<String> = names.collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let lines = plan.outputs.iter().zip(&names);
    let lines = lines.map(|(output, name)| format!("  {name:width$}  {}\n", made(output)));
    list("the build", lines)
}

/// How something comes into the release, and how much it is.
fn made(output: &OutputPlan) -> String {
    let size = match (output.files, output.bytes) {
        (Some(files), Some(bytes)) => {
            format!("{}, {}", counted(files, "file"), format_bytes(bytes))
        }
        _ => "its size shows when it is made".to_owned(),
    };
    if let Some(release) = &output.reused_from {
        return format!("reused from {release}: {size}");
    }
    let of = output.as_in.as_ref();
    let of = of.map_or(String::new(), |release| format!(" as in {release}"));
    let why = output.why.as_ref();
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    format!("made anew: {size}{of}{why}")
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

fn secrets(plan: &Plan) -> String {
    let secrets = plan.secrets.iter();
    list(
        "secrets",
        secrets.map(|name| format!("  generates {name}\n")),
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

fn rights(plan: &Plan) -> String {
    let mut text = list("rights", lines(&plan.rights).into_iter());
    if plan.rights.iter().any(|right| right.is_new) {
        text += "\n`+` marks a right that the live release lacks\n";
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

#[cfg(test)]
mod tests {
    use super::shown;
    use crate::plan::{Action, CommandPlan, OutputPlan, PayloadPlan, Plan, UnitPlan};
    use crate::tree::{Entry, FileChange, Stored};

    fn plan() -> Plan {
        let stored = || Some(Stored::new(&Entry::file("x")));
        let change = |path: &str, before, after| FileChange {
            path: path.into(),
            before,
            after,
        };
        let unit = |unit: &str, action, why: &str| UnitPlan {
            unit: unit.into(),
            service: None,
            action,
            settings: None,
            runs: None,
            why: why.into(),
        };
        Plan {
            archive: None,
            app: "shop".into(),
            version: "2".into(),
            from: Some("1-a".into()),
            to: "2-b".into(),
            payload: PayloadPlan {
                files: 3,
                bytes: 2048,
                new_bytes: 5,
                disk_bytes: 4096,
                disk_inodes: 1,
                shared: 2,
                added: vec!["new".into()],
                ..PayloadPlan::default()
            },
            manifest: vec!["env.NEW".into(), "service.web.listen".into()],
            overlay: None,
            repair: Some("`/opt/shop/current` is missing".into()),
            files: vec![
                change("/a", None, stored()),
                change("/b", stored(), None),
                change("/c", stored(), stored()),
            ],
            commands: vec![CommandPlan {
                when: "build",
                argv: vec!["npm".into(), "ci".into()],
            }],
            outputs: vec![
                OutputPlan {
                    paths: vec![".venv".into()],
                    reused_from: Some("1-a".into()),
                    files: Some(1200),
                    bytes: Some(2048),
                    as_in: None,
                    why: None,
                },
                OutputPlan {
                    paths: vec!["node_modules".into()],
                    reused_from: None,
                    files: Some(1),
                    bytes: Some(1024),
                    as_in: Some("1-a".into()),
                    why: Some("`package.json` changed".into()),
                },
                OutputPlan {
                    paths: vec!["dist".into()],
                    reused_from: None,
                    files: None,
                    bytes: None,
                    as_in: None,
                    why: None,
                },
            ],
            accounts: vec!["user shop".into()],
            secrets: vec!["API_KEY".into()],
            rights: Vec::new(),
            units: vec![
                unit("shop-web.socket", Action::Rebind, "its unit changed"),
                unit("shop.target", Action::Unchanged, "unchanged"),
            ],
            warnings: vec!["`/c` was changed by hand".into(), "second".into()],
            notes: vec!["4 MiB are free".into()],
            rollback_target: Some("1-a".into()),
        }
    }

    #[test]
    fn what_matters_most_is_at_the_end() {
        let expected = "\
shop 2: 1-a -> 2-b

content: 3 files, 2.00 KiB (5 B new): 1 added, 0 changed, 0 removed
disk: 4.00 KiB in 1 new inode, 2 files shared with 1-a

manifest: env.NEW, service.web.listen

repair: `/opt/shop/current` is missing

files on the host:
  + /a
  - /b
  ~ /c

the build:
  .venv         reused from 1-a: 1200 files, 2.00 KiB
  node_modules  made anew: 1 file, 1.00 KiB as in 1-a (`package.json` changed)
  dist          made anew: its size shows when it is made

commands:
  build          npm ci

accounts:
  creates user shop

secrets:
  generates API_KEY

units:
  rebind    shop-web.socket  its unit changed
  unchanged shop.target      unchanged

an address refuses connections while it is rebound

note: 4 MiB are free

warning: `/c` was changed by hand

warning: second

a rollback after this would restore 1-a
";
        assert_eq!(shown(&plan(), false), expected);
    }

    #[test]
    fn empty_sections_are_left_out() {
        let plan = Plan {
            from: Some("2-b".into()),
            payload: PayloadPlan::default(),
            manifest: Vec::new(),
            repair: Some("`current` is missing".into()),
            files: Vec::new(),
            commands: Vec::new(),
            outputs: Vec::new(),
            accounts: Vec::new(),
            secrets: Vec::new(),
            units: Vec::new(),
            rights: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            rollback_target: None,
            ..plan()
        };
        assert_eq!(
            shown(&plan, false),
            "shop 2: 2-b stays live\n\nrepair: `current` is missing\n"
        );
    }
}
