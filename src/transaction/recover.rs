//! Ending an interrupted change: back to the old state, or forward to the new one once it had
//! passed its checks. Every step may be repeated; a second crash changes nothing.

use super::{commit, finish_back, remove, switch};
use crate::app::layout::{SYSUSERS_DIR, TMPFILES_DIR};
use crate::app::{Layout, Name};
use crate::events::Subject;
use crate::host::{Host, release_of};
use crate::session::Session;
use crate::store::{Damaged, Journal, Step, Store};
use crate::units::{UnitFile, is_templated, unit_type};
use anyhow::{Result, anyhow};

/// How an interrupted change was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// There was none.
    Nothing,
    /// The host is as before it.
    Old(Option<String>),
    /// It had passed its checks: it stands.
    New(Option<String>),
}

/// What to do with units while going back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Restart what runs the wrong release.
    Restart,
    /// Nothing runs yet: the host is booting.
    Boot,
}

/// The host is in neither state: the journal is still there, and a person is needed.
#[derive(Debug)]
pub struct Interrupted(pub(super) anyhow::Error);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = &self.0;
        // That says itself what to type.
        if why.is::<Damaged>() {
            return write!(f, "{why}");
        }
        write!(
            f,
            "an interrupted change could not be ended: {why:#}\n\n\
             hint: mend that (on a full disk, make room), then: sudo robotctl recover"
        )
    }
}

impl std::error::Error for Interrupted {}

/// Ends the change that the journal tells of, if there is one.
///
/// # Errors
/// [`Interrupted`] when the host cannot be put into either state; the journal then stays for the
/// next try.
pub fn recover(session: &Session<'_>, mode: RecoveryMode) -> Result<Recovered> {
    end(session, mode).map_err(|error| anyhow::Error::new(Interrupted(error)))
}

fn end(session: &Session<'_>, mode: RecoveryMode) -> Result<Recovered> {
    let Some(mut journal) = session.store.journal()? else {
        return Ok(Recovered::Nothing);
    };
    let told = format!("ending the {} that was interrupted", journal.operation);
    session.emit("warning", "recovering", Subject::default(), &told);
    // What a killed run had written for its end takes room that going back may need.
    let _ = session.store.clean_up();
    session.store.release_reserve();
    match journal.step {
        Step::Removed => {
            remove::finish(session, &journal)?;
            Ok(Recovered::New(None))
        }
        Step::Switching if proven(session.store, &journal)? => {
            session.host.systemd.stop(&journal.units.standins)?;
            // What was seen may not be on the disk yet, and the record of the release is not
            // before it.
            session.store.set_state(&journal.state_after)?;
            commit(session, &journal)?;
            Ok(Recovered::New(journal.to))
        }
        Step::Switching | Step::Reverting => {
            begin_revert(session, &mut journal)?;
            revert(session, &journal, mode)?;
            finish_back(session, &journal)?;
            Ok(Recovered::Old(release_before(session, &journal)))
        }
    }
}

/// Whether the state that was written is that of this change; one that was lost proves nothing.
fn proven(store: &Store, journal: &Journal) -> Result<bool> {
    let state = store.saved_state()?;
    Ok(state.is_some_and(|state| journal.made(&state)))
}

/// From here on, whoever finds the journal goes back. When the disk takes no new journal, one that
/// says so already is enough, as is one that no state of this change contradicts: of two that do,
/// nobody knows which is on the disk.
pub(super) fn begin_revert(session: &Session<'_>, journal: &mut Journal) -> Result<()> {
    journal.step = Step::Reverting;
    session.store.release_reserve();
    let Err(error) = session.store.set_journal(journal) else {
        return Ok(());
    };
    let Ok(Some(there)) = session.store.journal() else {
        return Err(error);
    };
    let is_enough = match there.step {
        Step::Reverting => session.store.sync().is_ok(),
        Step::Switching => proven(session.store, &there).is_ok_and(|proven| !proven),
        Step::Removed => false,
    };
    if is_enough { Ok(()) } else { Err(error) }
}

