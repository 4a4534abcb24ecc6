//! Removing an app: a change that ends without a release.

use super::apply::running;
use super::installed::installed_files;
use super::interrupted::Interrupted;
use super::revert::{RevertOutcome, revert_change};
use super::scope_limits::remove_limits;
use super::switch;
use crate::app::layout::{EMPTY_ROOT, ENABLE_DIR, UNIT_DIR};
use crate::app::{Layout, Name};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError, fail};
use crate::events::Subject;
use crate::host::{Host, Root};
use crate::prerequisites::check_unprotected;
use crate::render::{made_for, possible_links};
use crate::session::Session;
use crate::settings::drop_record;
use crate::store::{FORMAT, Journal, State, Step, StoppedUnits, Store, UnitChanges};
use crate::transient::leftovers::clear_failures;
use crate::tree::{FileChange, Stored};
use crate::units::{self, UnitFile, is_templated, unit_type};
use anyhow::{Result, anyhow};
use std::collections::BTreeSet;

/// The operation of a removal in the journal.
pub(crate) const REMOVAL: &str = "remove";

/// Why an app was not removed.
#[derive(Debug)]
pub(crate) enum RemoveError {
    /// Nothing was changed.
    Refused(anyhow::Error),
    /// Units were stopped or files removed, and everything was restored.
    Restored(anyhow::Error),
    /// The app is removed in part. The journal is kept, and `recover` continues.
    Interrupted(Interrupted),
}

impl From<anyhow::Error> for RemoveError {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(error)
    }
}

/// Removes an app. Recovery restores it when the removal is interrupted before its commit, and
/// finishes the removal after it.
///
/// # Errors
/// [`RemoveError`] says what is left.
pub(crate) fn remove(session: &Session<'_>, name: &Name, purge: bool) -> Result<(), RemoveError> {
    let (host, store, layout) = (session.host, session.store, Layout::new(name));
    check_mounts(host, &layout, purge)?;
    let (mut journal, units) = journal(session, name, purge)?;
    check_protection(host, &directories(&layout, purge), &journal.files)?;
    store.release_reserve();
    let begun = store.set_journal(&journal);
    begun.inspect_err(|_| drop(store.clear_journal()))?;
    let mut hide = || -> Result<()> {
        // What drains stops with its service, and this waits until it has.
        let scopes = draining_scopes(host, &units)?;
        let slice = [units::slice_unit(name.as_str())];
        host.systemd.stop(&[&units[..], &scopes, &slice].concat())?;
        switch::files_forward(host, &journal)?;
        switch::link(host, &layout, None)?;
        host.systemd.daemon_reload()?;
        host.systemd.reset_failed(&units);
        // What drained and had to be killed. The next command of any app would not find it.
        if let Err(error) = clear_failures(host, name.as_str()) {
            let text = format!("systemd may still list ended units as failed: {error:#}");
            session.emit("warning", "cleanup-failed", Subject::default(), &text);
        }
        journal.step = Step::Removed;
        store.set_journal(&journal)
    };
    if let Err(error) = hide() {
        return Err(match revert_change(session, &mut journal, None) {
            RevertOutcome::Healthy => RemoveError::Restored(error),
            RevertOutcome::Unhealthy(wrong) | RevertOutcome::Stuck(wrong) => {
                let both = anyhow!("{error:#}; restoring the app: {wrong}");
                RemoveError::Interrupted(Interrupted(both))
            }
        });
    }
    let finished = finish(session, &journal);
    finished.map_err(|error| RemoveError::Interrupted(Interrupted(error)))
}

/// The scopes in which previous releases of these units drain.
///
/// # Errors
/// When systemd does not answer.
pub(crate) fn draining_scopes(host: &Host, units: &[String]) -> Result<Vec<String>> {
    let services = units.iter().filter(|unit| unit.ends_with(".service"));
    let patterns: Vec<String> = services.map(|unit| units::old_units(unit)).collect();
    if host.is_offline() || patterns.is_empty() {
        return Ok(Vec::new());
    }
    let states = host.systemd.show_loaded(&patterns)?.into_iter();
    let names = states.map(|state| state.id);
    Ok(names
        .filter(|name| units::is_of_drain(name) && name.ends_with(".scope"))
        .collect())
}

