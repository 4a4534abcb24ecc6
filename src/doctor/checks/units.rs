//! The states of units.

use super::release::previous;
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::health::{cause_failure, cause_text, explanation, in_words, log_of};
use crate::host::{
    ActiveState, MainExit, Phase, PhaseRow, Reported, RunLog, UnitResult, UnitStatus,
};
use crate::render::ReleaseMount;
use crate::safe_fix::SafeFix;
use crate::stability::unstable_among;
use crate::store::{PublicUnit, StoppedUnits, UnitRole};
use crate::transient::leftovers::transient_units;
use crate::units::WantsLink;
use anyhow::Result;
use std::collections::BTreeSet;

pub(in crate::doctor) fn units(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let tree = context.content.iter();
    let links = tree.flat_map(|(_, tree)| tree.paths().filter_map(WantsLink::parse));
    let linked: BTreeSet<String> = links.map(|link| link.unit.to_owned()).collect();
    let mut found = Vec::new();
    for unit in &context.release.units {
        let state = context.units.state(&unit.unit)?;
        found.extend(unit_state(
            context,
            unit,
            state,
            linked.contains(&unit.unit),
        )?);
        if is_outdated(state) {
            let finding = Finding::new(
                Severity::Warning,
                format!(
                    "`{}` changed on disk, and systemd still uses the old version",
                    unit.unit
                ),
                daemon_reload(),
            );
            found.push(finding.safely([SafeFix::ReloadUnits]));
        }
    }
    Ok(found)
}

/// Whether systemd uses an old version of a unit. Of a masked one it says so after each reload, too.
fn is_outdated(state: &UnitStatus) -> bool {
    state.need_daemon_reload && !state.is_masked()
}

fn daemon_reload() -> Hint {
    Hint::to(
        "reload the unit files",
        CommandLine::sudo(["systemctl", "daemon-reload"]),
    )
}

/// What the log of a unit says about the cause, after a semicolon. Only root can read the log.
fn why_it_ended(context: &CheckContext<'_>, unit: &str) -> String {
    let log = context
        .content
        .map(|(app, _)| log_of(context.host, app, unit));
    log.map_or_else(String::new, |log| what_it_says(context, unit, &log))
}

fn what_it_says(context: &CheckContext<'_>, unit: &str, log: &RunLog) -> String {
    let known = context.content.and_then(|(app, _)| {
        let service = app.service_of(unit)?;
        let pin = context.state.pins.get(service.name.as_str());
        let mount = pin.map_or(ReleaseMount::Current, |id| ReleaseMount::Pinned(id));
        explanation(context.host, app, (service, mount), log)
    });
    known.map_or_else(String::new, |known| format!("; {}", in_words(&known)))
}

/// How the last run of a unit that systemd restarts ended.
pub(super) struct LastRun {
    /// That, and what its log says about the cause, each after a semicolon.
    pub(super) text: String,
    /// Whether the host is to blame, so that no other release would do better.
    pub(super) is_of_host: bool,
}

/// How the last run of a unit that systemd restarts ended. The log, which only root can read, also knows it while the
/// next run goes on.
pub(super) fn how_it_ended(context: &CheckContext<'_>, state: &UnitStatus) -> LastRun {
    let log = context
        .content
        .map(|(app, _)| log_of(context.host, app, &state.id));
    let end = state.main_exit.or_else(|| log.as_ref()?.last_end());
    let ended = end.map(|end| with_end(state, end));
    let mut text = ended
        .as_ref()
        .map_or_else(String::new, |ended| format!("; {}", cause_text(ended)));
    if let Some(log) = log {
        text.push_str(&what_it_says(context, &state.id, &log));
    }
    LastRun {
        text,
        is_of_host: is_of_host(ended.as_ref().unwrap_or(state)),
    }
}

/// Whether the host is to blame for the end of a unit.
fn is_of_host(state: &UnitStatus) -> bool {
    cause_failure(state).host_cause().is_some()
}