fn name(session: &Session<'_>) -> Result<Name> {
    Name::parse(&session.app).map_err(|clause| anyhow!("`{}`: {clause}", session.app))
}

/// The release that ran before a change, once the link is back: as recorded, or where the link
/// leads. `None` when nobody knows, and when nothing ran.
pub(super) fn release_before(session: &Session<'_>, journal: &Journal) -> Option<String> {
    match (&journal.from, &journal.link) {
        (Some(id), _) => Some(id.clone()),
        (None, Some(_)) => session.store.linked().ok()?,
        (None, None) => None,
    }
}

/// Puts files, link and units back as the journal says.
pub(super) fn revert(session: &Session<'_>, journal: &Journal, mode: RecoveryMode) -> Result<()> {
    let host = session.host;
    let name = name(session)?;
    let layout = Layout::new(&name);
    let live = mode == RecoveryMode::Restart && !host.is_offline();
    if live {
        // Before their files go: a unit without a file can only be killed.
        let fresh = journal
            .units
            .started
            .iter()
            .filter(|_| journal.from.is_none());
        let fresh: Vec<String> = fresh.cloned().collect();
        for unit in fresh.iter().chain(&removed(journal)) {
            host.systemd.stop(std::slice::from_ref(unit)).ok();
        }
    }
    switch::files_back(host, journal)?;
    switch::link_back(host, &layout, journal)?;
    clean_up(host, journal)?;
    if host.is_offline() {
        return Ok(());
    }
    for (dir, tool) in [(SYSUSERS_DIR, true), (TMPFILES_DIR, false)] {
        let file = format!("{dir}/{name}.conf");
        if host.root.meta(&file)?.is_some() {
            let done = match tool {
                true => host.systemd.sysusers(&host.root, &file),
                false => host.systemd.tmpfiles(&host.root, &file),
            };
            // Services that were stopped must come back all the same: the checks tell the rest.
            if let Err(error) = done {
                let text = format!("{error:#}");
                session.emit("error", "configure-failed", Subject::default(), &text);
            }
        }
    }
    host.systemd.daemon_reload()?;
    if live {
        // One that failed while it was stopped would be listed for ever.
        host.systemd.reset_failed(&removed(journal));
        restart(session, journal)
    } else {
        Ok(())
    }
}

/// Removes half-written files beside those that the change was about. The directories are not
/// the app's alone, so nothing else is touched.
fn clean_up(host: &Host, journal: &Journal) -> Result<()> {
    for change in &journal.files {
        if let Some((dir, name)) = change.path.rsplit_once('/') {
            host.root.sweep_temporaries(dir, |target| target == name)?;
            switch::drop_if_empty(host, dir)?;
        }
    }
    Ok(())
}

/// Units whose files exist only in the new release; one that it merely enables was there before.
fn removed(journal: &Journal) -> Vec<String> {
    let gone = journal.files.iter();
    let gone = gone.filter(|change| change.before.is_none());
    let names = gone.filter_map(|change| UnitFile::parse(&change.path)?.main());
    let unit = |name: &&str| unit_type(name).is_some() && !is_templated(name);
    names.filter(unit).map(str::to_owned).collect()
}

