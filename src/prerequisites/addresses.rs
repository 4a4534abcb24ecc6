//! Whether a server can listen on every address of an app.

use crate::app::{AbsPath, App, Listen, Service, Socket};
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{
    Binding, Host, PortHolder, PortUse, Root, is_ipv6_only, is_taken, listening_sockets,
};
use crate::plan::Observed;
use anyhow::Result;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The addresses on which no server of this host can listen, whether another one does or not.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn unusable_addresses(host: &Host, app: &App) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    if host.is_offline() {
        return Ok(faults);
    }
    let sockets = listening_sockets().into_iter();
    let open: BTreeSet<u16> = sockets.map(|socket| socket.address.port()).collect();
    for service in app.services.iter().filter(|service| service.enable) {
        for listen in &service.listen {
            faults.extend(match listen {
                // Where somebody listens, the host has the address.
                Listen::Tcp(address) if open.contains(&address.port()) => None,
                Listen::Tcp(address) => unusable(service, *address, Binding::of(*address)),
                Listen::AnyAddress(port) if service.has_socket_unit() => {
                    is_ipv6_only().then(|| only_ipv6(service, *port))
                }
                Listen::AnyAddress(_) => None,
                Listen::Unix(path) => not_a_socket(&host.root, service, path)?,
            });
        }
    }
    Ok(faults)
}

/// Every address that something outside the app holds. Without a live release, units of the app may run
/// all the same.
pub(crate) fn taken_addresses(host: &Host, app: &App, observed: &Observed) -> Vec<Fault> {
    if host.is_offline() {
        return Vec::new();
    }
    let live = observed.live.as_ref().map_or(app, |live| &live.app);
    let own = own_addresses(live, &observed.holding);
    let mut taken = Vec::new();
    for service in app.services.iter().filter(|service| service.enable) {
        for address in service.listen.iter().filter_map(Listen::local_address) {
            if own.contains(&address) || !is_taken(address) {
                continue;
            }
            let holder = match PortUse::of(&host.root, address.port(), &[], false) {
                PortUse::Other(holder) => holder,
                PortUse::Own | PortUse::Free => PortHolder::Hidden,
            };
            let message = format!(
                "{address} of service `{}` is in use by {holder}",
                service.name
            );
            taken.push(Fault::new(Impact::Blocking, message, how_to_free(&holder)));
        }
    }
    taken
}

/// How to free an address.
fn how_to_free(holder: &PortHolder) -> Hint {
    let other = "give the service another address in `listen`";
    match holder.unit() {
        None => format!("stop that process, or {other}").into(),
        Some(unit) => {
            let what = match holder.app() {
                Some(app) => format!("the app `{app}` cannot be reached there then"),
                None => "nothing answers there then, also after a boot".to_owned(),
            };
            Hint::to(
                format!("{other}, or stop `{unit}` ({what})"),
                CommandLine::sudo(["systemctl", "disable", "--now", unit]),
            )
        }
    }
}

/// The addresses that the units of an app hold. `holding` are the active ones.
fn own_addresses(app: &App, holding: &BTreeSet<String>) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for service in &app.services {
        let units = if service.has_socket_unit() {
            app.sockets_by_address(service)
        } else {
            vec![app.unit(service); service.listen.len()]
        };
        all.extend(service.listen.iter().zip(units));
    }
    let held = all.iter().filter(|(_, unit)| holding.contains(unit));
    held.filter_map(|(listen, _)| listen.local_address())
        .collect()
}

/// The fault of an address that the host does not have.
fn unusable(service: &Service, address: SocketAddr, binding: Binding) -> Option<Fault> {
    let name = &service.name;
    let is_loopback = address.is_ipv6() && address.ip().is_loopback();
    match binding {
        // What holds it is named with the command that stops it.
        Binding::Free | Binding::Taken => None,
        Binding::NoProtocol => Some(Fault::new(
            Impact::Blocking,
            format!("{address} of service `{name}` needs IPv6, which this host does not have"),
            "remove `ipv6.disable=1` from the command line of the kernel, or write an IPv4 address in `listen`",
        )),
        Binding::NoAddress if is_loopback => Some(Fault::new(
            Impact::Blocking,
            format!("{address} of service `{name}` needs IPv6, which is disabled on this host"),
            Hint::to(
                "enable it, also in /etc/sysctl.d, or write an IPv4 address in `listen`",
                CommandLine::sudo(["sysctl", "-w", "net.ipv6.conf.lo.disable_ipv6=0"]),
            ),
        )),
        Binding::NoAddress => {
            // It can open an address that comes later (ip(7), IP_FREEBIND).
            let impact = match service.socket {
                Socket::Direct => Impact::Serious,
                _ => Impact::Blocking,
            };
            Some(no_interface(service, address, impact))
        }
    }
}

