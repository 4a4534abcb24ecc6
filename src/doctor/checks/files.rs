//! Files: what the release put on the host, what tmpfiles.d creates, and who may read and write it.

use super::findings;
use crate::app::App;
use crate::app::layout::{SYSUSERS_DIR, TMPFILES_DIR};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::host::{Mismatch, files as host_files};
use crate::prerequisites::{
    login, misplaced_directories, other_members, replaceable_directories, shadowed_files,
    shadowed_units, unmounted_points,
};
use crate::render::execstart_path;
use crate::safe_fix::SafeFix;
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use std::path::Path;

pub(in crate::doctor) fn files(
    context: &CheckContext<'_>,
    _: &App,
    tree: &FileTree,
) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (path, entry) in tree.iter() {
        if matches!(entry, Entry::Symlink(_)) || is_pinned(context, path) {
            continue; // The administrator enables units, and a pin rewrites its own file.
        }
        match context.host.root.entry(path)? {
            Some(current) if current == *entry => {}
            Some(_) => found.push(Finding::new(
                Severity::Warning,
                format!("`{path}` was changed by hand"),
                Hint::to(
                    "move the change to a drop-in under /etc/systemd/system; this shows the difference",
                    CommandLine::sudo_robotctl(["deploy", "--diff"]),
                ),
            )),
            None => found.push(Finding::new(
                Severity::Error,
                format!("`{path}` is missing"),
                Hint::to("deploy again", CommandLine::sudo_robotctl(["deploy", "--apply"])),
            )
            .safely([SafeFix::WriteFile {
                path: path.to_owned(),
            }])),
        }
    }
    Ok(found)
}

/// Whether a path is the file that pins a service to another release.
fn is_pinned(context: &CheckContext<'_>, path: &str) -> bool {
    let app = context.name;
    let mut pins = context.state.pins.keys();
    pins.any(|name| path == execstart_path(&format!("{app}-{name}.service")))
}

pub(in crate::doctor) fn shadowed(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let units = context.release.units.iter().map(|unit| unit.unit.as_str());
    let units: Vec<&str> = units.collect();
    let root = &context.host.root;
    let mut faults = shadowed_units(root, &units)?;
    let app = context.name.as_str();
    let tmpfiles = root.read_text(&format!("{TMPFILES_DIR}/{app}.conf"))?;
    faults.extend(shadowed_files(root, app, &tmpfiles.unwrap_or_default())?);
    Ok(findings(faults))
}

pub(in crate::doctor) fn tmpfiles(
    context: &CheckContext<'_>,
    app: &App,
    tree: &FileTree,
) -> Result<Vec<Finding>> {
    let path = format!("{TMPFILES_DIR}/{}.conf", context.name);
    let Some(Entry::File { bytes, .. }) = tree.get(&path) else {
        return Ok(Vec::new());
    };
    let create = || systemd_tool(context, "systemd-tmpfiles", &["--create", &path]);
    let users = format!("{SYSUSERS_DIR}/{}.conf", context.name);
    let text = String::from_utf8_lossy(bytes);
    let mismatches = context.host.root.tmpfiles_mismatches(&text)?;
    let misplaced = misplaced_directories(&context.host.root, app, tree)?;
    let is_named = |path: &str| {
        let start = format!("`{path}` is ");
        misplaced
            .iter()
            .any(|fault| fault.message.starts_with(&start))
    };
    // What is on a file system that is not mounted is there.
    let points = unmounted_points(&context.host.root)?;
    let is_hidden = |path: &str| {
        let path = Path::new(path);
        points.iter().any(|point| path.starts_with(point))
    };
    let others = mismatches.into_iter().filter(|(path, how)| {
        let is_of_other = *how == Mismatch::Kind && is_named(path);
        let is_below = *how == Mismatch::Missing && is_hidden(path);
        !is_of_other && !is_below
    });
    // A file that the administrator has changed may do something else.
    let is_as_released = |path: &str| -> Result<bool> {
        let found = context.host.root.entry(path)?;
        Ok(found.is_none() || found.as_ref() == tree.get(path))
    };
    let (creates, creates_users) = (is_as_released(&path)?, is_as_released(&users)?);
    let others = others.map(|(path, mismatch)| {
        let safe: &[SafeFix] = match mismatch {
            Mismatch::NoUser(_) if creates && creates_users => {
                &[SafeFix::CreateAccounts, SafeFix::CreateDirectories]
            }
            Mismatch::Kind | Mismatch::NoUser(_) => &[],
            _ if creates => &[SafeFix::CreateDirectories],
            _ => &[],
        };
        let (severity, message, fix) = match mismatch {
            Mismatch::Missing => (
                Severity::Error,
                format!("`{path}` is missing"),
                Hint::to("create it", create()),
            ),
            Mismatch::Kind => (
                Severity::Error,
                format!("`{path}` is not what tmpfiles.d creates"),
                Hint::to("move it to another place, then", create()),
            ),
            Mismatch::Mode { is, wanted } => (
                Severity::Warning,
                format!("`{path}` has mode {is:04o}, not {wanted:04o}"),
                Hint::to("set the mode", create()),
            ),
            Mismatch::Owner(user) => (
                Severity::Error,
                format!("`{path}` is not owned by `{user}`"),
                Hint::to("set the owner", create()),
            ),
            Mismatch::Group(group) => (
                Severity::Error,
                format!("`{path}` does not belong to the group `{group}`"),
                Hint::to("set the group", create()),
            ),
            Mismatch::NoUser(user) => (
                Severity::Error,
                format!("the user `{user}` is missing"),
                Hint::to(
                    "create the user",
                    systemd_tool(context, "systemd-sysusers", &[&users]),
                ),
            ),
        };
        Finding::new(severity, message, fix).safely(safe.iter().cloned())
    });
    let others: Vec<Finding> = others.collect();
    let mut found = findings(misplaced);
    found.extend(others);
    Ok(found)
}

