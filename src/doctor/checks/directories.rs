//! Whether the services can write to their directories, and to what is in them.

use super::findings;
use crate::app::{App, Service};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::host::{Account, Root, Unwritable, user_ids, user_name};
use crate::prerequisites::{directories_of_changes, unwritable_directories};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// How many paths a message names.
const MAX_NAMED: usize = 3;
/// The directories that tmpfiles.d names, by the starts of their directives.
const RUNTIME: &str = "Runtime";
const STATE: &str = "State";

/// Directories of the services on a read-only file system, and entries that their user cannot write to. The
/// check `tmpfiles` compares the owner and the mode of the directories that tmpfiles.d names.
pub(in crate::doctor) fn directories(
    context: &CheckContext<'_>,
    app: &App,
) -> Result<Vec<Finding>> {
    let root = &context.host.root;
    let users = app.services.iter().filter(|one| one.user == app.user);
    let all = users.clone().flat_map(|one| app.directories(one));
    let all: BTreeMap<String, &str> = all.map(|(stem, path)| (path, stem)).collect();
    let mut existing = Vec::new();
    for (path, stem) in &all {
        if root.meta_followed(path)?.is_some_and(|meta| meta.is_dir) {
            existing.push((path.as_str(), *stem));
        }
    }
    let mut found = findings(unwritable_directories(
        root,
        &read_only(context, &existing)?,
    )?);
    let Some(account) = account(root, app, &users.collect::<Vec<_>>())? else {
        return Ok(found); // root, or a user that the check `tmpfiles` says is missing.
    };
    // In the runtime directory, sockets and locks come and go.
    let kept = existing.iter().filter(|(_, stem)| *stem != RUNTIME);
    for (path, stem) in kept {
        let top = root.followed(path);
        let mut entries = root.unwritable_below(path, &account)?;
        // The check `tmpfiles` reports the directory itself, where it creates it.
        entries.retain(|entry| *stem != STATE || entry.path != top);
        let Some(owner) = entries.first().map(|entry| entry.uid) else {
            continue;
        };
        entries.retain(|entry| entry.uid == owner);
        found.push(unwritable(app, &top, &entries, &user_name(owner)?));
    }
    Ok(found)
}

/// The finding of entries of one owner below a directory. A file that the services can read may be meant so.
fn unwritable(app: &App, top: &Path, entries: &[Unwritable], owner: &str) -> Finding {
    let named = entries.iter().take(MAX_NAMED);
    let named: Vec<String> = named
        .map(|entry| format!("`{}`", entry.path.display()))
        .collect();
    let more = match entries.len() {
        count if count > MAX_NAMED => format!(" ({count} in all)"),
        _ => String::new(),
    };
    let is_harmless = |entry: &Unwritable| entry.is_readable && entry.path != top;
    let (severity, verb) = match entries.iter().all(is_harmless) {
        true => (Severity::Note, "write to"),
        false => (Severity::Warning, "read or write"),
    };
    let chown = CommandLine::sudo([
        "chown",
        "-R",
        "-h",
        &format!("--from={owner}"),
        &format!("{}:{}", app.user, app.group),
        &top.display().to_string(),
    ]);
    let message = format!(
        "the user `{}` of the services cannot {verb} {}{more}, owned by `{owner}`",
        app.user,
        named.join(", ")
    );
    let fix = Hint::to(
        "if the services should write there, give it to that user",
        chown,
    );
    Finding::new(severity, message, fix)
}

/// The directories on a file system that is read-only for every process. Where releases and records are on
/// the same one, the check `writable` reports it.
fn read_only<'a>(context: &CheckContext<'_>, dirs: &[(&'a str, &str)]) -> Result<Vec<&'a str>> {
    let root = &context.host.root;
    let mut reported = Vec::new();
    for dir in directories_of_changes(context.layout) {
        reported.push(root.mount_of(&dir)?);
    }
    let mut asked = Vec::new();
    for (path, _) in dirs {
        let is_known = reported.contains(&root.mount_of(path)?);
        if !is_known && (root.is_read_only_for_all(path)? || !root.is_read_only(path)?) {
            asked.push(*path);
        }
    }
    Ok(asked)
}

/// The user of the app with the groups that all of its services have; `None` for root, who can write to all.
fn account(root: &Root, app: &App, services: &[&Service]) -> Result<Option<Account>> {
    let Some((uid, gid)) = user_ids(app.user.as_str())?.filter(|(uid, _)| *uid != 0) else {
        return Ok(None);
    };
    let mut gids = vec![gid];
    let named = services
        .iter()
        .flat_map(|one| one.groups.iter().chain([&one.group]));
    for name in named {
        gids.extend(root.group(name.as_str())?);
    }
    Ok(Some(Account { uid, gids }))
}
