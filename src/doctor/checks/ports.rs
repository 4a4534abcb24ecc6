//! The addresses of the services, and what listens on them.

use super::findings;
use super::units::{is_served, running_conflict, stopped_since};
use crate::app::{App, Listen, Service};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::host::{
    ListeningSocket, PortHolder, UnitStatus, holders_by_socket, listening_sockets, listens_for,
};
use crate::prerequisites::unusable_addresses;
use crate::safe_fix::SafeFix;
use crate::store::UnitRole;
use anyhow::Result;
use std::collections::BTreeMap;

/// What listens on this host.
struct Sockets {
    all: Vec<ListeningSocket>,
    /// The processes of each socket; `None` when this process may not see them.
    holders: Option<BTreeMap<u64, Vec<u32>>>,
}

impl Sockets {
    fn of_host() -> Self {
        let all = listening_sockets();
        let inodes: Vec<u64> = all.iter().map(|one| one.inode).collect();
        let holders = holders_by_socket(&inodes);
        Self { all, holders }
    }

    fn on(&self, port: u16) -> Vec<ListeningSocket> {
        let all = self.all.iter();
        let all = all.filter(|one| one.address.port() == port);
        all.copied().collect()
    }

    /// The processes that listen on a port, as far as this process may see them.
    fn holders_on(&self, port: u16) -> Vec<u32> {
        let holders = self.holders.as_ref();
        let of = |socket: &ListeningSocket| holders.and_then(|all| all.get(&socket.inode));
        self.on(port)
            .iter()
            .filter_map(of)
            .flatten()
            .copied()
            .collect()
    }

    /// Whether a socket is that of a unit; `None` when it cannot be seen.
    fn is_of(&self, socket: &ListeningSocket, unit: &str) -> Option<bool> {
        let holders = self.holders.as_ref()?.get(&socket.inode);
        let mut pids = holders.into_iter().flatten();
        Some(pids.any(|pid| listens_for(*pid, unit)))
    }
}

pub(in crate::doctor) fn ports(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let mut found = findings(unusable_addresses(context.host, app)?);
    let sockets = Sockets::of_host();
    for service in app.services.iter().filter(|service| service.enable) {
        let units = if service.has_socket_unit() {
            app.sockets_by_address(service)
        } else {
            vec![app.unit(service); service.listen.len()]
        };
        for (listen, unit) in service.listen.iter().zip(units) {
            found.extend(match listen {
                Listen::Unix(path) => unix_socket(context, &unit, path.as_str())?,
                _ => port(context, &sockets, service, listen, &unit)?,
            });
        }
    }
    Ok(found)
}

/// Whether a unit is down because the administrator or a condition wants it.
fn is_down_on_purpose(context: &CheckContext<'_>, unit: &str) -> Result<bool> {
    let state = context.units.state(unit)?;
    let is_disabled = state.unit_file_state == "disabled" && !state.is_active();
    let has_other = running_conflict(context, state)?.is_some();
    let is_stopped = stopped_since(context, state).is_some();
    Ok(state.is_masked() || state.is_skipped() || is_disabled || has_other || is_stopped)
}

fn unix_socket(context: &CheckContext<'_>, unit: &str, path: &str) -> Result<Option<Finding>> {
    if is_down_on_purpose(context, unit)? || context.host.root.meta(path)?.is_some() {
        return Ok(None);
    }
    let finding = Finding::new(
        Severity::Error,
        format!("the socket `{path}` is missing"),
        Hint::to(
            "create it",
            CommandLine::sudo(["systemctl", "restart", unit]),
        ),
    );
    // systemd still listens, at a name that is gone.
    let units = &context.release.units;
    let socket = units
        .iter()
        .find(|one| one.unit == unit && one.role == UnitRole::Socket);
    let reopen = match socket {
        Some(socket) if context.units.state(unit)?.is_active() => {
            let is_served = is_served(context, &socket.service)?;
            (!is_served).then(|| SafeFix::OpenSocket {
                unit: unit.to_owned(),
            })
        }
        _ => None,
    };
    Ok(Some(finding.safely(reopen)))
}

fn port(
    context: &CheckContext<'_>,
    sockets: &Sockets,
    service: &Service,
    listen: &Listen,
    unit: &str,
) -> Result<Option<Finding>> {
    let Some(port) = listen.port() else {
        return Ok(None);
    };
    if is_down_on_purpose(context, unit)? {
        return Ok(None);
    }
    let open = sockets.on(port);
    if open.is_empty() {
        let message = format!("no process listens on {listen}");
        let fix = open_again(unit, context.units.state(unit)?);
        return Ok(Some(Finding::new(Severity::Error, message, fix)));
    }
    let own: Vec<&ListeningSocket> = open
        .iter()
        .filter(|one| sockets.is_of(one, unit) == Some(true))
        .collect();
    if !own.is_empty() {
        return Ok(too_open(service, listen, unit, &own));
    }
    let state = context.units.state(unit)?;
    // This process may not see it, so the unit's state must do.
    if sockets.holders.is_none() && state.is_active() {
        return Ok(None);
    }
    let holder = PortHolder::among(&context.host.root, port, &sockets.holders_on(port));
    let message = if state.is_active() {
        format!("{holder} listens on {listen}, and `{unit}` does not")
    } else {
        format!("{holder} listens on {listen}, and `{unit}` is not active")
    };
    let fix = "stop that process, or give the service another address";
    Ok(Some(Finding::new(Severity::Error, message, fix)))
}

/// The hint for a unit that does not listen. `systemctl start` does nothing to one that is up.
fn open_again(unit: &str, state: &UnitStatus) -> Hint {
    let verb = if state.is_down() { "start" } else { "restart" };
    let command = CommandLine::sudo(["systemctl", verb, unit]);
    Hint::to(format!("{verb} its unit"), command)
}

/// A port that other machines can reach, although the manifest gives it a loopback address.
fn too_open(
    service: &Service,
    listen: &Listen,
    unit: &str,
    own: &[&ListeningSocket],
) -> Option<Finding> {
    if listen.is_public() {
        return None;
    }
    let is_allowed = |socket: &ListeningSocket| {
        let of_port = service.listen.iter();
        let mut of_port = of_port.filter(|one| one.port() == listen.port());
        socket.address.ip().is_loopback()
            || of_port.any(|one| match one {
                Listen::Tcp(address) => {
                    address.ip() == socket.address.ip() || address.ip().is_unspecified()
                }
                Listen::AnyAddress(_) => true,
                Listen::Unix(_) => false,
            })
    };
    let open = own.iter().find(|socket| !is_allowed(socket))?;
    let message = format!(
        "`{unit}` listens on {}, and the manifest says {listen}: other machines can connect to it",
        open.address
    );
    let restart = Hint::to(
        "correct the address in its settings or in your drop-in, then",
        CommandLine::sudo(["systemctl", "restart", unit]),
    );
    Some(Finding::new(Severity::Warning, message, restart))
}

#[cfg(test)]
mod tests {
    use super::open_again;
    use crate::host::{ActiveState, UnitStatus};

    #[test]
    fn a_unit_that_is_up_is_restarted_and_not_started() {
        for (active_state, expected) in [
            (
                ActiveState::Inactive,
                "start its unit: sudo systemctl start a.service",
            ),
            (
                ActiveState::Active,
                "restart its unit: sudo systemctl restart a.service",
            ),
        ] {
            let state = UnitStatus {
                active_state,
                ..UnitStatus::default()
            };
            assert_eq!(open_again("a.service", &state).to_string(), expected);
        }
    }
}
