//! What the administrator's drop-ins make of the units.

use crate::command_line::CommandLine;
use crate::doctor::loaded::UnitText;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::exposure::{Exposure, Unit, score_as};
use crate::host::UnitStatus;
use crate::sandbox::directives::UNENFORCED;
use crate::tree::{Entry, FileTree};
use crate::units::{UNIT_DIR, UnitFile, UnitType, unit_type};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// How many directives a message names.
const MAX_NAMED: usize = 5;

/// Drop-ins that the administrator made. They are deliberate, so they are notes (systemd.unit(5)).
pub(in crate::doctor) fn drop_ins(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let mut units_of: BTreeMap<&str, Vec<(&str, &UnitStatus)>> = BTreeMap::new();
    for (unit, state, files) in context.units.with_files()? {
        for file in files.iter().filter(|file| is_drop_in(file, state)) {
            units_of.entry(&file.path).or_default().push((unit, state));
        }
    }
    let finding = |(path, units): (&str, Vec<(&str, &UnitStatus)>)| {
        let names: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
        let mut fix = vec![Hint::to(
            "read it",
            CommandLine::new(["systemctl", "cat"]).args(names.iter().take(1).copied()),
        )];
        fix.extend(turn_off(&[path], &units));
        let message = format!("`{path}` changes {}", quoted(&names));
        Finding::with_steps(Severity::Note, message, fix)
    };
    Ok(units_of.into_iter().map(finding).collect())
}

