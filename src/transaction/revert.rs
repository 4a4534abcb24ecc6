//! Undoing a change: files, link and units as the journal says.

use super::activate::{free_addresses, socket_and_users};
use super::obstacles;
use super::operation::Operation;
use super::restore::restore;
use super::switch;
use crate::app::layout::{SYSUSERS_DIR, TMPFILES_DIR};
use crate::app::{Layout, Name, PROXY_SUFFIX};
use crate::events::Subject;
use crate::failure::Failure;
use crate::health::{Proof, report_wait, settled_daemons, verify};
use crate::host::{
    Checked, Host, Systemd, Undetermined, UnitStatus, release_of_unit, runs_its_own_process,
};
use crate::session::Session;
use crate::settings::SecretFiles;
use crate::store::{Journal, Mark, Step, Store};
use crate::units::{self, UnitFile, is_templated, unit_type};
use anyhow::{Context as _, Result, anyhow, bail};

/// How undoing a change ended.
#[derive(Debug)]
pub(super) enum RevertOutcome {
    /// The previous release is live, and healthy unless nothing runs: below `--root`, it is not checked.
    Healthy,
    /// The previous release is live, and something is wrong with it.
    Unhealthy(String),
    /// The previous release is not live. The journal is kept.
    Stuck(String),
}

/// What to do with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RevertMode {
    /// Restart those that run the wrong release.
    Restart,
    /// Nothing runs: the host is booting.
    FilesOnly,
}

/// Undoes a change. With a reason, the release is marked as bad.
pub(super) fn revert_change(
    session: &Session<'_>,
    journal: &mut Journal,
    bad: Option<&Failure>,
) -> RevertOutcome {
    let mut undo = || -> Result<()> {
        begin_revert(session, journal)?;
        revert(session, journal, RevertMode::Restart)?;
        if let Some(reason) = bad {
            mark_failed(session, journal, reason);
        }
        finish_revert(session, journal)
    };
    if let Err(error) = undo() {
        return RevertOutcome::Stuck(format!("{error:#}"));
    }
    match check_restored(session, journal) {
        Ok(()) => RevertOutcome::Healthy,
        Err(error) => RevertOutcome::Unhealthy(format!("{error:#}")),
    }
}

/// Records that the change is being undone. When the disk takes no new journal, an old one is enough if
/// it says the same, or if no state contradicts it: after a crash, recovery then also undoes the change.
pub(super) fn begin_revert(session: &Session<'_>, journal: &mut Journal) -> Result<()> {
    let store = session.store;
    journal.step = Step::Reverting;
    store.release_reserve();
    let Err(error) = store.set_journal(journal) else {
        return Ok(());
    };
    let Ok(Some(found)) = store.journal() else {
        return Err(error);
    };
    let is_enough = match found.step {
        Step::Reverting => store.sync().is_ok(),
        Step::Switching => has_succeeded(store, &found).is_ok_and(|succeeded| !succeeded),
        Step::Removed => false,
    };
    if is_enough { Ok(()) } else { Err(error) }
}

/// Whether the saved state is that of this change. A state that was lost proves nothing.
pub(super) fn has_succeeded(store: &Store, journal: &Journal) -> Result<bool> {
    let state = store.saved_state()?;
    Ok(state.is_some_and(|state| journal.made(&state)))
}

/// Saves the earlier state, once the host is as before.
pub(super) fn finish_revert(session: &Session<'_>, journal: &Journal) -> Result<()> {
    session.store.set_state(&journal.state_before)?;
    session.store.clear_journal()?;
    let release = release_before(session, journal);
    let subject = Subject {
        release: release.as_deref(),
        unit: None,
    };
    let is_lost = is_lost(session.host, &Layout::new(&name_of(session)?), journal)?;
    let text = match subject.release.or(journal.link.as_deref()) {
        Some(id) if is_lost => {
            format!("restored, but the live release {id} is missing: deploy again")
        }
        Some(id) => format!("restored: {id} is live"),
        None => "restored: no release is live".to_owned(),
    };
    session.emit("warning", "restored", subject, &text);
    Ok(())
}

/// The release that ran before the change, once the link is restored: as recorded, or as the link says.
/// `None` when that cannot be known, and when nothing ran.
pub(super) fn release_before(session: &Session<'_>, journal: &Journal) -> Option<String> {
    match (&journal.from, &journal.link) {
        (Some(id), _) => Some(id.clone()),
        (None, Some(_)) => session.store.release_of_current_link().ok()?,
        (None, None) => None,
    }
}