/// Refuses files, directories and releases that an attribute protects.
fn check_protection(host: &Host, directories: &[String], files: &[FileChange]) -> Result<()> {
    let below = directories.iter().map(|dir| format!("{dir}/releases"));
    let mut paths: Vec<String> = files.iter().map(|change| change.path.clone()).collect();
    for dir in below {
        let releases = host.root.list(&dir)?;
        paths.extend(releases.iter().map(|id| format!("{dir}/{id}")));
        paths.push(dir);
    }
    let all = directories.iter().chain(&paths).map(String::as_str);
    check_unprotected(&host.root, &all.collect::<Vec<_>>())
}

/// Refuses to empty a file system that is mounted inside the app's directories.
fn check_mounts(host: &Host, layout: &Layout, purge: bool) -> Result<()> {
    for path in directories(layout, purge) {
        if let Some(mount) = host.root.mount_at(&path)? {
            let mount = mount.display().to_string();
            return fail(
                format!("`{mount}` is mounted, and the removal would empty it"),
                Hint::to("unmount it", CommandLine::sudo(["umount", &mount])),
            );
        }
    }
    Ok(())
}

/// What a removal stops and removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// Units that run, in the order in which they stop.
    pub(crate) units: Vec<String>,
    /// Units, drop-ins and other files on the host.
    pub(crate) files: Vec<String>,
    /// Directories, with everything in them.
    pub(crate) directories: Vec<String>,
}

/// Reads what a removal would do.
///
/// # Errors
/// When records or files cannot be read, or [`remove`] would refuse.
pub(crate) fn removal(host: &Host, store: &Store, name: &Name, purge: bool) -> Result<Removal> {
    let layout = Layout::new(name);
    check_mounts(host, &layout, purge)?;
    let (_, files, units) = removal_set(host, store, name)?;
    let directories = directories(&layout, purge);
    check_protection(host, &directories, &files)?;
    let mut existing = Vec::new();
    for path in directories {
        if host.root.meta(&path)?.is_some() {
            existing.push(path);
        }
    }
    let mut files: Vec<String> = files.into_iter().map(|change| change.path).collect();
    if purge {
        files.extend(timer_stamps(&host.root, name)?);
    }
    Ok(Removal {
        units: running(host, units).unwrap_or_default(),
        files,
        directories: existing,
    })
}

/// Whether an earlier removal left state or settings of an app without a record.
///
/// # Errors
/// When that cannot be seen.
pub(crate) fn has_leftovers(host: &Host, name: &Name) -> Result<bool> {
    let layout = Layout::new(name);
    let exists = |path: String| anyhow::Ok(host.root.meta(&path)?.is_some());
    let has_settings = exists(layout.env_file())? || exists(layout.credentials())?;
    // With releases, the directories may be those of an app that another tool installed.
    Ok(has_settings && !exists(layout.opt())?)
}

/// The directories to remove: the releases, and with a purge all data of the app.
fn directories(layout: &Layout, purge: bool) -> Vec<String> {
    let mut all = vec![layout.opt()];
    if purge {
        all.extend([
            layout.state(),
            layout.cache(),
            layout.logs(),
            layout.etc(),
            layout.run(),
        ]);
    }
    all
}

/// Where systemd notes when a timer has elapsed last (systemd.timer(5), `Persistent=`).
const STAMPS_DIR: &str = "/var/lib/systemd/timers";

/// The notes of systemd about timers of an app that are gone, also of earlier releases. Those of another app
/// whose name begins alike stay.
fn timer_stamps(root: &Root, name: &Name) -> Result<Vec<String>> {
    let mut stamps = Vec::new();
    for file in root.list(STAMPS_DIR)? {
        let timer = file
            .strip_prefix("stamp-")
            .filter(|timer| timer.ends_with(".timer"));
        let Some(timer) = timer.filter(|timer| timer.starts_with(&format!("{name}-"))) else {
            continue;
        };
        if !is_timer_of_other(root, name, timer)? {
            stamps.push(format!("{STAMPS_DIR}/{file}"));
        }
    }
    Ok(stamps)
}