/// The status of a unit whose run has ended. `state` may be that of the next run already.
fn with_end(state: &UnitStatus, end: MainExit) -> UnitStatus {
    let result = match (state.main_exit, end) {
        (Some(_), _) => state.result.clone(),
        (None, MainExit::Exited(0)) => UnitResult::Success,
        (None, MainExit::Exited(_)) => UnitResult::ExitCode,
        (None, MainExit::Killed(_)) => UnitResult::Signal,
    };
    UnitStatus {
        active_state: ActiveState::Inactive,
        result,
        main_exit: Some(end),
        ..UnitStatus::default()
    }
}

/// How to start a unit that has failed. systemd refuses a start while it was started too often, until somebody resets
/// it (systemd.unit(5), `StartLimitIntervalSec=`).
pub(super) fn start_again(unit: &str) -> [Hint; 2] {
    let systemctl = |verb| CommandLine::sudo(["systemctl", verb, unit]);
    [
        Hint::to("then let systemd start it again", systemctl("reset-failed")),
        Hint::to("and start it", systemctl("restart")),
    ]
}

/// How to make the previous release live, if there is one.
pub(super) fn or_roll_back(context: &CheckContext<'_>) -> Option<Hint> {
    let previous = previous(context)?;
    let rollback = CommandLine::sudo_robotctl(["rollback"]);
    let text = format!("or restore the previous release, {previous}");
    Some(Hint::to(text, rollback))
}

