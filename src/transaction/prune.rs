//! Old releases go: never the live one, what `current` names, the one before it, a pinned one, or
//! one that a process still uses. What is remembered of the others is trimmed once it has grown long.

use crate::app::Layout;
use crate::error::HintedError;
use crate::events::Subject;
use crate::host::{Host, Process, files, processes};
use crate::session::Session;
use crate::store::{Mark, ReleaseRecord, State, Store};
use anyhow::{Result, bail};
use std::collections::{BTreeSet, HashSet};

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Releases that were removed.
    pub removed: Vec<String>,
    /// Releases that would have gone, and why they stay.
    pub spared: Vec<(String, String)>,
}

/// Removes all but the newest `keep` good releases. Those that failed, or never became live,
/// never use up `keep`: of those the newest stays, as evidence and for the next try.
///
/// # Errors
/// When the records or `/proc` cannot be read: then nothing is removed.
pub fn prune(session: &Session<'_>, layout: &Layout, keep: u32) -> Result<Pruned> {
    let pruned = old_releases(session, layout, keep)?;
    // The releases are gone; what is remembered of them is in nobody's way until the next time.
    let trimmed = session.store.trim_previous();
    if let Err(error) = trimmed.and_then(|()| session.store.trim_history()) {
        let text = format!("the records were not trimmed: {error:#}");
        session.emit("warning", "not-trimmed", Subject::default(), &text);
    }
    Ok(pruned)
}

fn old_releases(session: &Session<'_>, layout: &Layout, keep: u32) -> Result<Pruned> {
    let state = session.store.state()?;
    seen_releases(session, layout, &state)?;
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for id in session.store.releases()? {
        if let Some(record) = session.store.release(&id)? {
            let list = match record.mark {
                Mark::Bad(_) | Mark::Staged => &mut bad,
                Mark::Good => &mut good,
            };
            // History decides; the clock only where there is none.
            let lived = state.before.iter().chain(&state.live);
            let place = lived.enumerate().filter(|(_, one)| **one == id).last();
            list.push((place.map(|(at, _)| at), record.staged, id));
        }
    }
    let previous = previous(session.host, session.store, layout, &state)?;
    let previous = previous.map(|record| record.id);
    // The records may be older than the link, or somebody has set it by hand.
    let linked = session.store.linked()?;
    let protected: BTreeSet<&String> = state
        .live
        .iter()
        .chain(&linked)
        .chain(&previous)
        .chain(state.before.last())
        .chain(state.pins.values())
        .collect();
    good.sort();
    bad.sort();
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let excess = good.len().saturating_sub(keep);
    let old = good.into_iter().take(excess);
    let failed = bad.len().saturating_sub(1);
    let victims: Vec<String> = old
        .chain(bad.into_iter().take(failed))
        .map(|(_, _, id)| id)
        .filter(|id| !protected.contains(id))
        .collect();
    let mut pruned = Pruned::default();
    if victims.is_empty() {
        return Ok(pruned);
    }
    let running = if session.host.is_offline() {
        Vec::new()
    } else {
        seen(processes()?)?
    };
    for id in victims {
        let dir = layout.release(&id);
        if let Some(process) = user_of(&session.host.root.path(&dir), &running) {
            let uses = if process.seen { "uses" } else { "may use" };
            let why = format!("pid {} (`{}`) {uses} it", process.pid, process.command);
            pruned.spared.push((id, why));
            continue;
        }
        if let Some(mount) = session.host.root.mount_at(&dir)? {
            let why = format!("`{}` is mounted in it", mount.display());
            pruned.spared.push((id, why));
            continue;
        }
        session.store.keep_failure(&id)?;
        // The record goes last: a release without one would be a stranger that nobody removes.
        session.host.root.discard(&dir)?;
        session.store.forget(&id)?;
        session.emit(
            "info",
            "pruned",
            Subject::release(&id),
            &format!("{id} was removed"),
        );
        pruned.removed.push(id);
    }
    Ok(pruned)
}

/// Refuses to go by releases that are not there: they may all be, and be forgotten for a file system
/// that is not mounted.
fn seen_releases(session: &Session<'_>, layout: &Layout, state: &State) -> Result<()> {
    let is_there = |path: String| anyhow::Ok(session.host.root.meta(&path)?.is_some());
    let missing = match &state.live {
        Some(live) if !is_there(layout.release(live))? => format!("the live release `{live}`"),
        None if !session.store.has_saved_state()? && !is_there(layout.releases())? => {
            format!("`{}`", layout.releases())
        }
        _ => String::new(),
    };
    if missing.is_empty() {
        return Ok(());
    }
    Err(HintedError::new(
        format!("{missing} is not there, nothing was pruned"),
        format!("mount the file system of {}, or deploy again", layout.opt()),
    )
    .into())
}

/// The release that a rollback puts back: the latest one before the live one, by recorded
/// history, that is there and not bad.
///
/// # Errors
/// When a record cannot be read.
pub fn previous(
    host: &Host,
    store: &Store,
    layout: &Layout,
    state: &State,
) -> Result<Option<ReleaseRecord>> {
    for id in state.before.iter().rev() {
        let there = host.root.meta(&layout.release(id))?;
        if there.is_some_and(|meta| meta.is_dir)
            && state.live.as_ref() != Some(id)
            && let Some(record) = store.release(id)?
            && !matches!(record.mark, Mark::Bad(_))
        {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Refuses a view of the host that leaves processes out (proc(5), "hidepid"): what cannot be
/// seen may use any release. The first process is then missing too.
fn seen(running: Vec<Process>) -> Result<Vec<Process>> {
    if running.iter().any(|process| process.pid == 1) {
        return Ok(running);
    }
    bail!("the processes of this host are hidden from `robotctl`: nothing was removed")
}

/// A process that runs from, works in or has mapped a file of a directory.
fn user_of<'a>(dir: &std::path::Path, running: &'a [Process]) -> Option<&'a Process> {
    let used: HashSet<(u64, u64)> = running
        .iter()
        .flat_map(|process| process.files.iter().copied())
        .collect();
    // A file that other releases share says nothing about this one.
    let mut own = files::own_inodes(dir);
    if let Some(id) = own.find(|id| used.contains(id)) {
        return running.iter().find(|process| process.files.contains(&id));
    }
    let name = dir.file_name()?.to_str()?;
    let app = dir.parent()?.parent()?.file_name()?.to_str()?;
    running.iter().find(|process| {
        !process.seen || crate::host::release_of(process.pid, app).as_deref() == Some(name)
    })
}