fn is_drop_in(file: &UnitText, state: &UnitStatus) -> bool {
    file.is_of_administrator() && file.path != state.fragment_path
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// How to turn drop-ins off, and keep what is in them: systemd reads only names that end with `.conf`.
fn turn_off(paths: &[&str], units: &[(&str, &UnitStatus)]) -> Vec<Hint> {
    let aside = |path: &&str| {
        let command = CommandLine::sudo(["mv", path, &format!("{path}.off")]);
        Hint::to("if you do not want it, turn it off", command)
    };
    let mut steps: Vec<Hint> = paths.iter().map(aside).collect();
    let reload = CommandLine::sudo(["systemctl", "daemon-reload"]);
    steps.push(Hint::to("then reload the unit files", reload));
    let running = units.iter().filter(|(unit, state)| {
        unit_type(unit) == Some(UnitType::Service) && state.main_pid.is_some()
    });
    let running: Vec<&str> = running.map(|(unit, _)| *unit).collect();
    if !running.is_empty() {
        let restart = CommandLine::sudo(["systemctl", "restart"]).args(running);
        steps.push(Hint::to("then restart what runs with it", restart));
    }
    steps
}

/// Directives of the units that this version of systemd accepts and does not enforce.
pub(in crate::doctor) fn unenforced(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let version = context.host.systemd.version()?;
    let rows = UNENFORCED.iter();
    let rows: Vec<_> = rows.filter(|(_, since, _)| version < *since).collect();
    let mut found: Vec<Finding> = Vec::new();
    for (name, _, why) in rows {
        let (mut units, mut files_of_admin) = (Vec::new(), BTreeSet::new());
        for (unit, state, files) in context.units.with_files()? {
            let sets = |file: &&UnitText| {
                let values = Unit::merge(&[&file.text]);
                let values = values.values("Service", name);
                values.iter().any(|value| !value.is_empty())
            };
            let setting: Vec<&UnitText> = files.iter().filter(sets).collect();
            if !setting.is_empty() {
                units.push((unit, state));
            }
            let own = setting.iter().filter(|file| is_drop_in(file, state));
            files_of_admin.extend(own.map(|file| file.path.as_str()));
        }
        if units.is_empty() {
            continue;
        }
        let names: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
        let message = format!(
            "systemd {version} accepts `{name}=` of {} and does not enforce it: {why}",
            quoted(&names)
        );
        let paths: Vec<&str> = files_of_admin.into_iter().collect();
        let fix = match paths.is_empty() {
            true => {
                vec!["do not rely on it: use a firewall of the host, or a newer systemd".into()]
            }
            false => turn_off(&paths, &units),
        };
        found.push(Finding::with_steps(Severity::Note, message, fix));
    }
    Ok(found)
}

/// Services that are more exposed as systemd has loaded them than by their release (systemd-analyze(1),
/// "security").
pub(in crate::doctor) fn exposure(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let tree = context.content.map(|(_, tree)| tree);
    let mut found = Vec::new();
    for (unit, state, files) in context.units.with_files()? {
        if unit_type(unit) != Some(UnitType::Service) || !is_changed(files, tree) {
            continue;
        }
        let version = context.host.systemd.version()?;
        let score = |texts: &[&str]| score_as(&Unit::merge(texts), version);
        let own: Vec<String> = own_texts(unit, files, tree);
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let wanted = score(&own);
        let without = |left_out: Option<&UnitText>| {
            let files = files.iter().filter(|file| Some(*file) != left_out);
            let texts: Vec<&str> = files.map(|file| file.text.as_str()).collect();
            score(&texts)
        };
        let loaded = without(None);
        if loaded.tenths <= wanted.tenths {
            continue;
        }
        let of_admin = files.iter().filter(|file| is_drop_in(file, state));
        let culprits = of_admin.filter(|file| without(Some(file)).raw < loaded.raw);
        let culprits: Vec<&str> = culprits.map(|file| file.path.as_str()).collect();
        let message = format!(
            "`{unit}` has the exposure {loaded} as it is loaded, and {wanted} by its release: {}",
            opened(&wanted, &loaded).join(", ")
        );
        let fix = match culprits.is_empty() {
            true => vec![Hint::to(
                "see what differs",
                CommandLine::new(["systemctl", "cat", unit]),
            )],
            false => turn_off(&culprits, &[(unit, state)]),
        };
        found.push(Finding::with_steps(Severity::Warning, message, fix));
    }
    Ok(found)
}

/// Whether systemd has loaded something else than the release put there.
fn is_changed(files: &[UnitText], tree: Option<&FileTree>) -> bool {
    files
        .iter()
        .any(|file| match tree.map(|tree| tree.get(&file.path)) {
            Some(Some(entry)) => entry.text() != file.text,
            _ => file.is_of_administrator(),
        })
}

/// The texts of a unit as its release has them. Only root can read the release; for other users, the files
/// that the administrator did not make.
fn own_texts(unit: &str, files: &[UnitText], tree: Option<&FileTree>) -> Vec<String> {
    let Some(tree) = tree else {
        let own = files.iter().filter(|file| !file.is_of_administrator());
        return own.map(|file| file.text.clone()).collect();
    };
    let main = format!("{UNIT_DIR}/{unit}");
    let drop_ins = tree.iter().filter(|(path, _)| {
        UnitFile::parse(path).is_some_and(|file| file.unit == unit && file.main().is_none())
    });
    let main = tree.get(&main).into_iter().map(Entry::text);
    main.chain(drop_ins.map(|(_, entry)| entry.text()))
        .collect()
}

/// The directives that raise the exposure.
fn opened(wanted: &Exposure, loaded: &Exposure) -> Vec<String> {
    let points = |exposure: &Exposure, directive: &str| -> u32 {
        let findings = exposure.findings.iter();
        let findings = findings.filter(|one| one.check.directive == directive);
        findings.map(|one| one.points).sum()
    };
    let directives: BTreeSet<&str> = loaded
        .findings
        .iter()
        .map(|one| one.check.directive)
        .collect();
    let opened = directives.into_iter();
    let opened = opened.filter(|name| points(loaded, name) > points(wanted, name));
    opened
        .take(MAX_NAMED)
        .map(|name| format!("`{name}=`"))
        .collect()
}
