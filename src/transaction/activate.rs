//! Units, forward: they are handed over, started and restarted after the switch.

use super::handover;
use super::obstacles;
use crate::app::{App, PROXY_SUFFIX};
use crate::events::Subject;
use crate::health::{cause_failure, explained, log_of, no_answer};
use crate::host::{Systemd, UnitStatus, interrupted};
use crate::plan::{Action, Plan};
use crate::render::ReleaseMount;
use crate::session::Session;
use crate::store::Handover;
use crate::transient::leftovers::remove_leftovers;
use crate::units;
use anyhow::{Result, anyhow, ensure};

/// Hands services over and starts and restarts units, as the plan says. `planned` is what the journal says of the
/// handover.
pub(super) fn activate_units(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    planned: &[Handover],
) -> Result<()> {
    if session.host.is_offline() {
        return Ok(()); // Nothing runs below `--root`; the enablement links start units at boot.
    }
    let systemd = &session.host.systemd;
    let rebound = plan.units_with(&[Action::Rebind]);
    free_addresses(systemd, &rebound)?;
    let handed_over = handover::begin(session, plan, app, planned);
    // Five starts within ten seconds would fail a unit (systemd.unit(5), "StartLimitBurst="), and its
    // socket with it.
    let begun = plan.units.iter().filter(|one| one.action.starts());
    systemd.reset_failed(&begun.map(|one| one.unit.clone()).collect::<Vec<_>>());
    fail_if_interrupted()?;
    // All in one call: systemd restarts a unit once, although the units that it requires restart, too.
    let restarted = plan.units_with(&[Action::Restart, Action::Overlap]);
    restart(session, app, &restarted)?;
    start(
        session,
        app,
        &plan.units_with(&[Action::Start, Action::Rebind]),
    )?;
    report(session, plan);
    if let Some(unit) = handover::wait_ready(session.host, app, &handed_over) {
        let down = Err(anyhow!("`{unit}` went down again"));
        return explain_failure(session, app, &unit, down);
    }
    // The previous release goes on while the next one does not wait for connections.
    fail_if_interrupted()?;
    handover::drain_previous(session, &handed_over);
    close_sockets_of_skipped(systemd, app)?;
    if let Err(error) = remove_leftovers(session.host, &session.app) {
        // Not the fault of the release. The next command tries again.
        let text = format!("leftovers are still there: {error:#}");
        session.emit("warning", "cleanup-failed", Subject::default(), &text);
    }
    Ok(())
}

/// Restarts the sockets of services that systemd did not start, because a condition is not met: the sockets
/// have the same condition. An open one would start its service again with every request, until systemd
/// gives up and the socket fails.
fn close_sockets_of_skipped(systemd: &Systemd, app: &App) -> Result<()> {
    for service in app.services.iter().filter(|one| !one.conditions.is_empty()) {
        let sockets = app.socket_units(service);
        if sockets.is_empty() || !systemd.show_one(&app.unit(service))?.is_skipped() {
            continue;
        }
        if systemd.show(&sockets)?.iter().any(UnitStatus::is_active) {
            systemd.restart(&sockets)?;
        }
    }
    Ok(())
}

/// A wait that the user interrupts ends without a result.
fn fail_if_interrupted() -> Result<()> {
    ensure!(!interrupted(), "it was interrupted");
    Ok(())
}

/// Sends an event for each unit that was started or restarted.
fn report(session: &Session<'_>, plan: &Plan) {
    for unit in plan.units.iter().filter(|unit| unit.action.starts()) {
        let subject = Subject {
            release: Some(&plan.to),
            unit: Some(&unit.unit),
        };
        let message = format!("{} `{}`: {}", unit.action.word(), unit.unit, unit.why);
        session.emit("info", unit.action.word(), subject, &message);
    }
}

/// Stops units whose addresses move to other units, because one may hold what another binds.
pub(super) fn free_addresses(systemd: &Systemd, units: &[String]) -> Result<()> {
    let states = systemd.show(units)?;
    let loaded = units.iter().zip(states).filter(|(_, one)| one.is_loaded());
    let mut stopped = Vec::new();
    for (unit, _) in loaded {
        if unit.ends_with(".socket") {
            stopped.extend(socket_and_users(systemd, unit)?);
        } else {
            stopped.push(unit.clone());
        }
    }
    // Units that require them keep running, whether of this app or of another.
    systemd.stop_alone(&stopped)
}

/// A socket and the units that hold it open, in the order in which they stop. The socket cannot be
/// bound again while its service runs.
pub(super) fn socket_and_users(systemd: &Systemd, socket: &str) -> Result<Vec<String>> {
    let triggers = systemd.show_one(socket)?.triggers;
    let service = triggers.into_iter().next().unwrap_or_default();
    let mut out = Vec::new();
    // The server behind a proxy stops with the proxy.
    if let Some(stem) = units::stem(&service).strip_suffix(PROXY_SUFFIX) {
        out.extend([service.clone(), format!("{stem}.service")]);
    } else if !service.is_empty() {
        out.push(service);
    }
    out.push(socket.to_owned());
    Ok(out)
}

fn start(session: &Session<'_>, app: &App, units: &[String]) -> Result<()> {
    let started = obstacles::start_again(session, || session.host.systemd.start(units));
    explain_first(session, app, units, started)
}

fn restart(session: &Session<'_>, app: &App, units: &[String]) -> Result<()> {
    let restarted = obstacles::start_again(session, || session.host.systemd.restart(units));
    explain_first(session, app, units, restarted)
}

/// Explains why units did not start, from the first one that is down: those that require it come after it.
fn explain_first(
    session: &Session<'_>,
    app: &App,
    units: &[String],
    result: Result<()>,
) -> Result<()> {
    let Err(error) = result else {
        return Ok(());
    };
    let states = session.host.systemd.show(units);
    let states = states.map_err(|error| no_answer(&error))?;
    let mut down = units.iter().zip(states);
    match down.find(|(_, state)| !state.is_active()) {
        Some((unit, _)) => explain_failure(session, app, unit, Err(error)),
        None => Err(error),
    }
}

/// Adds to the error of a unit that did not start why systemd says it ended, and its last lines.
fn explain_failure(session: &Session<'_>, app: &App, unit: &str, result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let Ok(state) = session.host.systemd.show_one(unit) else {
        let detail = format!("{error:#}");
        return Err(no_answer(&error).with_detail(detail).into());
    };
    let log = log_of(session.host, app, unit);
    let failure = explained(
        session.host,
        app,
        (app.service_of(unit), ReleaseMount::Current),
        cause_failure(&state),
        &log,
    );
    Err(failure.after(&format!("`{unit}` did not start")).into())
}
