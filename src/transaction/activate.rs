//! Units, forward: stand-ins start before the switch, units restart after it, in dependency order.

use crate::app::{App, PROXY_SUFFIX, Service};
use crate::events::Subject;
use crate::failure::Failure;
use crate::health::{self, cause_text};
use crate::host::Systemd;
use crate::plan::{Action, Plan, UnitPlan};
use crate::sandbox::explain::with_advice;
use crate::session::Session;
use crate::transient::drop_ins::local_drop_ins;
use crate::transient::leftovers::remove_leftovers;
use crate::tree::FileTree;
use crate::units;
use anyhow::{Result, anyhow};

/// The services that overlap.
fn overlapping<'a>(plan: &'a Plan, app: &'a App) -> impl Iterator<Item = &'a Service> {
    let units = plan.units.iter();
    let overlaps = units.filter(|unit| unit.action == Action::Overlap);
    overlaps.filter_map(|unit| app.service(unit.service.as_deref()?))
}

/// The stand-ins that the plan will start.
pub(super) fn standins(plan: &Plan, app: &App) -> Vec<String> {
    let services = overlapping(plan, app);
    let pairs = services.flat_map(|service| app.standins(service, &plan.to));
    pairs.map(|(standin, _)| standin).collect()
}

/// Starts the stand-ins on the new release. From then on, both releases answer.
pub(super) fn start_stand_ins(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    let units = standins(plan, app);
    if units.is_empty() {
        return Ok(());
    }
    copy_local_drop_ins(session, plan, app)?;
    session.host.systemd.reset_failed(&units);
    start(session, &units)?;
    for service in overlapping(plan, app) {
        let unit = app.standin_unit(service, &plan.to);
        wait_ready(session, service, &unit, &app.unit(service))?;
        let subject = Subject {
            release: Some(&plan.to),
            unit: Some(&unit),
        };
        let message = format!("`{unit}` answers on the new release");
        session.emit("info", "standing-in", subject, &message);
    }
    Ok(())
}

/// Copies the administrator's drop-ins of a service to its stand-in. They are in `/run` until the
/// stand-in is removed.
fn copy_local_drop_ins(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    let mut tree = FileTree::default();
    let pairs = overlapping(plan, app).flat_map(|service| app.standins(service, ""));
    for (template, unit) in pairs {
        let copies = local_drop_ins(session.host, &session.app, &unit, &template)?;
        for (path, entry) in copies.iter() {
            tree.insert(path.to_owned(), entry.clone());
        }
    }
    if tree.is_empty() {
        return Ok(());
    }
    session.host.root.put_tree(&tree)?;
    let files: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
    session
        .host
        .systemd
        .reload_if_needed(&standins(plan, app), &files)
}

/// Starts and restarts units as the plan says, then stops the stand-ins.
pub(super) fn activate_units(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    if session.host.is_offline() {
        return Ok(()); // Nothing runs below `--root`; the enablement links start units at boot.
    }
    let systemd = &session.host.systemd;
    let rebound = plan.units.iter().filter(|one| one.action == Action::Rebind);
    let rebound: Vec<String> = rebound.map(|one| one.unit.clone()).collect();
    free_addresses(systemd, &rebound)?;
    // Five starts within ten seconds would fail a unit (systemd.unit(5), "StartLimitBurst="), and its
    // socket with it.
    let begun = plan.units.iter().filter(|one| one.action.starts());
    systemd.reset_failed(&begun.map(|one| one.unit.clone()).collect::<Vec<_>>());
    let mut restarted: Vec<&str> = Vec::new();
    for unit in &plan.units {
        let name = std::slice::from_ref(&unit.unit);
        let service = unit.service.as_deref().unwrap_or_default();
        match unit.action {
            Action::Unchanged | Action::Stop => continue,
            // A proxy requires its server, so systemd has restarted it with the server.
            Action::Restart if restarted.contains(&service) => start(session, name)?,
            Action::Start | Action::Rebind => start(session, name)?,
            Action::Restart | Action::Overlap => {
                // systemd has restarted it with every service that it requires.
                if app
                    .service(service)
                    .is_some_and(|one| !one.requires.is_empty())
                {
                    systemd.reset_failed(name);
                }
                restart(session, unit)?;
                restarted.push(service);
            }
        }
        let subject = Subject {
            release: Some(&plan.to),
            unit: Some(&unit.unit),
        };
        let message = format!("{} `{}`: {}", unit.action.word(), unit.unit, unit.why);
        session.emit("info", unit.action.word(), subject, &message);
    }
    for service in overlapping(plan, app) {
        let standin = app.standin_unit(service, &plan.to);
        wait_ready(session, service, &app.unit(service), &standin)?;
    }
    let units = standins(plan, app);
    systemd.stop(&units)?;
    if let Err(error) = remove_leftovers(session.host, &session.app) {
        // Not the fault of the release. The next command tries again.
        let text = format!("leftovers are still there: {error:#}");
        session.emit("warning", "cleanup-failed", Subject::default(), &text);
    }
    Ok(())
}

/// Stops units whose addresses move to other units, because one may hold what another binds.
pub(super) fn free_addresses(systemd: &Systemd, units: &[String]) -> Result<()> {
    let states = systemd.show(units)?;
    let loaded = units.iter().zip(states).filter(|(_, one)| one.is_loaded());
    let (mut held_open, mut alone) = (Vec::new(), Vec::new());
    for (unit, _) in loaded {
        if unit.ends_with(".socket") {
            held_open.extend(socket_and_users(systemd, unit)?);
        } else {
            alone.push(unit.clone());
        }
    }
    // All in one call: no request can start a service again before its socket is closed, and the
    // units stop at the same time.
    systemd.stop(&held_open)?;
    // Units that require them keep running, whether of this app or of another.
    systemd.stop_alone(&alone)
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

/// Waits until as many processes of `unit` wait for connections as of `other`, which stops then.
fn wait_ready(session: &Session<'_>, service: &Service, unit: &str, other: &str) -> Result<()> {
    if health::wait_ready(session.host, service, unit, other)? {
        Ok(())
    } else {
        explain_failure(session, unit, Err(anyhow!("`{unit}` went down again")))
    }
}

fn start(session: &Session<'_>, units: &[String]) -> Result<()> {
    for unit in units {
        let result = session.host.systemd.start(std::slice::from_ref(unit));
        explain_failure(session, unit, result)?;
    }
    Ok(())
}

fn restart(session: &Session<'_>, unit: &UnitPlan) -> Result<()> {
    let result = session
        .host
        .systemd
        .restart(std::slice::from_ref(&unit.unit));
    explain_failure(session, &unit.unit, result)
}

/// Adds to the error of a unit that did not start why systemd says it ended, and its last lines.
fn explain_failure(session: &Session<'_>, unit: &str, result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let Ok(state) = session.host.systemd.show_one(unit) else {
        return Err(error);
    };
    let lines = session.host.systemd.last_lines(unit, 8);
    let cause = cause_text(&state);
    let detail = with_advice(cause.clone(), &lines);
    let failure = Failure::new(cause, detail).after(&format!("`{unit}` did not start"));
    Err(failure.with_lines(&lines).into())
}
