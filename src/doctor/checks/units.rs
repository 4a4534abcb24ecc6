//! Units, and the addresses that they hold.

use super::findings;
use crate::app::{App, Listen};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::health::{cause_failure, explanation, in_words};
use crate::host::{PortUse, UnitStatus};
use crate::prerequisites::unusable_addresses;
use crate::safe_fix::SafeFix;
use crate::store::{PublicUnit, UnitRole};
use crate::transient::leftovers::transient_units;
use crate::units::{UnitType, unit_type};
use anyhow::Result;

pub(in crate::doctor) fn units(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let units = &context.release.units;
    let names: Vec<String> = units.iter().map(|unit| unit.unit.clone()).collect();
    let states = context.host.systemd.show(&names)?;
    let mut found = Vec::new();
    for (unit, state) in units.iter().zip(&states) {
        let mut others = units.iter().zip(&states);
        let is_served = others.any(|(other, state)| is_served_by(other, unit, state));
        found.extend(unit_state(context, unit, state, is_served));
        if state.need_daemon_reload {
            found.push(
                Finding::new(
                    Severity::Warning,
                    format!(
                        "`{}` changed on disk, and systemd still uses the old version",
                        unit.unit
                    ),
                    daemon_reload(),
                )
                .safely([SafeFix::ReloadUnits]),
            );
        }
    }
    Ok(found)
}

/// What the log of a unit says about the cause, after a semicolon. Only root can read the log.
pub(super) fn why_it_ended(context: &CheckContext<'_>, unit: &str) -> String {
    let known = context.content.and_then(|(app, _)| {
        let service = app.service_of(unit)?;
        let log = context.host.systemd.run_log(unit);
        explanation(context.host, app, service, &log)
    });
    known.map_or_else(String::new, |known| format!("; {}", in_words(&known)))
}

fn daemon_reload() -> Hint {
    Hint::to(
        "reload the unit files",
        CommandLine::sudo(["systemctl", "daemon-reload"]),
    )
}

/// Whether a unit is of the service of a socket and not down: the socket cannot be opened again without
/// stopping it.
fn is_served_by(unit: &PublicUnit, socket: &PublicUnit, state: &UnitStatus) -> bool {
    let is_service = matches!(unit.role, UnitRole::Daemon | UnitRole::Job);
    is_service && unit.service == socket.service && !state.is_down()
}

/// What is safe to do about a unit that has failed. `is_served` says whether its service runs.
fn after_failure(unit: &PublicUnit, state: &UnitStatus, is_served: bool) -> Option<SafeFix> {
    let name = unit.unit.clone();
    let is_wanted = unit.enabled && state.unit_file_state != "disabled";
    match unit.role {
        UnitRole::Socket if is_wanted && !is_served => Some(SafeFix::OpenSocket { unit: name }),
        UnitRole::Socket if is_served => None,
        _ => Some(SafeFix::ResetFailed {
            unit: name,
            failure: state.result.to_string(),
        }),
    }
}

fn unit_state(
    context: &CheckContext<'_>,
    unit: &PublicUnit,
    state: &UnitStatus,
    is_served: bool,
) -> Option<Finding> {
    let name = &unit.unit;
    let systemctl = |verb: &str| CommandLine::sudo(["systemctl", verb, name]);
    if state.is_masked() {
        return Some(Finding::new(
            Severity::Warning,
            format!("`{name}` is masked by the administrator"),
            Hint::to("if it should run", systemctl("unmask")),
        ));
    }
    if state.is_failed() {
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
        finding.fix.push(Hint::to("then", systemctl("restart")));
        return Some(finding.safely(after_failure(unit, state, is_served)));
    }
    if !state.is_loaded() {
        let message = format!("systemd does not know `{name}`");
        let finding = Finding::new(Severity::Error, message, daemon_reload());
        return Some(finding.safely([SafeFix::ReloadUnits]));
    }
    // A job waits for its timer.
    let should_run = unit.enabled && unit.role != UnitRole::Job;
    if !should_run || state.is_active() {
        return None;
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
    let start = if state.unit_file_state == "disabled" {
        CommandLine::sudo(["systemctl", "enable", "--now", name])
    } else {
        systemctl("start")
    };
    Some(Finding::new(
        Severity::Warning,
        format!("`{name}` is {}", state.active_state),
        Hint::to("if it should run", start),
    ))
}

pub(in crate::doctor) fn ports(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let mut found = findings(unusable_addresses(context.host, app)?);
    for service in app.services.iter().filter(|service| service.enable) {
        let units = if service.has_socket_unit() {
            app.sockets_by_address(service)
        } else {
            vec![app.unit(service); service.listen.len()]
        };
        for (listen, unit) in service.listen.iter().zip(units) {
            found.extend(port(context, &unit, listen)?);
        }
    }
    Ok(found)
}

fn port(context: &CheckContext<'_>, unit: &str, listen: &Listen) -> Result<Option<Finding>> {
    let state = context.host.systemd.show_one(unit)?;
    if state.is_masked() || state.is_skipped() {
        return Ok(None);
    }
    let systemctl = |verb: &str| CommandLine::sudo(["systemctl", verb, unit]);
    let Some(port) = listen.port() else {
        let Listen::Unix(path) = listen else {
            return Ok(None);
        };
        if context.host.root.meta(path.as_str())?.is_some() {
            return Ok(None);
        }
        let finding = Finding::new(
            Severity::Error,
            format!("the socket `{path}` is missing"),
            Hint::to("create it", systemctl("restart")),
        );
        // systemd still listens, at a name that is gone.
        let is_dead = unit_type(unit) == Some(UnitType::Socket) && state.is_active();
        let reopen = match is_dead && !is_served(context, unit)? {
            true => Some(SafeFix::OpenSocket {
                unit: unit.to_owned(),
            }),
            false => None,
        };
        return Ok(Some(finding.safely(reopen)));
    };
    let own = [unit.to_owned()];
    let holder = match PortUse::of(&context.host.root, port, &own, state.is_active()) {
        PortUse::Own => return Ok(None),
        PortUse::Free => {
            return Ok(Some(Finding::new(
                Severity::Error,
                format!("no process listens on {listen}"),
                Hint::to("start its unit", systemctl("start")),
            )));
        }
        PortUse::Other(holder) => holder,
    };
    let message = if state.is_active() {
        format!("{holder} listens on {listen}, and `{unit}` does not")
    } else {
        format!("{holder} listens on {listen}, and `{unit}` is not active")
    };
    let fix = "stop that process, or give the service another address";
    Ok(Some(Finding::new(Severity::Error, message, fix)))
}

/// Whether the service of a socket runs.
fn is_served(context: &CheckContext<'_>, socket: &str) -> Result<bool> {
    let units = &context.release.units;
    let Some(socket) = units.iter().find(|one| one.unit == socket) else {
        return Ok(true);
    };
    let names: Vec<String> = units.iter().map(|one| one.unit.clone()).collect();
    let states = context.host.systemd.show(&names)?;
    let mut both = units.iter().zip(&states);
    Ok(both.any(|(unit, state)| is_served_by(unit, socket, state)))
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
    let finding = Finding::new(Severity::Warning, message, fix);
    Ok(vec![finding.safely([SafeFix::RemoveLeftovers])])
}
