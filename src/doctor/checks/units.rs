//! Units, and the addresses that they hold.

use super::findings;
use crate::app::{App, Listen};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::health::{cause_failure, explanation, in_words};
use crate::host::{PortUse, UnitStatus};
use crate::prerequisites::unusable_addresses;
use crate::store::{PublicUnit, UnitRole};
use crate::transient::leftovers::transient_units;
use anyhow::Result;

pub(in crate::doctor) fn units(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let units = &context.release.units;
    let names: Vec<String> = units.iter().map(|unit| unit.unit.clone()).collect();
    let states = context.host.systemd.show(&names)?;
    let mut found = Vec::new();
    for (unit, state) in units.iter().zip(states) {
        found.extend(unit_state(context, unit, &state));
        if state.need_daemon_reload {
            found.push(Finding::new(
                Severity::Warning,
                format!(
                    "`{}` changed on disk, and systemd still uses the old version",
                    unit.unit
                ),
                daemon_reload(),
            ));
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

fn unit_state(
    context: &CheckContext<'_>,
    unit: &PublicUnit,
    state: &UnitStatus,
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
        return Some(finding);
    }
    if !state.is_loaded() {
        let message = format!("systemd does not know `{name}`");
        return Some(Finding::new(Severity::Error, message, daemon_reload()));
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
        let exists = context.host.root.meta(path.as_str())?.is_some();
        return Ok((!exists).then(|| {
            Finding::new(
                Severity::Error,
                format!("the socket `{path}` is missing"),
                Hint::to("create it", systemctl("restart")),
            )
        }));
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
