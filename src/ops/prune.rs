//! `prune`: old releases are removed.
//!
//! Never the live release, the target of `current`, the previous release, a pinned one, or one that a
//! process uses.

use super::attempt::AttemptKind;
use super::context::Context;
use super::recover::worst;
use super::session::recover_after_fix;
use crate::app::{Layout, Name};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::events::Subject;
use crate::host::{Host, Process, files, processes};
use crate::session::Session;
use crate::store::{Mark, State, Store};
use anyhow::{Result, bail};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// Releases to keep when the live release has no record.
const DEFAULT_KEEP: u32 = 5;
/// Fewer than the live and the previous release are never kept.
const MIN_KEEP: u32 = 2;

/// The options of a prune.
#[derive(Debug, Clone, Default)]
pub(crate) struct PruneRequest {
    /// How many releases to keep, in place of the manifest's `release.keep`.
    pub(crate) keep: Option<u32>,
    /// All apps of the host.
    pub(crate) all: bool,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

/// What a prune of one app removes, or has removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// The app.
    pub(crate) app: String,
    /// The release that is live, and stays so.
    pub(crate) live: Option<String>,
    /// Releases to remove.
    pub(crate) removed: Vec<String>,
    /// Releases that are due but stay, each with the reason.
    pub(crate) kept: Vec<(String, String)>,
    /// The interrupted change because of which nothing is removed.
    pub(crate) interrupted: Option<String>,
    /// The command that removes them; none when there is nothing to remove.
    pub(crate) apply: Option<CommandLine>,
}

/// What a prune would do.
#[derive(Debug)]
pub(crate) struct Preview {
    /// One plan an app.
    pub(crate) plans: Vec<Pruned>,
    /// Why some apps cannot be pruned.
    pub(crate) refusal: Option<Error>,
    /// The command that carries out all plans; none when there is nothing to remove.
    pub(crate) apply: Option<CommandLine>,
}

/// Shows what a prune would remove. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] when no plan can be made.
pub(crate) fn preview(ctx: &Context<'_>, request: &PruneRequest) -> Result<Preview, Error> {
    ctx.check_host().nothing_changed()?;
    let names = apps(ctx, request).nothing_changed()?;
    let count = names.len();
    let (mut plans, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let look = || -> Result<Pruned> {
            ctx.check_deployed(&name)?;
            ctx.check_preview_lock(&name, request.wait)?;
            ctx.check_app_writable(&name)?;
            let store = ctx.store(&name);
            let mut plan = plan_app(&ctx.host, &store, &name, request)?;
            plan.live = store.state().ok().and_then(|state| state.live);
            let is_empty = plan.removed.is_empty();
            plan.apply = (!is_empty).then(|| command(request, Some(&name)));
            Ok(plan)
        };
        match look().nothing_changed() {
            Ok(plan) => plans.push(plan),
            Err(error) => errors.push(ctx.name_app(&name, error)),
        }
    }
    let mut commands = plans.iter().filter_map(|plan| plan.apply.clone());
    let apply = commands.next().map(|one| match request.all {
        true => command(request, None),
        false => one,
    });
    Ok(Preview {
        plans,
        refusal: not_pruned(errors, count),
        apply,
    })
}

/// The command that prunes one app, or all.
fn command(request: &PruneRequest, app: Option<&Name>) -> CommandLine {
    let seconds = request.wait.as_secs();
    let line = CommandLine::sudo_robotctl([""; 0])
        .option("--app", app.map(ToString::to_string))
        .arg("prune")
        .option("--keep", request.keep.map(|keep| keep.to_string()))
        .option("--wait", (seconds > 0).then(|| seconds.to_string()));
    let line = match app {
        Some(_) => line,
        None => line.arg("--all"),
    };
    line.arg("--apply")
}

/// Removes old releases. An app that cannot be pruned does not stop the others.
///
/// # Errors
/// [`Kind::Degraded`] when releases of one app were removed and another app could not be pruned.
pub(crate) fn apply(ctx: &Context<'_>, request: &PruneRequest) -> Result<Vec<Pruned>, Error> {
    ctx.record_attempt(AttemptKind::Prune, || change(ctx, request))
}

