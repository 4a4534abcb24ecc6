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
use std::path::{Path, PathBuf};

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
        let owner = user_name(owner)?;
        let others = root.other_file_systems(path)?;
        let services = format!("{}:{}", app.user, app.group);
        let chown = chown(&services, &top, &entries, &owner, &others);
        found.push(unwritable(app, &top, &entries, &owner, chown));
    }
    Ok(found)
}

/// The command that gives entries of one owner to the services, `USER:GROUP`.
///
/// The services can replace what is in their directory while you type, so a link is not followed: `find` enters
/// each directory before it runs chown(1) there (find(1), "-execdir"). It stays on the file system, and leaves
/// out mounts of the same one.
fn chown(
    services: &str,
    top: &Path,
    entries: &[Unwritable],
    owner: &str,
    others: &[PathBuf],
) -> CommandLine {
    if let [only] = entries
        && !only.is_dir
        && only.path.parent() == Some(top)
    {
        let path = only.path.display().to_string();
        return CommandLine::sudo(["chown", "-h", services, &path]);
    }
    let mut find = CommandLine::sudo(["find", &top.display().to_string(), "-xdev"]);
    for other in others {
        find = find.args(["-path", &pattern_of(other), "-prune", "-o"]);
    }
    find.args([
        "-user", owner, "-execdir", "chown", "-h", services, "{}", "+",
    ])
}

/// A pattern that only this path matches (find(1), "-path").
fn pattern_of(path: &Path) -> String {
    let mut out = String::new();
    for c in path.display().to_string().chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The finding of entries of one owner below a directory. A file that the services can read may be meant so.
fn unwritable(
    app: &App,
    top: &Path,
    entries: &[Unwritable],
    owner: &str,
    chown: CommandLine,
) -> Finding {
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

#[cfg(test)]
mod tests {
    use super::{chown, pattern_of};
    use crate::host::Unwritable;
    use std::path::{Path, PathBuf};

    fn entry(path: &str, is_dir: bool) -> Unwritable {
        Unwritable {
            path: path.into(),
            uid: 0,
            is_dir,
            is_readable: false,
        }
    }

    #[test]
    fn the_printed_chown_stays_on_the_file_system_and_follows_no_link() {
        let of = |entries: &[Unwritable], others: &[PathBuf]| {
            let top = Path::new("/var/lib/x");
            chown("x:y", top, entries, "root", others).to_string()
        };
        let file = entry("/var/lib/x/db", false);
        assert_eq!(
            of(std::slice::from_ref(&file), &[]),
            "sudo chown -h x:y /var/lib/x/db"
        );
        let all = "sudo find /var/lib/x -xdev -user root -execdir chown -h x:y '{}' +";
        // The services could replace the directory of this file.
        assert_eq!(of(&[entry("/var/lib/x/sub/db", false)], &[]), all);
        assert_eq!(of(&[entry("/var/lib/x/sub", true)], &[]), all);
        assert_eq!(
            of(&[file.clone(), file], &["/var/lib/x/mnt".into()]),
            "sudo find /var/lib/x -xdev -path /var/lib/x/mnt -prune -o -user root -execdir chown -h x:y '{}' +"
        );
        assert_eq!(pattern_of(Path::new("/a[1]*?\\")), "/a\\[1\\]\\*\\?\\\\");
    }
}