/// Brings units back to the old release: those that run another one, and those that are down. Where
/// nobody knows which one that was, all that was touched starts anew.
fn restart(session: &Session<'_>, journal: &Journal) -> Result<()> {
    let systemd = &session.host.systemd;
    let from = release_before(session, journal);
    if from.is_some() || journal.link.is_some() {
        let units = &journal.units;
        super::activate::free_addresses(systemd, &units.rebound)?;
        for unit in units.stopped.iter().chain(&units.restarted) {
            let state = systemd.show_one(unit)?;
            if !state.is_loaded() {
                continue;
            }
            reopen(systemd, unit)?;
            systemd.reset_failed(std::slice::from_ref(unit));
            let runs = state
                .main_pid()
                .and_then(|pid| release_of(pid, &session.app));
            let rewritten = journal
                .files
                .iter()
                .any(|change| change.path.contains(unit.as_str()));
            let pins = &journal.state_before.pins;
            let own = pins
                .iter()
                .find(|(name, _)| *unit == format!("{}-{name}.service", session.app));
            let wanted = own.map_or(from.as_ref(), |(_, id)| Some(id));
            let right = state.is_active() && (runs.is_none() || runs.as_ref() == wanted);
            if right && !rewritten {
                continue;
            }
            if unit.ends_with(".target") {
                // What the administrator had stopped stays down.
                systemd.start_alone(std::slice::from_ref(unit))?;
            } else if unit.ends_with(".socket") {
                systemd.stop(&super::activate::socket_and_users(systemd, unit)?)?;
                systemd.start(std::slice::from_ref(unit))?;
            } else if let Err(error) = systemd.restart(std::slice::from_ref(unit)) {
                // The others come back all the same; the checks that follow tell of this one.
                let about = Subject {
                    release: from.as_deref(),
                    unit: Some(unit),
                };
                session.emit("error", "restart-failed", about, &format!("{error:#}"));
            }
        }
    }
    // Last, so that somebody answered all the time.
    systemd.stop(&journal.units.standins)?;
    systemd.reset_failed(&journal.units.standins);
    Ok(())
}

/// Opens the sockets of a service again when a release that crashed at each request took them
/// down with it (systemd.socket(5), "TriggerLimitBurst=").
fn reopen(systemd: &crate::host::Systemd, unit: &str) -> Result<()> {
    let triggered = systemd.show_one(unit)?;
    let sockets = triggered.get("TriggeredBy").split(' ');
    for socket in sockets.filter(|name| name.ends_with(".socket")) {
        if systemd.show_one(socket)?.is_failed() {
            // It cannot be opened beside a service that runs.
            let units = super::activate::socket_and_users(systemd, socket)?;
            systemd.stop(&units).ok();
            systemd.reset_failed(&units);
            systemd.start(&[socket.to_owned()])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::removed;
    use crate::store::{FORMAT, FileChange, Journal, State, Step, Stored, UnitChanges};

    /// What is stopped when a change goes back: the app's own units that came with it, and nothing
    /// of others that it only enables or adds to.
    #[test]
    fn only_units_that_came_with_the_change_go() {
        let file = || Some(Stored::Text(0o644, String::new()));
        let link = || {
            Some(Stored::Link(
                "/usr/lib/systemd/system/own.service".to_owned(),
            ))
        };
        let units = "/usr/local/lib/systemd/system";
        let files = [
            (format!("{units}/shop-web.service"), None, file()),
            (format!("{units}/shop-web.socket"), None, file()),
            (format!("{units}/shop-job.timer"), None, file()),
            (format!("{units}/shop.target"), None, file()),
            // It was there, it was taken away, and it is one of many.
            (format!("{units}/shop-api.service"), file(), file()),
            (format!("{units}/shop-old.service"), file(), None),
            (format!("{units}/shop-web-standin@.service"), None, file()),
            // Links that enable a unit, drop-ins, and what is no unit.
            (
                format!("{units}/shop.target.wants/own.service"),
                None,
                link(),
            ),
            (
                "/etc/systemd/system/multi-user.target.wants/own.service".to_owned(),
                None,
                link(),
            ),
            (format!("{units}/own.service.d/50-shop.conf"), None, file()),
            (format!("{units}/shop.slice"), None, file()),
            (
                "/usr/local/lib/tmpfiles.d/shop.conf".to_owned(),
                None,
                file(),
            ),
        ];
        let files = files.map(|(path, before, after)| FileChange {
            path,
            before,
            after,
        });
        let journal = Journal {
            format: FORMAT,
            trace_id: "t".to_owned(),
            operation: "deploy".to_owned(),
            step: Step::Switching,
            from: None,
            link: None,
            to: None,
            files: files.into(),
            units: UnitChanges::default(),
            purge: false,
            state_before: State::default(),
            state_after: State::default(),
        };
        assert_eq!(
            removed(&journal),
            [
                "shop-web.service",
                "shop-web.socket",
                "shop-job.timer",
                "shop.target"
            ]
        );
    }
}
