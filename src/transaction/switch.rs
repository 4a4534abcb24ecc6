//! Files outside the release, and the link: forward and back, each durable and repeatable.

use super::obstacles;
use crate::app::layout::{SYSUSERS_DIR, TMPFILES_DIR};
use crate::app::{App, Layout};
use crate::events::Subject;
use crate::host::{Batch, Host, UnitStatus};
use crate::plan::{Action, Plan};
use crate::prerequisites::check_mounted;
use crate::session::Session;
use crate::store::Journal;
use crate::tree::{FileChange, FileTree, Stored};
use crate::units::{UnitFile, is_dir_of_one_unit, is_read_by_manager, is_templated};
use anyhow::{Result, bail};

/// Puts every file in its new state.
pub(super) fn files_forward(host: &Host, journal: &Journal) -> Result<()> {
    put(host, &journal.files, false)
}

/// Puts every file in its earlier state, last first. Files that only the new state has are removed
/// before any other is written, because that frees space on a full disk.
pub(super) fn files_back(host: &Host, journal: &Journal) -> Result<()> {
    put(host, &journal.files, true)
}

fn put(host: &Host, changes: &[FileChange], revert_change: bool) -> Result<()> {
    let mut batch = Batch::new(&host.root);
    let mut order: Vec<&FileChange> = changes.iter().collect();
    if revert_change {
        order.reverse();
        order.sort_by_key(|change| change.before.is_some());
    }
    for change in order {
        let stored = if revert_change {
            &change.before
        } else {
            &change.after
        };
        let entry = stored.as_ref().map(Stored::entry).transpose()?;
        if host.root.entry(&change.path).ok().as_ref() == Some(&entry) {
            // A killed command may have written it without a sync.
            batch.sync_name(&change.path);
        } else {
            batch.replace_or_remove(&change.path, entry.as_ref())?;
        }
        if entry.is_none()
            && let Some((dir, _)) = change.path.rsplit_once('/')
        {
            drop_if_empty(host, dir)?;
        }
    }
    batch.end()
}

/// Drop-ins and enablement links have directories of their own, which go with them.
pub(super) fn drop_if_empty(host: &Host, dir: &str) -> Result<()> {
    if is_dir_of_one_unit(dir) {
        host.root.remove_dir_if_empty(dir)?;
    }
    Ok(())
}

/// Creates users and directories, and reloads the unit files, as the new files require. These tools
/// take longer than the rest of a switch, so each runs only if there is something to do. `states` are those of the
/// units when the change began.
pub(super) fn configure(
    session: &Session<'_>,
    app: &App,
    tree: &FileTree,
    plan: &Plan,
    (journal, states): (&Journal, &[UnitStatus]),
) -> Result<()> {
    let host = session.host;
    let changes = |of: &dyn Fn(&str) -> bool| plan.files.iter().any(|one| of(&one.path));
    let sysusers = format!("{SYSUSERS_DIR}/{}.conf", app.name);
    let users = !plan.accounts.is_empty() || changes(&|path| path == sysusers);
    if tree.get(&sysusers).is_some() && users {
        host.systemd.sysusers(&host.root, &sysusers)?;
    }
    let after = &journal.state_after;
    session.store.give_access_in_use(&plan.to, app, after)?;
    let tmpfiles = format!("{TMPFILES_DIR}/{}.conf", app.name);
    if let Some(entry) = tree.get(&tmpfiles)
        && (users
            || changes(&|path| path == tmpfiles)
            || !host.root.tmpfiles_mismatches(&entry.text())?.is_empty())
    {
        obstacles::create(session)?;
    }
    if changes(&is_read_by_manager) || is_stale(host, tree, plan, states)? {
        host.systemd.daemon_reload()
    } else {
        Ok(())
    }
}

/// Lets the services read the releases that they ran before a change. A service that cannot read its
/// release fails its checks, which report it.
pub(super) fn restore_access(session: &Session<'_>, journal: &Journal) {
    let store = session.store;
    let restore = || match &journal.from {
        None => Ok(()),
        Some(from) => match store.release(from)? {
            None => Ok(()),
            Some(record) => store.give_access_in_use(from, &record.app()?, &journal.state_before),
        },
    };
    if let Err(error) = restore() {
        let text = format!("the services may not be able to read their release: {error:#}");
        session.emit("warning", "configure-failed", Subject::default(), &text);
    }
}

/// Whether nothing changes on the host before `current` does: what systemd said at the beginning is still right then.
pub(super) fn begins_with_link(plan: &Plan) -> bool {
    plan.files.is_empty() && plan.units_with(&[Action::Stop]).is_empty()
}

/// The units of a tree that the manager can have loaded.
pub(super) fn units_of(tree: &FileTree) -> Vec<String> {
    let names = tree.iter().filter_map(|(path, _)| {
        let unit = UnitFile::parse(path)?.main()?;
        (!is_templated(unit)).then(|| unit.to_owned())
    });
    names.collect()
}

/// Whether the manager knows a unit by other files than those that are there now. `before` is what systemd said
/// when the change began.
fn is_stale(host: &Host, tree: &FileTree, plan: &Plan, before: &[UnitStatus]) -> Result<bool> {
    let is_any = |states: &[UnitStatus]| states.iter().any(|state| state.need_daemon_reload);
    if begins_with_link(plan) {
        return Ok(is_any(before));
    }
    Ok(is_any(&host.systemd.show(&units_of(tree))?))
}

/// Points `current` where it led before a change. With `is_final`, also at a release that was deleted
/// since: the host is then as before the change, and the next deploy repairs it.
pub(super) fn link_back(
    host: &Host,
    layout: &Layout,
    journal: &Journal,
    is_final: bool,
) -> Result<()> {
    match (&journal.link, &journal.from) {
        (Some(target), _) => point(host, layout, target),
        (None, Some(id)) if is_final && !has_release(host, layout, id)? => {
            // A release is not deleted because its file system is not mounted.
            check_mounted(&host.root, layout)?;
            host.root.make_dir(&layout.opt(), 0o755)?;
            point(host, layout, &Layout::current_link_text(id))
        }
        (None, from) => link(host, layout, from.as_deref()),
    }
}

/// Whether the directory of a release exists.
pub(super) fn has_release(host: &Host, layout: &Layout, id: &str) -> Result<bool> {
    let meta = host.root.meta(&layout.release(id))?;
    Ok(meta.is_some_and(|meta| meta.is_dir))
}

/// Points `current` at a release by one rename(2), or removes it. The result is durable, also when a
/// killed command did it.
pub(super) fn link(host: &Host, layout: &Layout, id: Option<&str>) -> Result<()> {
    let Some(id) = id else {
        host.root.remove_file(&layout.current())?;
        return match host.root.meta(&layout.opt())? {
            Some(_) => host.root.sync_dir(&layout.opt()),
            None => Ok(()),
        };
    };
    if !has_release(host, layout, id)? {
        bail!("release `{id}` is not at `{}`", layout.release(id));
    }
    point(host, layout, &Layout::current_link_text(id))
}

fn point(host: &Host, layout: &Layout, target: &str) -> Result<()> {
    let current = layout.current();
    if host.root.read_link(&current)?.as_deref() == Some(target) {
        // A killed command may have created it without a sync.
        return host.root.sync_dir(&layout.opt());
    }
    host.root.symlink_atomic(&current, target)
}
