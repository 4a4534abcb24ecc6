//! Taking an app away: units, files, releases; state and settings only when asked.

use super::observe::unknown;
use super::switch;
use crate::app::layout::EMPTY_ROOT;
use crate::app::{Layout, Name};
use crate::error::HintedError;
use crate::events::Subject;
use crate::host::Host;
use crate::render::made_for;
use crate::session::Session;
use crate::store::{FORMAT, FileChange, Journal, State, Step, Store, Stored, UnitChanges};
use crate::tree::FileTree;
use crate::units::{UnitFile, is_templated, unit_type};
use anyhow::{Result, anyhow};
use serde::Serialize;

/// A removal's name in the journal.
pub const REMOVAL: &str = "remove";

/// Removes an app. Interrupted before the commit, it is put back by recovery; after it, recovery
/// goes on with it.
///
/// # Errors
/// When something cannot be removed: before the commit everything is then put back, after it
/// the error is a [`super::Interrupted`].
pub fn remove(session: &Session<'_>, name: &Name, purge: bool) -> Result<()> {
    let layout = Layout::new(name);
    let removal_set = trees(&layout, purge);
    for path in &removal_set {
        if let Some(mount) = session.host.root.mount_at(path)? {
            let mount = mount.display();
            return Err(HintedError::new(
                format!("`{mount}` is mounted, and would be emptied"),
                format!("sudo umount '{mount}', then try again"),
            )
            .into());
        }
    }
    session.store.release_reserve();
    let (mut journal, all) = journal(session, name, purge)?;
    let begun = session.store.set_journal(&journal);
    begun.inspect_err(|_| drop(session.store.clear_journal()))?;
    let mut taken = || -> Result<()> {
        session.host.systemd.stop(&all)?;
        switch::files_forward(session.host, &journal)?;
        switch::link(session.host, &layout, None)?;
        session.host.systemd.daemon_reload()?;
        session.host.systemd.reset_failed(&all);
        journal.step = Step::Removed;
        session.store.set_journal(&journal)
    };
    if let Err(error) = taken() {
        return match super::revert_change(session, &mut journal, None) {
            super::RevertOutcome::Healthy => Err(error),
            super::RevertOutcome::UnhealthyAfterSwitch(wrong)
            | super::RevertOutcome::Stuck(wrong) => {
                let join = anyhow!("{error:#}; putting it back: {wrong}");
                Err(anyhow::Error::new(super::Interrupted(join)))
            }
        };
    }
    finish(session, &journal).map_err(|error| anyhow::Error::new(super::Interrupted(error)))
}

/// What a removal stops and removes.
#[derive(Debug, Serialize)]
pub struct Removal {
    /// Units, in the order in which they are stopped.
    pub units: Vec<String>,
    /// Units, drop-ins and their like.
    pub files: Vec<String>,
    /// Directories, with all that is in them.
    pub directories: Vec<String>,
}

/// Looks at what a removal would do.
///
/// # Errors
/// When records or files cannot be read.
pub fn removal(host: &Host, store: &Store, name: &Name, purge: bool) -> Result<Removal> {
    let (_, files, units) = removal_set(host, store, name)?;
    let mut directories = trees(&Layout::new(name), purge);
    let mut failed = Ok(());
    directories.retain(|path| match host.root.meta(path) {
        Ok(meta) => meta.is_some(),
        Err(error) => {
            failed = Err(error);
            false
        }
    });
    failed.map(|()| Removal {
        units: super::running(host, units).unwrap_or_default(),
        files: files.into_iter().map(|change| change.path).collect(),
        directories,
    })
}

/// Whether a removal left state or settings of an app of which nothing is remembered: its mark
/// is there, and no releases of anybody are.
///
/// # Errors
/// When that cannot be seen.
pub fn left(host: &Host, name: &Name) -> Result<bool> {
    let layout = Layout::new(name);
    let is_there = |path: String| Ok::<_, anyhow::Error>(host.root.meta(&path)?.is_some());
    Ok(
        (is_there(layout.env_file())? || is_there(layout.credentials())?)
            && !is_there(layout.opt())?,
    )
}

/// Directories that go: the releases, and all that the app wrote when it is purged.
fn trees(layout: &Layout, purge: bool) -> Vec<String> {
    let mut out = vec![layout.opt()];
    if purge {
        out.extend([
            layout.state(),
            layout.cache(),
            layout.logs(),
            layout.etc(),
            layout.run(),
        ]);
    }
    out
}

/// What goes, with how to undo it; and all units, in the order in which they are stopped.
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
            stopped: super::running(session.host, units.clone())?,
            ..UnitChanges::default()
        },
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
    let tree = match &state.live {
        Some(live) => match store.release(live)? {
            Some(record) => record.tree()?,
            None => return Err(unknown(host, &layout, live)),
        },
        None => match store.linked()? {
            Some(id) => return Err(unrecorded(&layout, &id).into()),
            None => FileTree::default(),
        },
    };
    let mut files = Vec::new();
    let mut units = Vec::new();
    for path in tree.paths() {
        let Some(entry) = host.root.entry(path)? else {
            continue;
        };
        if made_for(&entry).is_some_and(|owner| owner != name.as_str()) {
            continue; // Another app's by now.
        }
        if let Some(unit) = UnitFile::parse(path).and_then(UnitFile::main)
            && !is_templated(unit)
        {
            units.push(unit.to_owned());
        }
        files.push(FileChange {
            path: path.to_owned(),
            before: Some(Stored::new(&entry)),
            after: None,
        });
    }
    units.sort_by_key(|unit| unit_type(unit));
    Ok((state, files, units))
}

/// Something is live, and nothing tells which units and files are its own.
fn unrecorded(layout: &Layout, id: &str) -> HintedError {
    HintedError::new(
        format!(
            "`{}` leads to {id}, and nothing is recorded of what that installed",
            layout.current()
        ),
        "deploy it again, then remove it".to_owned(),
    )
}

/// Nothing of the app is visible any more: the rest goes, and the journal with it. Idempotent,
/// so that recovery may repeat it.
pub(super) fn finish(session: &Session<'_>, journal: &Journal) -> Result<()> {
    let name =
        Name::parse(&session.app).map_err(|clause| anyhow!("`{}`: {clause}", session.app))?;
    let layout = Layout::new(&name);
    let root = &session.host.root;
    // First their names: a part of a release must never be there under one.
    root.discard(&layout.releases())?;
    for path in trees(&layout, journal.purge) {
        root.remove_tree(&path)?;
    }
    // The mount points of its services' own roots are empty directories.
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
    let text = format!("{name} was removed");
    session.emit("info", "removed", Subject::default(), &text);
    session.store.delete()
}
