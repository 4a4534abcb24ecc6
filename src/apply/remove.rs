//! Taking an app away: units, files, releases; state and settings only when asked.

use super::{About, Work, recover, switch};
use crate::model::layout::UNIT_DIR;
use crate::model::{Layout, Name};
use crate::record::{FORMAT, FileChange, Journal, State, Step, Stored, Units};
use anyhow::Result;

/// Removes an app. Interrupted, it is put back by recovery, and can be repeated.
///
/// # Errors
/// When something cannot be removed; before the commit, everything is then put back.
pub fn remove(work: &Work<'_>, name: &Name, purge: bool) -> Result<()> {
    let layout = Layout::new(name);
    let state = work.book.state()?;
    if let Some(live) = &state.live {
        let tree = match work.book.release(live)? {
            Some(record) => record.tree()?,
            None => crate::tree::FileTree::default(),
        };
        let mut files = Vec::new();
        let mut units = Vec::new();
        for path in tree.paths() {
            let Some(entry) = work.host.root.entry(path)? else {
                continue;
            };
            if let Some(unit) = path.strip_prefix(&format!("{UNIT_DIR}/"))
                && !unit.contains('/')
                && !unit.contains('@')
            {
                units.push(unit.to_owned());
            }
            files.push(FileChange {
                path: path.to_owned(),
                before: Some(Stored::new(&entry)),
                after: None,
            });
        }
        let mut journal = Journal {
            format: FORMAT,
            trace_id: work.trace.clone(),
            operation: "remove".to_owned(),
            step: Step::Switching,
            from: Some(live.clone()),
            to: None,
            files,
            units: Units {
                // Sockets and timers first: nothing may start a service again.
                stopped: stopping_order(units),
                ..Units::default()
            },
            state_before: state.clone(),
            state_after: State::default(),
        };
        work.book.set_journal(&journal)?;
        let taken = || -> Result<()> {
            work.host.systemd.stop(&journal.units.stopped)?;
            switch::files_forward(work.host, &journal)?;
            switch::link(work.host, &layout, None)?;
            work.host.systemd.daemon_reload()?;
            work.host.systemd.reset_failed(&journal.units.stopped);
            Ok(())
        };
        if let Err(error) = taken() {
            recover(work, super::RecoverUnits::Restart)?;
            return Err(error);
        }
        journal.step = Step::Committing;
        work.book.set_journal(&journal)?;
        super::commit(work, &journal)?;
    }
    work.tell(
        "info",
        "removed",
        About::default(),
        &format!("{name} was removed"),
    );
    work.host.root.remove_tree(&layout.opt())?;
    if purge {
        for path in [
            layout.state(),
            layout.cache(),
            layout.logs(),
            layout.etc(),
            layout.run(),
        ] {
            work.host.root.remove_tree(&path)?;
        }
    }
    work.book.burn()?;
    Ok(())
}

fn stopping_order(mut units: Vec<String>) -> Vec<String> {
    let rank = |unit: &String| match unit.rsplit('.').next() {
        Some("target") => 0,
        Some("timer") => 1,
        Some("socket") => 2,
        _ => 3,
    };
    units.sort_by_key(rank);
    units
}