fn change(ctx: &Context<'_>, request: &PruneRequest) -> Result<Vec<Pruned>, Error> {
    ctx.check_privileges().nothing_changed()?;
    let names = apps(ctx, request).nothing_changed()?;
    let count = names.len();
    let (mut pruned, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let writable = ctx
            .check_deployed(&name)
            .and_then(|()| ctx.check_app_writable(&name));
        let result = writable.nothing_changed().and_then(|writable| {
            ctx.locked(&writable, "pruning", request.wait, |session, _| {
                prune_app(session, &name, request)
            })
        });
        match result {
            Ok(one) => pruned.push(one),
            Err(error) => errors.push(ctx.name_app(&name, error)),
        }
    }
    let Some(mut error) = not_pruned(errors, count) else {
        return Ok(pruned);
    };
    if pruned.iter().any(|one| !one.removed.is_empty()) {
        // Some releases are gone: the command may not claim that nothing was changed.
        error.kind = match error.kind {
            Kind::Refused => Kind::Degraded,
            kind => kind,
        };
    }
    Err(error)
}

/// The error of all apps that cannot be pruned, of so many.
fn not_pruned(errors: Vec<Error>, count: usize) -> Option<Error> {
    let failed = errors.len();
    let mut error = worst(errors)?;
    if count > 1 {
        error.message = format!(
            "{failed} of {count} apps could not be pruned: {}",
            error.message
        );
    }
    Some(error)
}

fn apps(ctx: &Context<'_>, request: &PruneRequest) -> Result<Vec<Name>> {
    if request.all {
        ctx.all_apps()
    } else {
        Ok(vec![ctx.selected_app()?])
    }
}

/// An interrupted change is left to `recover`, to the next deploy and to the next boot: this may run in
/// a sandbox that could end it only in part, and releases that the journal names must stay.
fn interrupted(store: &Store, name: &Name) -> Result<Option<Pruned>> {
    let journal = store.journal()?;
    Ok(journal.map(|journal| Pruned {
        app: name.to_string(),
        interrupted: Some(journal.operation),
        ..Pruned::default()
    }))
}

fn keep(store: &Store, request: &PruneRequest) -> Result<u32> {
    let record = match store.state()?.live {
        Some(id) => store.release(&id)?,
        None => None,
    };
    let kept = match &record {
        Some(record) => record.app()?.release.keep,
        None => DEFAULT_KEEP,
    };
    Ok(request.keep.unwrap_or(kept).max(MIN_KEEP))
}

fn plan_app(host: &Host, store: &Store, name: &Name, request: &PruneRequest) -> Result<Pruned> {
    if let Some(interrupted) = interrupted(store, name)? {
        return Ok(interrupted);
    }
    let keep = keep(store, request)?;
    let mut pruned = select(host, store, &Layout::new(name), keep)?;
    pruned.app = name.to_string();
    Ok(pruned)
}

fn prune_app(session: &Session<'_>, name: &Name, request: &PruneRequest) -> Result<Pruned, Error> {
    if let Some(interrupted) = interrupted(session.store, name).nothing_changed()? {
        return Ok(interrupted);
    }
    let keep = keep(session.store, request).nothing_changed()?;
    remove_old_releases(session, &Layout::new(name), keep)
}

/// Removes all but the newest `keep` good releases, and trims the state.
pub(super) fn remove_old_releases(
    session: &Session<'_>,
    layout: &Layout,
    keep: u32,
) -> Result<Pruned, Error> {
    let (host, store) = (session.host, session.store);
    let mut pruned = select(host, store, layout, keep).nothing_changed()?;
    pruned.app.clone_from(&session.app);
    for id in &pruned.removed {
        let remove = || -> Result<()> {
            store.save_failure_reason(id)?;
            // The record goes last: nothing would remove a release without one.
            host.root.discard(&layout.release(id))?;
            store.remove_release_record(id)
        };
        // The release may be removed in part, which `recover` ends.
        remove()
            .map_err(|error| Error::of_kind(Kind::Degraded, error).hint(recover_after_fix()))?;
        let text = format!("the old release {id} was removed");
        session.emit("info", "pruned", Subject::release(id), &text);
    }
    let trimmed = store.trim_previous().and_then(|()| store.trim_history());
    if let Err(error) = trimmed {
        let text = format!("old state was not trimmed: {error:#}");
        session.emit("warning", "trim-failed", Subject::default(), &text);
    }
    Ok(pruned)
}

