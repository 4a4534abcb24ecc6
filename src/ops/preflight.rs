//! What must be true before a release is staged: what the doctor's table asks, programs, units.
//!
//! Everything here only reads, but for [`create_secrets`]. Preview and apply call the same functions.

use crate::app::{App, PYTHON_DIR, Patterns, Text};
use crate::error::{HintedError, fail, fail_all};
use crate::fault::{Fault, Impact};
use crate::health::{are_met, unmet_in_words};
use crate::host::{Host, random_hex};
use crate::manifest::line_of_key;
use crate::payload::Payload;
use crate::plan::{Action, Plan};
use crate::prerequisites::{AtProgram, Needed, at_program, missing_programs};
use crate::tree::{Entry, FileTree};
use crate::units::UnitFile;
use anyhow::Result;
use std::path::Path;

/// Everything that prevents a change, as one error.
pub(super) fn refuse(faults: &[Fault]) -> Result<()> {
    let refused = faults
        .iter()
        .filter(|fault| fault.impact == Impact::Blocking);
    fail_all(refused.cloned().map(HintedError::from).collect())
}

/// Refuses patterns in `files` of a service that select no file of the release: the service would miss changes.
/// What a build creates is not known.
pub(super) fn check_service_files(app: &App, payload: &Payload) -> Result<()> {
    let release = &app.release;
    if !release.build.is_empty() {
        return Ok(());
    }
    let created = release.python.is_some().then_some(PYTHON_DIR);
    for service in &app.services {
        let patterns = service
            .files
            .as_ref()
            .map_or(Ok(Vec::new()), Patterns::alone)?;
        for pattern in patterns {
            let mut items = payload.items.iter();
            let is_there = items.any(|item| pattern.selects(&item.path, item.is_dir()));
            if is_there || created.is_some_and(|dir| pattern.selects(dir, true)) {
                continue;
            }
            let text = pattern.lines().first().map_or("", Text::as_str);
            return fail(
                format!(
                    "`{text}` in `files` of service `{}` selects no file of the release",
                    service.name
                ),
                "write paths of the release in gitignore syntax, such as `web/` or `lib/*.py`; see `release.exclude`, too",
            );
        }
    }
    Ok(())
}

/// Adds to a plan what does not prevent it.
pub(super) fn note_in(plan: &mut Plan, faults: &[Fault]) {
    for fault in faults {
        match fault.impact {
            Impact::Serious | Impact::Minor => plan.warnings.push(fault.text()),
            Impact::Harmless => plan.notes.push(fault.text()),
            Impact::Blocking | Impact::Created => {}
        }
    }
}

/// Warns in a plan about services that run and that the plan would stop for good: their condition is not met now.
pub(super) fn warn_of_unmet(host: &Host, app: &App, plan: &mut Plan) {
    let stops = [Action::Restart, Action::Overlap, Action::Rebind];
    for service in app.services.iter().filter(|one| !one.conditions.is_empty()) {
        let unit = app.unit(service);
        let mut units = plan.units.iter();
        let restarts = units.any(|one| one.unit == unit && stops.contains(&one.action));
        if restarts && !are_met(host, service) {
            plan.warnings.push(format!(
                "`{unit}` runs, and will not start again: {}",
                unmet_in_words(&service.conditions)
            ));
        }
    }
}

/// Warns in a plan about paths of `sandbox.read-only` that do not exist: the service starts, and does not see them.
pub(super) fn warn_of_missing_paths(host: &Host, app: &App, plan: &mut Plan) -> Result<()> {
    let own = app.layout.own_directories().into_iter();
    let own: Vec<String> = own.chain([app.layout.opt()]).collect();
    let is_own = |path: &str| own.iter().any(|dir| Path::new(path).starts_with(dir));
    for service in &app.services {
        for (path, _) in &service.sandbox.read_only {
            // A deploy creates what belongs to the app.
            if is_own(path.as_str()) || host.root.meta(path.as_str())?.is_some() {
                continue;
            }
            plan.warnings.push(format!(
                "`{path}` does not exist, and `sandbox.read-only` of service `{}` names it: the service starts without it",
                service.name
            ));
        }
    }
    Ok(())
}

/// Creates the secrets that the manifest generates and that do not exist yet. Adds their paths, and
/// those of the directories that it creates, to `created`.
pub(super) fn create_secrets(host: &Host, app: &App, created: &mut Vec<String>) -> Result<()> {
    for secret in &app.secrets {
        let path = app.layout.credential(secret.name.as_str());
        let Some(bytes) = secret.generate else {
            continue;
        };
        if host.root.meta(&path)?.is_some() {
            continue;
        }
        for (dir, mode) in [(app.layout.etc(), 0o755), (app.layout.credentials(), 0o700)] {
            if host.root.meta(&dir)?.is_none() {
                host.root.make_dir(&dir, mode)?;
                created.push(dir);
            }
        }
        let value = random_hex(usize::from(bytes))?;
        host.root.write_atomic(&path, value.as_bytes(), 0o600)?;
        created.push(path);
    }
    Ok(())
}

/// Removes what [`create_secrets`] created for a release that was refused.
pub(super) fn remove_secrets(host: &Host, created: &[String]) -> Result<()> {
    for path in created.iter().rev() {
        if host.root.meta(path)?.is_some_and(|meta| meta.is_dir) {
            host.root.remove_dir_if_empty(path)?;
        } else {
            host.root.remove_file(path)?;
        }
    }
    Ok(())
}

