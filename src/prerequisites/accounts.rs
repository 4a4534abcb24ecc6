//! Whether somebody else has the accounts of an app. Its user and group have its name, and see all of its files.

use crate::app::App;
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Member, Root, User};
use anyhow::Result;

/// The shell of an account without a login (nologin(8)).
const NO_LOGIN: &str = "/usr/sbin/nologin";
/// The group of Debian for people without one of their own.
const PEOPLE: &str = "users";

/// The members of the group of an app that run none of its services.
///
/// # Errors
/// When the accounts cannot be read.
pub(crate) fn other_members(root: &Root, app: &App) -> Result<Option<Fault>> {
    // Another group is a right of the release.
    if app.group != app.name {
        return Ok(None);
    }
    let group = app.group.as_str();
    let is_own = |member: &Member| {
        let mut users = app.services.iter().map(|one| &one.user).chain([&app.user]);
        users.any(|user| user.as_str() == member.name)
    };
    let mut members = Vec::new();
    for member in root.members(group)? {
        let user = root.user(&member.name)?;
        // Root can read everything in any case.
        if !is_own(&member) && user.as_ref().is_none_or(|user| user.uid != 0) {
            members.push((member, user));
        }
    }
    let names = members.iter().map(|(one, _)| format!("`{}`", one.name));
    let names: Vec<String> = names.collect();
    let verb = match members.len() {
        0 => return Ok(None),
        1 => "is a member",
        _ => "are members",
    };
    let message = format!(
        "{} {verb} of the group `{group}`, which can read the releases and the files of the app",
        names.join(", ")
    );
    let fix = members
        .iter()
        .map(|(member, user)| take_out(root, member, user.as_ref(), group))
        .collect();
    Ok(Some(Fault {
        impact: Impact::Harmless,
        message,
        fix,
        safe_fix: None,
    }))
}

/// How to take a member out of a group.
fn take_out(root: &Root, member: &Member, user: Option<&User>, group: &str) -> Hint {
    let name = member.name.as_str();
    if member.is_main && user.is_some_and(|user| !user.is_of_person()) {
        // Files of its program may need the group.
        return format!("give the system user `{name}` another main group, if it is not meant so")
            .into();
    }
    if !member.is_local {
        return format!("take `{name}` out of the group where it is kept, if it is not meant so")
            .into();
    }
    let command = match member.is_main {
        true => tool(root, "usermod").args(["--gid", PEOPLE, name]),
        false => tool(root, "gpasswd").args(["--delete", name, group]),
    };
    Hint::to("take it out of the group, if it is not meant so", command)
}

/// A program that changes accounts of this host or of a directory tree (usermod(8), gpasswd(1)).
fn tool(root: &Root, name: &str) -> CommandLine {
    let command = CommandLine::sudo([name]);
    match root.is_host() {
        true => command,
        false => command.args(["--root", &root.path("/").display().to_string()]),
    }
}

/// That the app's own user can log in.
///
/// # Errors
/// When the accounts cannot be read.
pub(crate) fn login(root: &Root, app: &App) -> Result<Option<Fault>> {
    let user = root.user(app.user.as_str())?;
    let Some(user) = user.filter(|user| app.user == app.name && user.can_log_in()) else {
        return Ok(None);
    };
    let message = format!(
        "the user `{}` of the services can log in: its shell is `{}`",
        app.user, user.shell
    );
    let fix = match take_login(root, app, &user)? {
        Some(fix) => fix,
        None if root.is_local_user(app.user.as_str())? => {
            "name a system user for the services with `app.user`, and deploy again".into()
        }
        None => "take its shell away in the database that has the account".into(),
    };
    Ok(Some(Fault::new(Impact::Harmless, message, fix)))
}

/// How to make a system user the app's own: without a login, and with the state as its home if its id is one of people.
/// `None` for root, for an account of a person, and for one that is not in `/etc/passwd`.
///
/// # Errors
/// When the accounts cannot be read.
pub(crate) fn take_login(root: &Root, app: &App, user: &User) -> Result<Option<Hint>> {
    let is_person = user.is_of_person() && user.can_log_in();
    if user.uid == 0 || is_person || !root.is_local_user(app.user.as_str())? {
        return Ok(None);
    }
    let mut command = tool(root, "usermod");
    if user.can_log_in() {
        command = command.args(["--shell", NO_LOGIN]);
    }
    let state = app.layout.state();
    if user.is_of_person() && user.home != state {
        command = command.args(["--home", &state]);
    }
    let command = command.args([app.user.as_str()]);
    Ok(Some(Hint::to(
        "if it is the user of this app alone",
        command,
    )))
}
