//! Accounts that a new release needs before it can be tried.

use crate::app::App;
use crate::app::layout::SYSUSERS_DIR;
use crate::events::Subject;
use crate::host::Host;
use crate::plan::Plan;
use crate::session::Session;
use anyhow::{Context as _, Result};

/// The users and groups that an app names and the host does not have, such as `user shop`.
pub(super) fn missing_accounts(host: &Host, app: &App) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let users = app.services.iter().map(|service| &service.user);
    for user in users.chain([&app.user]) {
        if host.root.user(user.as_str())?.is_none() {
            out.push(format!("user {user}"));
        }
    }
    let own = app.services.iter().map(|service| &service.group);
    let groups = app.services.iter().flat_map(|service| &service.groups);
    let groups = groups.chain(&app.release.reader_group).chain(own);
    for group in groups.chain([&app.group]) {
        // A user's own group is created with the user.
        if !host.root.has_group(group.as_str())? && !out.contains(&format!("user {group}")) {
            out.push(format!("group {group}"));
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// Creates the accounts that an upgrade needs, so that its pre-check can run. They stay when the
/// release is refused: an account that runs nothing does no harm.
pub(super) fn create_accounts(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    if session.host.is_offline() || plan.from.is_none() {
        return Ok(());
    }
    let missing = missing_accounts(session.host, app)?;
    if missing.is_empty() {
        return Ok(());
    }
    let path = format!("{SYSUSERS_DIR}/{}.conf", app.name);
    let change = plan.files.iter().find(|change| change.path == path);
    let text = match change.and_then(|change| change.after.as_ref()) {
        Some(stored) => stored.entry()?.text(),
        None => session.host.root.read_text(&path)?.unwrap_or_default(),
    };
    let created = session.host.systemd.sysusers_of(&text);
    created.with_context(|| format!("creating the {}", missing.join(", ")))?;
    for account in missing {
        let message = format!("created the {account}");
        session.emit(
            "info",
            "account-created",
            Subject::release(&plan.to),
            &message,
        );
    }
    Ok(())
}