fn name_of(session: &Session<'_>) -> Result<Name> {
    Name::parse(&session.app).map_err(|clause| anyhow!("`{}`: {clause}", session.app))
}

/// Whether the restored release is healthy. Below `--root` nothing runs, so nothing is checked.
fn check_restored(session: &Session<'_>, journal: &Journal) -> Result<()> {
    if let (None, Some(link)) = (&journal.from, &journal.link) {
        bail!("`current` leads to `{link}` again, and no record says what it is");
    }
    let host = session.host;
    let Some(from) = &journal.from else {
        return Ok(());
    };
    if is_lost(host, &Layout::new(&name_of(session)?), journal)? {
        bail!("the live release {from} is missing: deploy again");
    }
    if host.is_offline() {
        return Ok(());
    }
    let record = session.store.release(from)?;
    let record = record.context("the release has no record")?;
    let app = record.app()?;
    let daemons = settled_daemons(host, &app, &|unit, state| {
        report_wait(session, unit, state);
    })?;
    let units = &journal.units;
    let is_touched = |unit: &String| units.restarted.contains(unit) || units.stopped.contains(unit);
    // A service that was down before and was not touched is not checked, nor one whose condition is not
    // met.
    let is_of_services =
        journal.operation == Operation::Restart.word() || !journal.secrets.is_empty();
    let down = |(unit, state): &(String, UnitStatus)| {
        let is_down = state.phase().row().checked == Checked::IfStarted;
        let is_left_alone = is_down || is_of_services;
        state.is_skipped() || (is_left_alone && !is_touched(unit))
    };
    let checked: Vec<(String, UnitStatus)> =
        daemons.into_iter().filter(|daemon| !down(daemon)).collect();
    let state = &journal.state_before;
    let proof = Proof::of_good_release(record.public.unproved);
    verify(host, &app, checked, state, &proof, &session.trace)?;
    Ok(())
}

/// Marks the release as bad. Without the mark the next deploy only tries the release again, so an error
/// here does not stop the revert.
fn mark_failed(session: &Session<'_>, journal: &Journal, reason: &Failure) {
    let Some(id) = &journal.to else { return };
    let mark = || -> Result<()> {
        // A release that was good before stays good: what is wrong today may be the host.
        let release = session.store.public_release(id)?;
        if release.is_some_and(|release| release.mark != Mark::Good) {
            let why = reason.summary().to_owned();
            session.store.set_mark(id, Mark::Failed(why))?;
        }
        Ok(())
    };
    if let Err(error) = mark() {
        let text = format!("the release could not be marked as bad: {error:#}");
        session.emit("warning", "mark-failed", Subject::release(id), &text);
    }
}

/// Restores files, link and units.
pub(super) fn revert(session: &Session<'_>, journal: &Journal, mode: RevertMode) -> Result<()> {
    let host = session.host;
    let name = name_of(session)?;
    let layout = Layout::new(&name);
    let new_units = new_units(journal);
    let with_units = mode == RevertMode::Restart && !host.is_offline();
    if with_units {
        // Before their files are removed: a unit without a file can only be killed.
        let started = journal.units.started.iter();
        let started = started.filter(|_| journal.from.is_none());
        for unit in started.chain(&new_units) {
            host.systemd.stop(std::slice::from_ref(unit)).ok();
        }
        if journal.from.is_none() {
            host.systemd.stop(&[units::slice_unit(name.as_str())]).ok();
        }
    }
    let secrets = SecretFiles::new(&host.root, &layout);
    for name in &journal.secrets {
        secrets.restore(name)?;
    }
    switch::files_back(host, journal)?;
    // At boot, the file system of the releases may not be mounted yet.
    let is_final = mode == RevertMode::Restart;
    switch::link_back(host, &layout, journal, is_final)?;
    remove_temporaries(host, journal)?;
    if host.is_offline() {
        return Ok(());
    }
    configure(session, &name)?;
    let is_lost = is_lost(host, &layout, journal)?;
    if !is_lost {
        switch::restore_access(session, journal);
    }
    host.systemd.daemon_reload()?;
    // Without its release, no service would start again: what runs goes on.
    if with_units && !is_lost {
        // A unit that failed while it stopped would be listed forever.
        host.systemd.reset_failed(&new_units);
        restart_units(session, journal)?;
    }
    Ok(())
}