fn no_interface(service: &Service, address: SocketAddr, impact: Impact) -> Fault {
    let ip = address.ip();
    Fault::new(
        impact,
        format!(
            "no interface of this host has the address {ip}, on which service `{}` listens ({address})",
            service.name
        ),
        Hint::to(
            "write another address in `listen`, or add it to an interface; this lists all",
            CommandLine::new(["ip", "address"]),
        ),
    )
}

/// systemd listens on one socket of IPv6 for all addresses (systemd.socket(5), `BindIPv6Only=`).
fn only_ipv6(service: &Service, port: u16) -> Fault {
    Fault::new(
        Impact::Blocking,
        format!(
            "`:{port}` of service `{}` would accept only IPv6, because net.ipv6.bindv6only is 1 on this host",
            service.name
        ),
        Hint::to(
            format!(
                "write `listen = [\"0.0.0.0:{port}\", \"[::]:{port}\"]`, or change it, also in /etc/sysctl.d"
            ),
            CommandLine::sudo(["sysctl", "-w", "net.ipv6.bindv6only=0"]),
        ),
    )
}

/// The fault of a path at which something else than a socket is.
fn not_a_socket(root: &Root, service: &Service, path: &AbsPath) -> Result<Option<Fault>> {
    let Some(meta) = root.meta(path.as_str())? else {
        return Ok(None);
    };
    if meta.is_socket() {
        return Ok(None);
    }
    let real = root.path(path.as_str()).display().to_string();
    let aside = CommandLine::sudo(["mv", &real, &format!("{real}.old")]);
    Ok(Some(Fault::new(
        Impact::Blocking,
        format!(
            "`{path}` exists and is not a socket, so service `{}` cannot listen there",
            service.name
        ),
        Hint::to("move it to another place", aside),
    )))
}

#[cfg(test)]
mod tests {
    use super::{Binding, not_a_socket, only_ipv6, unusable};
    use crate::app::{AbsPath, App};
    use crate::host::Root;
    use crate::manifest::parse;

    fn app() -> App {
        let text =
            "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/web\"]\n";
        App::from_manifest(&parse(text).unwrap(), None).unwrap()
    }

    #[test]
    fn an_address_that_the_host_lacks_is_named_with_the_reason() {
        let app = app();
        let service = &app.services[0];
        for (address, binding, words) in [
            (
                "[::1]:8080",
                Binding::NoProtocol,
                "needs IPv6, which this host does not have",
            ),
            (
                "[::1]:8080",
                Binding::NoAddress,
                "needs IPv6, which is disabled",
            ),
            (
                "192.0.2.1:80",
                Binding::NoAddress,
                "no interface of this host has the address 192.0.2.1",
            ),
            ("192.0.2.1:80", Binding::Taken, ""),
            ("192.0.2.1:80", Binding::Free, ""),
        ] {
            let fault = unusable(service, address.parse().unwrap(), binding);
            let text = fault.map(|fault| fault.message).unwrap_or_default();
            assert!(
                text.contains(words) && text.is_empty() == words.is_empty(),
                "{text}"
            );
        }
        assert!(only_ipv6(service, 80).text().contains("[::]:80"));
    }

    #[test]
    fn a_directory_may_not_be_at_the_path_of_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (app, root) = (app(), Root::new(dir.path()));
        let found = |path: &str| {
            let path = AbsPath::parse(path).unwrap();
            not_a_socket(&root, &app.services[0], &path)
                .unwrap()
                .is_some()
        };
        root.make_dir("/dir", 0o755).unwrap();
        assert!(!found("/absent"));
        assert!(found("/dir"));
    }
}