/// A tool of systemd that works on the same tree as this command.
fn systemd_tool(context: &CheckContext<'_>, tool: &str, args: &[&str]) -> CommandLine {
    let mut line = CommandLine::sudo([tool]);
    if context.host.is_offline() {
        let root = context.host.root.path("/");
        line = line.arg(format!("--root={}", root.display()));
    }
    args.iter().fold(line, |line, arg| line.arg(*arg))
}

pub(in crate::doctor) fn permissions(
    context: &CheckContext<'_>,
    app: &App,
) -> Result<Vec<Finding>> {
    let mut found = findings(replaceable_directories(context.host, app)?);
    if let Some(live) = &context.state.live {
        let dir = context.host.root.path(&context.layout.release(live));
        let loose = host_files::writable_by_others(&dir)?;
        if let Some(first) = loose.first() {
            let real = dir.display().to_string();
            let mut finding = Finding::new(
                Severity::Error,
                format!(
                    "users other than root can write to files of the live release, such as `{}` ({} in \
                     all)",
                    first.display(),
                    loose.len()
                ),
                Hint::to(
                    "make root the owner",
                    CommandLine::sudo(["chown", "-R", "root", &real]),
                ),
            );
            finding.fix.push(Hint::to(
                "then remove write access for others",
                CommandLine::sudo(["chmod", "-R", "go-w,ug-s", &real]),
            ));
            let release = live.clone();
            found.push(finding.safely([SafeFix::ProtectRelease { release }]));
        }
        found.extend(release_readers(context, app, live)?);
    }
    let root = &context.host.root;
    let accounts = other_members(root, app)?
        .into_iter()
        .chain(login(root, app)?);
    found.extend(findings(accounts.collect()));
    Ok(found)
}

/// Releases that their services cannot read, or that others can.
fn release_readers(context: &CheckContext<'_>, app: &App, live: &str) -> Result<Vec<Finding>> {
    let (store, state) = (context.store, context.state);
    let mut found = Vec::new();
    let is_missing = context
        .host
        .root
        .meta(&context.layout.release(live))?
        .is_none();
    // The check `current` reports a release that is missing.
    if !is_missing && let Some(fault) = store.access_fault(live, app, state)? {
        let deploy = CommandLine::sudo_robotctl(["deploy", "--apply"]);
        let hint = Hint::to(
            "deploy the live release again, which sets its readers",
            deploy,
        );
        let release = live.to_owned();
        let finding = Finding::new(Severity::Error, fault, hint);
        found.push(finding.safely([SafeFix::SetReaders { release }]));
    }
    for id in context.host.root.list(&context.layout.releases())? {
        let in_use = id == live || state.pins.values().any(|pinned| *pinned == id);
        if in_use || !store.is_open(&id)? {
            continue;
        }
        // Services that still run it must be able to read it, and only its record says who they are.
        let readers = match store.release(&id) {
            Ok(Some(_)) => Some(SafeFix::SetReaders {
                release: id.clone(),
            }),
            _ => None,
        };
        let real = context.host.root.path(&context.layout.release(&id));
        let close = CommandLine::sudo(["chmod", "go=", &real.display().to_string()]);
        let finding = Finding::new(
            Severity::Error,
            format!("every user of this host can read the release {id}"),
            Hint::to(
                "close it: a rollback to it lets its services read it again",
                close,
            ),
        );
        found.push(finding.safely(readers));
    }
    Ok(found)
}