/// Whether the previous release was deleted, so that nothing can run it.
fn is_lost(host: &Host, layout: &Layout, journal: &Journal) -> Result<bool> {
    match (&journal.link, &journal.from) {
        (None, Some(id)) => Ok(!switch::has_release(host, layout, id)?),
        _ => Ok(false),
    }
}

/// Creates users and directories of the previous release again.
fn configure(session: &Session<'_>, name: &Name) -> Result<()> {
    let host = session.host;
    let sysusers = format!("{SYSUSERS_DIR}/{name}.conf");
    let tmpfiles = format!("{TMPFILES_DIR}/{name}.conf");
    for file in [&sysusers, &tmpfiles] {
        if host.root.meta(file)?.is_none() {
            continue;
        }
        let done = if *file == sysusers {
            host.systemd.sysusers(&host.root, file)
        } else {
            obstacles::create(session)
        };
        // The services must run again all the same; their checks report the rest.
        if let Err(error) = done {
            let text = format!("{error:#}");
            session.emit("warning", "configure-failed", Subject::default(), &text);
        }
    }
    Ok(())
}

/// Removes temporary files beside those of the change. Other apps have files in the same directories,
/// so nothing else is removed.
fn remove_temporaries(host: &Host, journal: &Journal) -> Result<()> {
    for change in &journal.files {
        if let Some((dir, name)) = change.path.rsplit_once('/') {
            host.root.remove_temporaries(dir, |target| target == name)?;
            switch::drop_if_empty(host, dir)?;
        }
    }
    Ok(())
}

/// Units whose files only the new release has. A unit that the release merely enables existed before.
fn new_units(journal: &Journal) -> Vec<String> {
    let created = journal.files.iter();
    let created = created.filter(|change| change.before.is_none());
    let names = created.filter_map(|change| UnitFile::parse(&change.path)?.main());
    let is_unit = |name: &&str| unit_type(name).is_some() && !is_templated(name);
    names.filter(is_unit).map(str::to_owned).collect()
}

/// What a unit needs to run the previous release again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restart {
    /// It runs the right release from unchanged files.
    Nothing,
    /// A target: start it alone, because the administrator may have stopped services.
    StartAlone,
    /// A socket: stop the services that hold it, then start it.
    Reopen,
    /// A service or a timer.
    Plain,
}

impl Restart {
    fn of(unit: &str, is_right: bool, is_rewritten: bool) -> Self {
        if is_right && !is_rewritten {
            Self::Nothing
        } else if unit.ends_with(".target") {
            Self::StartAlone
        } else if unit.ends_with(".socket") {
            Self::Reopen
        } else {
            Self::Plain
        }
    }
}

/// Brings units back to the previous release: those that run another one, and those that are down. When
/// the previous release is not known, all units that were touched restart.
fn restart_units(session: &Session<'_>, journal: &Journal) -> Result<()> {
    let systemd = &session.host.systemd;
    let units = &journal.units;
    let from = release_before(session, journal);
    if from.is_none() && journal.link.is_none() {
        return Ok(());
    }
    free_addresses(systemd, &units.rebound)?;
    let mut wrong = Vec::new();
    for unit in units.handed_over.iter().map(|one| &one.unit) {
        if what_it_needs(session, journal, unit, from.as_ref())? == Restart::Plain {
            wrong.push(unit.clone());
        }
    }
    let restored = restore(session, journal, &wrong)?;
    // Those that were kept may have started from the new release by themselves.
    let others = units.stopped.iter().chain(&units.restarted);
    let others = others.chain(&units.kept);
    for unit in others.filter(|unit| !restored.contains(*unit)) {
        restart_unit(session, journal, unit, from.as_ref())?;
    }
    Ok(())
}

