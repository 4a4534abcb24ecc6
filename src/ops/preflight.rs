//! What must be true before a release is staged: space, secrets, ports, programs, units.
//!
//! Everything here only reads, but for [`create_secrets`]. Preview and apply call the same functions.

use crate::app::{App, Listen, PYTHON_DIR, Patterns, Text};
use crate::bytesize::format_bytes;
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError, fail};
use crate::host::{Host, PortHolder, is_root, is_taken, random_hex};
use crate::manifest::line_of_key;
use crate::payload::Payload;
use crate::plan::{Observed, PayloadPlan};
use crate::settings::{Deploy, Fault, env_file_faults, missing_variables, secret_faults};
use crate::store::{Shortage, Space};
use crate::tree::{Entry, FileTree};
use crate::units::UnitFile;
use anyhow::Result;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

/// Refuses a disk without space for a payload, its records and a reserve.
pub(super) fn check_space(host: &Host, app: &App, payload: &PayloadPlan) -> Result<()> {
    let (bytes, inodes) = (payload.disk_bytes, payload.disk_inodes);
    for space in Space::of_release(&app.layout, payload.files, bytes, inodes) {
        let Some(shortage) = space.shortage(&host.root)? else {
            continue;
        };
        let place = host.root.path(&space.path);
        let place = place.display();
        let message = match shortage {
            Shortage::Bytes { free, need } => format!(
                "the disk of `{place}` is too full: {} are free, the release needs {}",
                format_bytes(free),
                format_bytes(need)
            ),
            Shortage::Inodes { free, need } => format!(
                "the disk of `{place}` has too few inodes: {free} are free, the release needs {need}"
            ),
        };
        let prune = CommandLine::sudo_robotctl(["prune", "--apply"]);
        return fail(
            message,
            Hint::to("free disk space, or remove old releases", prune),
        );
    }
    Ok(())
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

/// Refuses settings with which no service can start. Names all.
pub(super) fn check_settings(host: &Host, app: &App) -> Result<()> {
    refuse_all(refused_settings(host, app)?)
}

fn refused_settings(host: &Host, app: &App) -> Result<Vec<HintedError>> {
    let faults = settings_faults(host, app)?.into_iter();
    let faults = faults.filter(|fault| fault.deploy == Deploy::Refused);
    let errors = faults.map(|Fault { message, fix, .. }| HintedError {
        message,
        hints: fix,
    });
    Ok(errors.collect())
}

/// Refuses settings with which no service can start, and addresses that something else holds. Names all.
pub(super) fn check(host: &Host, app: &App, observed: &Observed) -> Result<()> {
    let mut all = refused_settings(host, app)?;
    all.extend(taken_addresses(host, app, observed));
    refuse_all(all)
}

/// What is wrong with the settings of an app, as far as this user can see. Only root can see all of it.
pub(super) fn settings_faults(host: &Host, app: &App) -> Result<Vec<Fault>> {
    let root = &host.root;
    let mut faults = Vec::new();
    for found in [
        secret_faults(root, app),
        env_file_faults(root, &app.layout),
        missing_variables(root, app),
    ] {
        match found {
            Ok(found) => faults.extend(found),
            Err(_) if !is_root() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(faults)
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

/// Every address that something outside the app holds. Without a live release, units of the app may run
/// all the same.
pub(super) fn taken_addresses(host: &Host, app: &App, observed: &Observed) -> Vec<HintedError> {
    if host.is_offline() {
        return Vec::new();
    }
    let live = observed.live.as_ref().map_or(app, |live| &live.app);
    let own = own_addresses(live, &observed.holding);
    let mut taken = Vec::new();
    for service in app.services.iter().filter(|service| service.enable) {
        for address in service.listen.iter().filter_map(Listen::local_address) {
            if own.contains(&address) || !is_taken(address) {
                continue;
            }
            let holder = PortHolder::of(&host.root, address.port());
            let holder = holder.unwrap_or(PortHolder::Hidden);
            let message = format!(
                "{address} of service `{}` is in use by {holder}",
                service.name
            );
            taken.push(HintedError::new(message, how_to_free(&holder)));
        }
    }
    taken
}

/// How to free an address.
fn how_to_free(holder: &PortHolder) -> Hint {
    let other = "give the service another address in `listen`";
    match holder.unit() {
        None => format!("stop that process, or {other}").into(),
        Some(unit) => Hint::to(
            format!("{other}, or stop what listens there"),
            CommandLine::sudo(["systemctl", "disable", "--now", unit]),
        ),
    }
}

/// Everything that prevents a deploy, as one error.
pub(super) fn refuse_all(problems: Vec<HintedError>) -> Result<()> {
    let mut problems = problems.into_iter();
    let Some(first) = problems.next() else {
        return Ok(());
    };
    let rest: Vec<HintedError> = problems.collect();
    if rest.is_empty() {
        return Err(first.into());
    }
    let count = rest.len() + 1;
    let all = [first].into_iter().chain(rest);
    let (messages, hints): (Vec<String>, Vec<Vec<Hint>>) =
        all.map(|one| (one.message, one.hints)).unzip();
    let mut distinct: Vec<Hint> = Vec::new();
    for hint in hints.into_iter().flatten() {
        if !distinct.contains(&hint) {
            distinct.push(hint);
        }
    }
    Err(HintedError {
        message: format!("{count} things prevent it: {}", messages.join("; ")),
        hints: distinct,
    }
    .into())
}

/// The addresses that the units of an app hold. `holding` are the active ones.
fn own_addresses(app: &App, holding: &BTreeSet<String>) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for service in &app.services {
        let units = if service.has_socket_unit() {
            app.sockets_by_address(service)
        } else {
            vec![app.unit(service); service.listen.len()]
        };
        all.extend(service.listen.iter().zip(units));
    }
    let held = all.iter().filter(|(_, unit)| holding.contains(unit));
    held.filter_map(|(listen, _)| listen.local_address())
        .collect()
}

/// Refuses programs that the release at `id` does not have, or that cannot be executed.
pub(super) fn check_programs(host: &Host, app: &App, id: &str) -> Result<()> {
    let release = app.layout.release(id);
    check_each_program(host, app, &|rest| {
        can_execute(host, &format!("{release}/{rest}"))
    })
}

/// The same for a release that is not staged yet, by its payload. A build may create any program.
pub(super) fn check_planned_programs(host: &Host, app: &App, payload: &Payload) -> Result<()> {
    let builds = !app.release.build.is_empty() || app.release.python.is_some();
    check_each_program(host, app, &|rest| Ok(builds || payload.may_run(rest)))
}

fn can_execute(host: &Host, path: &str) -> Result<bool> {
    let meta = host.root.meta_followed(path).unwrap_or(None);
    // A link into `current` leads to nothing before the switch.
    let is_link = host.root.meta(path)?.is_some_and(|meta| meta.is_symlink);
    let is_program = meta.is_some_and(|meta| meta.mode & 0o111 != 0 && !meta.is_dir);
    Ok(is_program || is_link)
}

/// `in_release` says whether a path of the release can be executed.
fn check_each_program(
    host: &Host,
    app: &App,
    in_release: &dyn Fn(&str) -> Result<bool>,
) -> Result<()> {
    let current = format!("{}/", app.layout.current());
    for service in &app.services {
        let commands = [&service.exec, &service.exec_reload].into_iter();
        for argv in commands.chain(&service.exec_start_pre) {
            let Some(program) = argv.first().map(Text::as_str) else {
                continue;
            };
            let own = program.strip_prefix(&current);
            if own.map_or_else(|| can_execute(host, program), in_release)? {
                continue;
            }
            let hint = if own.is_some() {
                "check `exec`, `release.exclude` and that the file is executable"
            } else {
                "install the package that has it, or add it to the release"
            };
            return fail(
                format!(
                    "the program `{program}` of service `{}` is missing or not executable",
                    service.name
                ),
                hint,
            );
        }
    }
    Ok(())
}

/// Asks systemd whether it understands the units (systemd-analyze(1), "verify"). The message names the
/// line of the manifest where that is known. Programs are checked by [`programs`].
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
        "most likely `sandbox.directives` or `timer.calendar` has a mistake",
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