/// Whether a timer that may be an app's exists, or can be that of an app with a longer name.
fn is_timer_of_other(root: &Root, name: &Name, timer: &str) -> Result<bool> {
    let files = [UNIT_DIR, ENABLE_DIR, "/usr/lib/systemd/system"];
    for dir in files {
        if let Some(entry) = root.entry(&format!("{dir}/{timer}"))?
            && made_for(&entry) != Some(name.as_str())
        {
            return Ok(true);
        }
    }
    let stem = units::stem(timer);
    for (at, _) in stem.match_indices('-') {
        let other = stem.get(..at).and_then(|other| Name::parse(other).ok());
        let Some(other) = other.filter(|other| other.as_str().len() > name.as_str().len()) else {
            continue;
        };
        let layout = Layout::new(&other);
        for path in [layout.opt(), layout.store(), layout.etc(), layout.state()] {
            if root.meta(&path)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What is removed, with how to undo it; and all units, in the order in which they stop.
fn journal(session: &Session<'_>, name: &Name, purge: bool) -> Result<(Journal, Vec<String>)> {
    let (state, files, units) = removal_set(session.host, session.store, name)?;
    let journal = Journal {
        format: FORMAT,
        trace_id: session.trace.clone(),
        operation: REMOVAL.to_owned(),
        step: Step::Switching,
        from: state.live.clone(),
        link: None,
        to: None,
        files,
        units: UnitChanges {
            stopped: running(session.host, units.clone())?,
            ..UnitChanges::default()
        },
        is_of_settings: false,
        secrets: Vec::new(),
        purge,
        state_before: state,
        state_after: State::default(),
    };
    Ok((journal, units))
}

/// What is live, the app's files on the host, and its units in the order in which they stop.
fn removal_set(
    host: &Host,
    store: &Store,
    name: &Name,
) -> Result<(State, Vec<FileChange>, Vec<String>)> {
    let (state, layout) = (store.state()?, Layout::new(name));
    let paths: BTreeSet<String> = match &state.live {
        Some(live) => match store.release(live)? {
            Some(record) => {
                let tree = record.tree()?;
                let links = possible_links(&record.app()?);
                let paths = tree.paths().chain(links.paths());
                paths.map(str::to_owned).collect()
            }
            None => return Err(store.missing_record(live)),
        },
        None => match store.release_of_current_link()? {
            Some(id) => return Err(unrecorded(&layout, &id).into()),
            // No record says it, and the files themselves do.
            None => installed_files(&host.root, name)?,
        },
    };
    let (mut files, mut units) = (Vec::new(), Vec::new());
    for path in paths {
        let Some(entry) = host.root.entry(&path)? else {
            continue;
        };
        if made_for(&entry).is_some_and(|owner| owner != name.as_str()) {
            continue; // Another app has replaced it.
        }
        if let Some(unit) = UnitFile::parse(&path).and_then(UnitFile::main)
            && !is_templated(unit)
        {
            units.push(unit.to_owned());
        }
        files.push(FileChange {
            path,
            before: Some(Stored::new(&entry)),
            after: None,
        });
    }
    units.sort_by_key(|unit| unit_type(unit));
    Ok((state, files, units))
}

/// A release is live, and no record says which units and files belong to it.
fn unrecorded(layout: &Layout, id: &str) -> HintedError {
    HintedError::new(
        format!(
            "`{}` leads to {id}, and no record says what it installed",
            layout.current()
        ),
        Hint::to(
            "deploy it again, then remove it",
            CommandLine::sudo_robotctl(["deploy", "--apply"]),
        ),
    )
}

/// Removes the rest once no part of the app is visible, and the journal with it. Recovery may repeat
/// it.
pub(super) fn finish(session: &Session<'_>, journal: &Journal) -> Result<()> {
    let name = Name::parse(&session.app);
    let name = name.map_err(|clause| anyhow!("`{}`: {clause}", session.app))?;
    let (root, layout) = (&session.host.root, Layout::new(&name));
    // Renamed first: a release that is removed in part must not have its name.
    root.discard(&layout.releases())?;
    for path in directories(&layout, journal.purge) {
        root.remove_tree(&path)?;
    }
    if journal.purge {
        for path in timer_stamps(root, &name)? {
            root.remove_file(&path)?;
        }
    }
    // The mount points in the root directory of sandboxed services are empty directories.
    for path in [
        layout.current(),
        layout.opt(),
        layout.state(),
        layout.cache(),
        layout.logs(),
        layout.etc(),
        layout.run(),
    ] {
        root.remove_dir_if_empty(&format!("{EMPTY_ROOT}{path}"))?;
    }
    for change in &journal.files {
        if let Some(unit) = UnitFile::parse(&change.path).and_then(UnitFile::main) {
            remove_limits(root, unit)?;
        }
    }
    drop_record(root, &name)?;
    StoppedUnits::default().save(root, &name)?;
    let text = format!("{name} was removed");
    session.emit("info", "removed", Subject::default(), &text);
    session.store.delete()
}