/// The releases to remove. Releases that failed or never were live do not count as kept: of those
/// the newest stays, as evidence and for the next try.
fn select(host: &Host, store: &Store, layout: &Layout, keep: u32) -> Result<Pruned> {
    let state = store.state()?;
    check_mounted(host, store, layout, &state)?;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for id in store.releases()? {
        let Some(release) = store.public_release(&id)? else {
            continue;
        };
        let list = match release.mark {
            Mark::Failed(_) | Mark::Staged => &mut bad,
            Mark::Good => &mut good,
        };
        // The order in which releases were live comes first, the clock second.
        let lived = state.previous.iter().chain(&state.live);
        let place = lived.enumerate().filter(|(_, one)| **one == id).last();
        list.push((place.map(|(at, _)| at), release.staged, id));
    }
    good.sort();
    bad.sort();
    let excess = good
        .len()
        .saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    let failed = bad.len().saturating_sub(1);
    let old = good.into_iter().take(excess);
    let due = old.chain(bad.into_iter().take(failed)).map(|(_, _, id)| id);
    let protected = protected(store, &state)?;
    let due: Vec<String> = due.filter(|id| !protected.contains(id)).collect();
    let mut pruned = Pruned::default();
    if due.is_empty() {
        return Ok(pruned);
    }
    let running = if host.is_offline() {
        Vec::new()
    } else {
        all_visible(processes()?)?
    };
    for id in due {
        match why_kept(host, layout, &id, &running)? {
            Some(reason) => pruned.kept.push((id, reason)),
            None => pruned.removed.push(id),
        }
    }
    Ok(pruned)
}

/// Releases that are never removed.
fn protected(store: &Store, state: &State) -> Result<BTreeSet<String>> {
    let previous = store.previous_release(state, &|_, _| {})?;
    // The state may be older than the link, or the link was set by hand.
    let linked = store.release_of_current_link()?;
    Ok(state
        .live
        .iter()
        .chain(&linked)
        .chain(state.previous.last())
        .chain(state.pins.values())
        .cloned()
        .chain(previous.map(|record| record.public.id))
        .collect())
}

/// Why a release cannot be removed now.
fn why_kept(host: &Host, layout: &Layout, id: &str, running: &[Process]) -> Result<Option<String>> {
    let dir = layout.release(id);
    if let Some(process) = user_of(&host.root.path(&dir), running) {
        let uses = if process.is_complete {
            "uses"
        } else {
            "may use"
        };
        return Ok(Some(format!(
            "pid {} (`{}`) {uses} it",
            process.pid, process.command
        )));
    }
    if let Some(mount) = host.root.mount_at(&dir)? {
        return Ok(Some(format!("`{}` is mounted in it", mount.display())));
    }
    let protected = host.root.protected(&dir)?;
    Ok(protected.map(|protected| {
        format!(
            "`{}` has the attribute `{}` of chattr(1)",
            protected.path.display(),
            protected.attribute
        )
    }))
}

/// Refuses to prune when the releases cannot be seen: their file system may not be mounted, and then
/// all their records would be removed.
fn check_mounted(host: &Host, store: &Store, layout: &Layout, state: &State) -> Result<()> {
    let exists = |path: String| anyhow::Ok(host.root.meta(&path)?.is_some());
    let missing = match &state.live {
        Some(live) if !exists(layout.release(live))? => format!("the live release `{live}`"),
        None if !store.has_saved_state()? && !exists(layout.releases())? => {
            format!("`{}`", layout.releases())
        }
        _ => return Ok(()),
    };
    fail(
        format!("{missing} is missing, so nothing was pruned"),
        Hint::to(
            format!("mount the file system of {}, or deploy again", layout.opt()),
            CommandLine::sudo_robotctl(["deploy", "--apply"]),
        ),
    )
}

/// Refuses a view of the host that hides processes (proc(5), "hidepid"): a hidden process may use any
/// release. Pid 1 is hidden then, too.
fn all_visible(running: Vec<Process>) -> Result<Vec<Process>> {
    if running.iter().any(|process| process.pid == 1) {
        return Ok(running);
    }
    bail!("the processes of this host are hidden from robotctl, so nothing was removed")
}

/// A process that runs from, works in, or has mapped a file of a directory.
fn user_of<'a>(dir: &std::path::Path, running: &'a [Process]) -> Option<&'a Process> {
    let used: HashSet<(u64, u64)> = running
        .iter()
        .flat_map(|process| process.files.iter().copied())
        .collect();
    // A file that other releases share does not tell which release the process uses.
    let mut own = files::own_inodes(dir);
    if let Some(id) = own.find(|id| used.contains(id)) {
        return running.iter().find(|process| process.files.contains(&id));
    }
    let name = dir.file_name()?.to_str()?;
    let app = dir.parent()?.parent()?.file_name()?.to_str()?;
    running.iter().find(|process| {
        !process.is_complete || crate::host::release_of(process.pid, app).as_deref() == Ok(name)
    })
}
