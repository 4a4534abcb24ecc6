//! What the host says about the rights of a release: accounts, and who can replace a path.

use crate::app::{App, Name};
use crate::host::{Host, Root};
use crate::plan::HostFacts;
use anyhow::Result;
use std::path::{Component, Path};

/// How many members of a group are named.
const MAX_MEMBERS: usize = 5;
/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Write permission of the group.
const GROUP_WRITE: u32 = 0o020;
/// Write permission of all others.
const OTHERS_WRITE: u32 = 0o002;

/// Reads what the host says about an app.
pub(super) fn host_facts(host: &Host, app: &App) -> Result<HostFacts> {
    let mut facts = HostFacts::default();
    let hooks = [&app.hooks.before_switch, &app.hooks.after_switch];
    let services = app.services.iter().chain(hooks.into_iter().flatten());
    for service in services {
        for user in [&service.user, &app.user] {
            if *user != app.name && !facts.users.contains_key(user.as_str()) {
                let notes = notes_on_user(&host.root, user.as_str())?;
                facts.users.insert(user.to_string(), notes);
            }
        }
        for group in [&service.group].into_iter().chain(&service.groups) {
            note_members(&host.root, group, &mut facts)?;
        }
        let sandbox = &service.sandbox;
        let read_only = sandbox.read_only.iter().map(|(from, _)| from);
        for path in sandbox.read_write.iter().chain(read_only) {
            let notes = notes_on_path(&host.root, path.as_str());
            facts.paths.insert(path.to_string(), notes);
        }
    }
    for group in app.release.reader_group.iter().chain([&app.group]) {
        note_members(&host.root, group, &mut facts)?;
    }
    Ok(facts)
}

/// Notes who else is in a group.
fn note_members(root: &Root, group: &Name, facts: &mut HostFacts) -> Result<()> {
    if facts.groups.contains_key(group.as_str()) {
        return Ok(());
    }
    let members = root.members(group.as_str())?;
    let mut names: Vec<&str> = members.iter().map(|one| one.name.as_str()).collect();
    let more = match names.len().saturating_sub(MAX_MEMBERS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.truncate(MAX_MEMBERS);
    let note = format!("members: {}{more}", names.join(", "));
    let notes = if names.is_empty() {
        Vec::new()
    } else {
        vec![note]
    };
    facts.groups.insert(group.to_string(), notes);
    Ok(())
}

fn notes_on_user(root: &Root, name: &str) -> Result<Vec<String>> {
    if name == "root" {
        return Ok(Vec::new());
    }
    let Some(user) = root.user(name)? else {
        return Ok(vec!["does not exist yet".to_owned()]);
    };
    let mut notes = Vec::new();
    if user.uid == 0 {
        notes.push("has the uid of root".to_owned());
    }
    if user.is_of_person() {
        notes.push(format!("uid {}: a person", user.uid));
    }
    if root.is_host() && !root.is_local_user(name)? {
        notes.push("not in /etc/passwd: it must be known before the services start".to_owned());
    }
    if user.can_log_in() {
        notes.push("can log in".to_owned());
    }
    Ok(notes)
}

/// Names the directories on the way to a path that another user than root can write: in them, that user
/// can replace the next step by a link to any directory of the host.
fn notes_on_path(root: &Root, path: &str) -> Vec<String> {
    // Below the directory of `--root`, its owner stands for root.
    let trusted = root.meta_followed("/").ok().flatten();
    let trusted = trusted.map_or(0, |meta| meta.uid);
    let mut found = Vec::new();
    let (mut at, mut links) = (String::new(), 0);
    let mut rest = steps(path);
    while let Some(step) = rest.pop() {
        if step == ".." {
            at.truncate(at.rfind('/').unwrap_or_default());
            continue;
        }
        let parent = if at.is_empty() { "/" } else { at.as_str() };
        // What an ordinary user may not see, a preview of root shows.
        let meta = root.meta(parent).ok().flatten();
        if let Some(meta) = meta {
            let others =
                meta.mode & OTHERS_WRITE != 0 || (meta.gid != 0 && meta.mode & GROUP_WRITE != 0);
            if meta.uid != trusted && meta.uid != 0 {
                found.push(format!("the owner of `{parent}` can replace it by a link"));
            } else if others {
                found.push(format!(
                    "others can write `{parent}` and replace it by a link"
                ));
            }
        }
        let next = format!("{at}/{step}");
        match root.read_link(&next) {
            Ok(Some(target)) if links < MAX_LINKS => {
                links += 1;
                if target.starts_with('/') {
                    at.clear();
                }
                rest.extend(steps(&target));
            }
            _ => at = next,
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The steps of a path, the last one first.
fn steps(path: &str) -> Vec<String> {
    let steps = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::ParentDir => Some("..".to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut steps: Vec<String> = steps.collect();
    steps.reverse();
    steps
}