/// What a unit needs to run the previous release, `from`.
fn what_it_needs(
    session: &Session<'_>,
    journal: &Journal,
    unit: &str,
    from: Option<&String>,
) -> Result<Restart> {
    let state = session.host.systemd.show_one(unit)?;
    if !state.is_loaded() {
        return Ok(Restart::Nothing);
    }
    let runs = release_of_unit(&state, &session.app);
    let mut files = journal
        .files
        .iter()
        .filter_map(|change| UnitFile::parse(&change.path));
    // A service that has started since has the value of a secret that is no longer in use.
    let has_other_secret = !journal.secrets.is_empty();
    let is_rewritten = files.any(|file| file.unit == unit) || has_other_secret;
    let before = &journal.state_before;
    let prefix = format!("{}-", session.app);
    let service = units::stem(unit).strip_prefix(&prefix).unwrap_or_default();
    // `from` is also known where no release is recorded as live.
    let starts_from = before.pins.get(service).or(from);
    let is_handed_over = journal.units.is_handed_over(unit);
    let may_run = match &runs {
        Ok(id) => starts_from == Some(id) || before.may_run(service, id),
        // What is not a service runs no release, and a proxy does not either.
        Err(Undetermined::NoProcess) if !is_handed_over => true,
        Err(Undetermined::NoMount) if !is_handed_over && is_proxy(unit) => true,
        // It may be the new release, and only a restart shows it.
        Err(_) => starts_from.is_none(),
    };
    // A process in a scope ends with it, and a dummy process runs no release.
    let is_up = match is_handed_over {
        true => runs_its_own_process(&state),
        false => state.is_active(),
    };
    let is_right = is_up && may_run;
    Ok(Restart::of(unit, is_right, is_rewritten))
}

fn is_proxy(unit: &str) -> bool {
    units::stem(unit).ends_with(PROXY_SUFFIX)
}

fn restart_unit(
    session: &Session<'_>,
    journal: &Journal,
    unit: &String,
    from: Option<&String>,
) -> Result<()> {
    let systemd = &session.host.systemd;
    let state = systemd.show_one(unit)?;
    if !state.is_loaded() {
        return Ok(());
    }
    reopen_failed_sockets(systemd, &state)?;
    let this = std::slice::from_ref(unit);
    systemd.reset_failed(this);
    match what_it_needs(session, journal, unit, from)? {
        Restart::Nothing => Ok(()),
        Restart::StartAlone => systemd.start_alone(this),
        Restart::Reopen => {
            systemd.stop(&socket_and_users(systemd, unit)?)?;
            systemd.start(this)
        }
        Restart::Plain => {
            // The other units restart all the same; the checks that follow report this one.
            let restarted = obstacles::start_again(session, || systemd.restart(this));
            if let Err(error) = restarted {
                let subject = Subject {
                    release: from.map(String::as_str),
                    unit: Some(unit),
                };
                session.emit("warning", "restart-failed", subject, &format!("{error:#}"));
            }
            Ok(())
        }
    }
}

/// Opens the sockets of a service again that failed because the service crashed at every request
/// (systemd.socket(5), "TriggerLimitBurst=").
fn reopen_failed_sockets(systemd: &Systemd, state: &UnitStatus) -> Result<()> {
    let sockets = state.triggered_by.iter();
    for socket in sockets.filter(|name| name.ends_with(".socket")) {
        if systemd.show_one(socket)?.is_failed() {
            // systemd does not open a socket while its service runs.
            let units = socket_and_users(systemd, socket)?;
            systemd.stop(&units).ok();
            systemd.reset_failed(&units);
            systemd.start(std::slice::from_ref(socket))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Restart, new_units};
    use crate::store::{FORMAT, Journal, State, Step, UnitChanges};
    use crate::tree::{FileChange, Stored};

    #[test]
    fn a_unit_that_runs_the_right_release_is_not_touched() {
        for (unit, right, rewritten, wanted) in [
            ("shop-web.service", true, false, Restart::Nothing),
            ("shop-web.service", true, true, Restart::Plain),
            ("shop-web.service", false, false, Restart::Plain),
            ("shop-web.socket", false, true, Restart::Reopen),
            ("shop.target", false, false, Restart::StartAlone),
        ] {
            assert_eq!(Restart::of(unit, right, rewritten), wanted, "{unit}");
        }
    }

    #[test]
    fn only_units_that_came_with_the_change_are_stopped() {
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
            // Units that existed or are removed, and a template.
            (format!("{units}/shop-api.service"), file(), file()),
            (format!("{units}/shop-old.service"), file(), None),
            (format!("{units}/shop-web@.service"), None, file()),
            // Links that enable a unit, drop-ins, and files that are not units.
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
            is_of_settings: false,
            secrets: Vec::new(),
            purge: false,
            state_before: State::default(),
            state_after: State::default(),
        };
        assert_eq!(
            new_units(&journal),
            [
                "shop-web.service",
                "shop-web.socket",
                "shop-job.timer",
                "shop.target"
            ]
        );
    }
}