/// Refuses programs that the release at `id` does not have, or that cannot be executed.
pub(super) fn check_programs(host: &Host, app: &App, id: &str) -> Result<()> {
    refuse(&missing_programs(host, app, Needed::All, &|rest| {
        at_program_in(host, app, id, rest)
    })?)
}

/// What is at the path of a program in the release at `id`.
pub(super) fn at_program_in(host: &Host, app: &App, id: &str, rest: &str) -> Result<AtProgram> {
    at_program(&host.root, &format!("{}/{rest}", app.layout.release(id)))
}

/// The same for a release that is not staged yet, by its payload. A build may create any program.
pub(super) fn at_program_of(app: &App, payload: &Payload, rest: &str) -> AtProgram {
    let builds = !app.release.build.is_empty() || app.release.python.is_some();
    if builds || payload.may_run(rest) {
        return AtProgram::Program;
    }
    match payload.get(rest) {
        None => AtProgram::Missing,
        Some(item) if item.is_dir() => AtProgram::Directory,
        Some(_) => AtProgram::NotExecutable,
    }
}

/// Asks systemd whether it understands the units (systemd-analyze(1), "verify"). The message names the
/// line of the manifest where that is known. [`check_programs`] checks programs.
pub(super) fn verify_units(
    host: &Host,
    app: &App,
    tree: &FileTree,
    path: &Path,
    text: &str,
) -> Result<()> {
    if host.is_offline() || !host.systemd.is_booted() {
        return Ok(());
    }
    let dir = format!("/run/robotctl/verify-{}", random_hex(6)?);
    let found = complaints_about(host, app, tree, &dir);
    host.root.remove_tree(&dir)?;
    let found = found?;
    if found.is_empty() {
        return Ok(());
    }
    let message = format!("systemd rejects the units:\n    {}", found.join("\n    "));
    let place = line_of(app, text, &message).map(|line| format!("{}:{line}: ", path.display()));
    Err(HintedError::new(
        place.unwrap_or_default() + &message,
        "most likely `sandbox.directives`, `timer.calendar` or `condition` has a mistake",
    )
    .into())
}

fn complaints_about(host: &Host, app: &App, tree: &FileTree, dir: &str) -> Result<Vec<String>> {
    host.root.make_dir(dir, 0o700)?;
    let mut units = Vec::new();
    for (path, entry) in tree.iter() {
        let Some(file) = UnitFile::parse(path) else {
            continue;
        };
        if let Entry::File { bytes, .. } = entry {
            let target = file.path_in(dir);
            if let Some((parent, _)) = target.rsplit_once('/') {
                host.root.make_dir(parent, 0o755)?;
            }
            host.root.write_atomic(&target, bytes, 0o644)?;
        }
        units.extend(file.main().map(str::to_owned));
    }
    let real = host.root.path(dir);
    let output = host.systemd.verify(&real, &units)?;
    let current = app.layout.current();
    Ok(complaints(&output.stderr, &current, &real, &units))
}

/// The line of the directive or of the calendar that systemd's message is about.
fn line_of(app: &App, text: &str, message: &str) -> Option<usize> {
    let at = |path: &[&str]| line_of_key(text, path);
    let ends_with = |value: &str| {
        let mut lines = message.lines();
        lines.any(|line| line.ends_with(&format!(": {value}")))
    };
    app.services.iter().find_map(|service| {
        let name = service.name.as_str();
        let calendar = service.timer.as_ref().and_then(|it| it.calendar.as_ref());
        if calendar.is_some_and(|calendar| ends_with(&calendar.to_string())) {
            return at(&["service", name, "timer", "calendar"]);
        }
        let mut conditions = service.conditions.iter();
        let unknown = conditions.find(|one| message.contains(&format!("'{}'", one.directive)));
        if unknown.is_some() {
            return at(&["service", name, "condition"]);
        }
        let mut directives = service.sandbox.directives.iter();
        let wrong = directives.find(|(key, value)| {
            message.contains(&format!("'{key}'")) || ends_with(&value.to_string())
        });
        let (key, _) = wrong?;
        at(&["service", name, "sandbox", "directives", key])
    })
}

/// The lines of systemd's output about our units. Lines about other units, and about programs of a
/// release that is not live yet, are left out.
fn complaints(stderr: &str, current: &str, dir: &Path, units: &[String]) -> Vec<String> {
    let own = format!("Command {current}/");
    let program = |line: &str| line.contains(&own) || line.contains("/bin/robotctl");
    let shown = format!("{}/", dir.display());
    let about_ours = |line: &&str| {
        line.contains(&shown) || units.iter().any(|unit| line.contains(unit.as_str()))
    };
    let absent = |line: &&str| program(line) && line.contains("not executable");
    let lines = stderr
        .lines()
        .filter(about_ours)
        .filter(|line| !absent(line));
    lines.map(|line| line.replace(&shown, "")).collect()
}

#[cfg(test)]
mod tests {
    use super::complaints;
    use std::path::Path;

    #[test]
    fn lines_about_other_units_and_planned_programs_are_left_out() {
        let text = "a.service: Command /opt/a/current/bin/x is not executable: No such file\n\
                    /run/v/a.service:4: Unknown key 'X' in section [Service], ignoring.\n\
                    /etc/systemd/system/other.timer:5: Unknown key 'Y' in section [Timer], ignoring.\n\
                    a.service: Failed to create a.service/start: Unit b.service not found.\n";
        assert_eq!(
            complaints(
                text,
                "/opt/a/current",
                Path::new("/run/v"),
                &["a.service".to_owned()]
            ),
            [
                "a.service:4: Unknown key 'X' in section [Service], ignoring.",
                "a.service: Failed to create a.service/start: Unit b.service not found."
            ]
        );
    }
}
