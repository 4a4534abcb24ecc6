//! Units and the addresses that they hold.

use super::{Findings, error, warning};
use crate::app::Listen;
use crate::doctor::{CheckContext, Found};
use crate::host::files;
use anyhow::Result;

/// Units that should be up: sockets, timers and daemons that are enabled.
fn wanted(context: &CheckContext<'_>) -> Vec<String> {
    let app = context.app;
    let mut out = Vec::new();
    for service in app.services.iter().filter(|service| service.enable) {
        out.extend(app.socket_units(service));
        if service.timer.is_some() {
            out.push(app.timer_unit(service));
        }
        if service.is_daemon() {
            out.push(app.unit(service));
        }
    }
    out
}

pub(in crate::doctor) fn units(context: &CheckContext<'_>) -> Findings {
    let mut names = wanted(context);
    let app = context.app;
    let jobs = app.services.iter().filter(|service| !service.is_daemon());
    names.extend(jobs.map(|service| app.unit(service)));
    let up = wanted(context);
    let states = context.host.systemd.show(&names)?;
    let mut out = Vec::new();
    for (unit, state) in names.iter().zip(states) {
        if state.is_masked() {
            out.push(warning(
                format!("`{unit}` is masked by the administrator"),
                format!("if it should run: sudo systemctl unmask {unit}"),
            ));
        } else if state.is_failed() {
            out.push(error(
                format!("`{unit}` has failed: {}", state.get("Result")),
                format!("journalctl -u {unit} -n 50; then: sudo systemctl restart {unit}"),
            ));
        } else if !context.host.is_offline() && !state.is_loaded() {
            out.push(error(
                format!("systemd does not know `{unit}`"),
                "sudo systemctl daemon-reload",
            ));
        } else if up.contains(unit) && !context.host.is_offline() && !state.is_active() {
            let start = match state.get("UnitFileState") {
                "disabled" => "enable --now",
                _ => "start",
            };
            out.push(warning(
                format!("`{unit}` is {}", state.get("ActiveState")),
                format!("if it should run: sudo systemctl {start} {unit}"),
            ));
        }
        if state.get("NeedDaemonReload") == "yes" {
            out.push(warning(
                format!("`{unit}` changed on disk and systemd has the old file"),
                "sudo systemctl daemon-reload",
            ));
        }
    }
    Ok(out)
}

pub(in crate::doctor) fn ports(context: &CheckContext<'_>) -> Findings {
    if context.host.is_offline() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for service in context.app.services.iter().filter(|service| service.enable) {
        let units = match service.has_socket_unit() {
            true => context.app.sockets_by_address(service),
            false => vec![context.app.unit(service); service.listen.len()],
        };
        for (listen, unit) in service.listen.iter().zip(units) {
            if let Some(found) = port(context, &unit, listen)? {
                out.push(found);
            }
        }
    }
    Ok(out)
}

fn port(context: &CheckContext<'_>, unit: &str, listen: &Listen) -> Result<Option<Found>> {
    let state = context.host.systemd.show_one(unit)?;
    if state.is_masked() {
        return Ok(None);
    }
    let active = state.is_active();
    let Some(port) = listen.port() else {
        let Listen::Unix(path) = listen else {
            return Ok(None);
        };
        let there = context.host.root.meta(path.as_str())?.is_some();
        return Ok((!there).then(|| {
            error(
                format!("the socket `{path}` is missing"),
                format!("sudo systemctl restart {unit}"),
            )
        }));
    };
    let sockets = files::listening_inodes(port);
    if sockets.is_empty() {
        return Ok(Some(error(
            format!("nobody listens on {listen}"),
            format!("sudo systemctl start {unit}"),
        )));
    }
    if !active {
        let who = files::socket_owner(&sockets)
            .map_or("another process".to_owned(), |pid| format!("pid {pid}"));
        return Ok(Some(error(
            format!("{listen} is held by {who}, and `{unit}` is down"),
            "stop that process, or give the service another address",
        )));
    }
    Ok(None)
}