/// Whether the service of a unit runs: a socket cannot be opened again without stopping it.
pub(super) fn is_served(context: &CheckContext<'_>, service: &str) -> Result<bool> {
    for unit in &context.release.units {
        let is_service = matches!(unit.role, UnitRole::Daemon | UnitRole::Job);
        if is_service && unit.service == service && !context.units.state(&unit.unit)?.is_down() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is safe to do about a unit that has failed. `is_served` says whether its service runs. Nothing shows that a
/// job works but its next run, which may be far away: its failure stays until then.
fn after_failure(unit: &PublicUnit, state: &UnitStatus, is_served: bool) -> Option<SafeFix> {
    let name = unit.unit.clone();
    let is_wanted = is_wanted(unit, state) && state.unit_file_state != "disabled";
    match unit.role {
        UnitRole::Socket if is_wanted && !is_served => Some(SafeFix::OpenSocket { unit: name }),
        UnitRole::Socket if is_served => None,
        UnitRole::Job => None,
        _ => Some(SafeFix::ResetFailed {
            unit: name,
            failure: state.result.to_string(),
        }),
    }
}

/// Whether the manifest starts a unit with the app, or the administrator has enabled it.
fn is_wanted(unit: &PublicUnit, state: &UnitStatus) -> bool {
    unit.enabled || state.is_enabled()
}

/// `is_linked` says that the release has a link that starts the unit at boot.
fn unit_state(
    context: &CheckContext<'_>,
    unit: &PublicUnit,
    state: &UnitStatus,
    is_linked: bool,
) -> Result<Option<Finding>> {
    if !state.is_masked() && state.is_failed() {
        let safe = after_failure(unit, state, is_served(context, &unit.service)?);
        return Ok(Some(failed(context, unit, state).safely(safe)));
    }
    let phase = state.phase();
    let is_settled = matches!(phase, Phase::Up | Phase::Down | Phase::Restarting);
    // The check `restarts` reports one that systemd restarts again and again.
    let since = context.state.live_since();
    if !is_settled && !unstable_among(context.host, &[state], since).is_empty() {
        return Ok(None);
    }
    if phase == Phase::BetweenRuns {
        return Ok(Some(restarting(context, state)));
    }
    if let Some(since) = stopped_since(context, state).filter(|_| is_wanted(unit, state)) {
        return Ok(Some(stopped_by_command(unit, &since)));
    }
    if is_wanted(unit, state)
        && let Some(other) = running_conflict(context, state)?
    {
        return Ok(Some(kept_down(state, &other)));
    }
    Ok(down_or_disabled(unit, state, is_linked))
}

/// When someone stopped a unit with `robotctl stop`, if it is down since then.
pub(super) fn stopped_since(context: &CheckContext<'_>, state: &UnitStatus) -> Option<String> {
    let stopped = StoppedUnits::read(&context.host.root, context.name);
    stopped.since(state).map(str::to_owned)
}

/// A unit that someone has stopped with `robotctl stop`.
fn stopped_by_command(unit: &PublicUnit, since: &str) -> Finding {
    Finding::new(
        Severity::Note,
        format!(
            "`{}` was stopped with `robotctl stop` at {since}",
            unit.unit
        ),
        Hint::to(
            "if it should run",
            CommandLine::sudo_robotctl(["start", &unit.service]),
        ),
    )
}

/// A unit between two runs.
fn restarting(context: &CheckContext<'_>, state: &UnitStatus) -> Finding {
    let read = CommandLine::sudo(["journalctl", "-u", &state.id, "-n", "50"]);
    let ended = how_it_ended(context, state);
    let message = format!(
        "`{}` ended, and systemd is about to restart it{}",
        state.id, ended.text
    );
    let mut finding = Finding::new(
        Severity::Warning,
        message,
        Hint::to("read why it ended", read),
    );
    if !ended.is_of_host {
        finding.fix.extend(or_roll_back(context));
    }
    finding
}

/// A unit of the app that runs and conflicts with a unit.
pub(super) fn running_conflict(
    context: &CheckContext<'_>,
    state: &UnitStatus,
) -> Result<Option<String>> {
    let units = context.units.all()?;
    let up = units.filter(|(_, other)| !other.is_down());
    let found = state.conflict_among(up.map(|(name, _)| name));
    Ok(found.map(str::to_owned))
}

/// A unit that is down because another one was chosen.
fn kept_down(state: &UnitStatus, other: &str) -> Finding {
    let name = &state.id;
    let start = CommandLine::sudo(["systemctl", "start", name]);
    Finding::new(
        Severity::Note,
        format!(
            "`{name}` is {}: it conflicts with `{other}`, which runs",
            state.active_state
        ),
        Hint::to(format!("to run it in place of `{other}`"), start),
    )
}

fn down_or_disabled(unit: &PublicUnit, state: &UnitStatus, is_linked: bool) -> Option<Finding> {
    let name = &unit.unit;
    let systemctl = |verb: &str| CommandLine::sudo(["systemctl", verb, name]);
    if state.is_masked() {
        return Some(Finding::new(
            Severity::Note,
            format!("`{name}` is masked by the administrator"),
            Hint::to("if it should run", systemctl("unmask")),
        ));
    }
    if !state.is_loaded() {
        let message = format!("systemd does not know `{name}`");
        let finding = Finding::new(Severity::Error, message, daemon_reload());
        return Some(finding.safely([SafeFix::ReloadUnits]));
    }
    let is_disabled = state.unit_file_state == "disabled";
    // A job waits for its timer.
    let should_run = is_wanted(unit, state) && unit.role != UnitRole::Job;
    if !should_run || state.is_active() {
        // The administrator decides what starts at boot.
        return (is_disabled && is_linked && unit.enabled).then(|| {
            let message = format!("`{name}` is disabled: it does not start at the next boot");
            let enable = Hint::to("if it should", systemctl("enable"));
            Finding::new(Severity::Note, message, enable)
        });
    }
    if state.is_skipped() {
        let mut finding = Finding::new(
            Severity::Note,
            format!("`{name}` was not started: its condition is not met"),
            Hint::to(
                "see which one",
                CommandLine::new(["systemctl", "status", name]),
            ),
        );
        finding
            .fix
            .push(Hint::to("when it is met", systemctl("start")));
        return Some(finding);
    }
    if is_disabled {
        let start = CommandLine::sudo(["systemctl", "enable", "--now", name]);
        return Some(Finding::new(
            Severity::Note,
            format!("`{name}` is {} and disabled", state.active_state),
            Hint::to("if it should run", start),
        ));
    }
    let row = state.phase().row();
    if row.phase != Phase::Down {
        return in_between(name, row);
    }
    Some(Finding::new(
        Severity::Warning,
        format!("`{name}` is {}", state.active_state),
        Hint::to("if it should run", systemctl("start")),
    ))
}

/// What a unit that is neither up nor down does.
fn in_between(name: &str, row: &PhaseRow) -> Option<Finding> {
    let severity = match row.reported {
        Reported::Nothing => return None,
        Reported::Note => Severity::Note,
        Reported::Warning => Severity::Warning,
        Reported::Error => Severity::Error,
    };
    let see = CommandLine::new(["systemctl", "status", name]);
    Some(Finding::new(
        severity,
        format!("`{name}` is not up: {}", row.words),
        Hint::to("see what it does", see),
    ))
}

/// A unit that has failed. A job keeps that state until it runs again, also after a release that made it
/// fail is no longer live.
fn failed(context: &CheckContext<'_>, unit: &PublicUnit, state: &UnitStatus) -> Finding {
    let name = &unit.unit;
    let read = CommandLine::sudo(["journalctl", "-u", name, "-n", "50"]);
    let mut finding = Finding::new(
        Severity::Error,
        format!(
            "`{name}` has failed: {}{}",
            cause_failure(state),
            why_it_ended(context, name)
        ),
        Hint::to("read why", read),
    );
    match unit.role {
        UnitRole::Job => finding.fix.push(Hint::to(
            "then run the job again",
            CommandLine::sudo(["systemctl", "start", name]),
        )),
        _ => finding.fix.extend(start_again(name)),
    }
    if unit.role == UnitRole::Daemon && !is_of_host(state) {
        finding.fix.extend(or_roll_back(context));
    }
    finding
}

/// Units of a pre-check or of an overlap. Only a running command needs them.
pub(in crate::doctor) fn leftovers(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let names = transient_units(context.host, context.name.as_str())?;
    if names.is_empty() || context.store.lock_holder().is_some() {
        return Ok(Vec::new());
    }
    let verb = if names.len() == 1 { "was" } else { "were" };
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("{} {verb} left by a killed command", names.join(", "));
    let fix = Hint::to(
        "stop and remove what is left",
        CommandLine::sudo_robotctl(["recover"]),
    );
    Ok(vec![Finding::new(Severity::Warning, message, fix)])
}

#[cfg(test)]
mod tests {
    use super::{after_failure, is_of_host, is_outdated, with_end};
    use crate::host::{LoadState, MainExit, UnitStatus};
    use crate::safe_fix::SafeFix;
    use crate::store::{PublicUnit, UnitRole};

    #[test]
    fn the_failure_of_a_job_is_not_cleared() {
        let state = UnitStatus::default();
        let after = |role| {
            let unit = PublicUnit {
                unit: "shop-backup.service".into(),
                service: "backup".into(),
                role,
                enabled: true,
            };
            after_failure(&unit, &state, false)
        };
        assert_eq!(after(UnitRole::Job), None);
        let daemon = after(UnitRole::Daemon);
        assert!(matches!(daemon, Some(SafeFix::ResetFailed { .. })));
    }

    #[test]
    fn another_release_does_not_help_where_the_host_is_to_blame() {
        let state = UnitStatus::default();
        // 217/USER: its user does not exist.
        for (status, expected) in [(217, true), (1, false), (203, false)] {
            let ended = with_end(&state, MainExit::Exited(status));
            assert_eq!(is_of_host(&ended), expected, "{status}");
        }
    }

    #[test]
    fn a_masked_unit_is_not_outdated() {
        let of = |load_state| {
            is_outdated(&UnitStatus {
                load_state,
                need_daemon_reload: true,
                ..UnitStatus::default()
            })
        };
        assert!(of(LoadState::Loaded));
        assert!(!of(LoadState::Masked));
    }
}
