//! Which addresses a service may exchange packets with: `sandbox.outbound` and `sandbox.allow-from`.

use super::reader::{Path, Reader, quoted};
use crate::app::listen::Listen;
use crate::app::sandbox::Sandbox;
use crate::app::service::Socket;
use crate::manifest::{Problem, Result, ServiceTable};
use crate::sandbox::prefix::{BadPrefix, Prefix};

/// Exceptions that allow every address, so that no list can limit them.
const UNFILTERED: [&str; 2] = ["outbound", "raw-net"];

/// Parses a list of addresses and prefixes. `everything` says what to write for every address.
pub(super) fn prefixes(
    path: Path<'_>,
    list: &[String],
    everything: &'static str,
) -> Result<Vec<Prefix>> {
    let items = list.iter().enumerate();
    let parsed = items.map(|(index, text)| {
        let index = index.to_string();
        let path: Vec<&str> = path.iter().copied().chain([index.as_str()]).collect();
        prefix(&path, text, everything)
    });
    parsed.collect()
}

fn prefix(path: Path<'_>, text: &str, everything: &str) -> Result<Prefix> {
    let shown: String = text.chars().take(60).collect();
    let shown = quoted(&shown);
    Prefix::parse(text).map_err(|bad| {
        let (message, hint) = match bad {
            BadPrefix::Syntax => (
                format!("{shown} is not an address or a prefix"),
                format!(
                    "write numbers, such as `192.0.2.7` or `192.0.2.0/24`: systemd does not look names up. For every \
                     address, {everything}"
                ),
            ),
            BadPrefix::Length { longest } => (
                format!("{shown} has more than {longest} bits"),
                format!("write at most `/{longest}`"),
            ),
            BadPrefix::HostBits { prefix, address } => (
                format!("{shown} has bits after its prefix"),
                format!("write `{prefix}` for the whole prefix, or `{address}` for one address"),
            ),
            BadPrefix::Everything => (
                format!("{shown} is every address"),
                everything.to_owned(),
            ),
            BadPrefix::Mapped(address) => (
                format!("{shown} is an IPv4 address in the form of IPv6, which no packet has"),
                format!("write the IPv4 form: `{address}`"),
            ),
        };
        Problem::new(path, message, hint)
    })
}

impl Reader<'_> {
    /// Refuses what the filters of systemd cannot do.
    pub(super) fn check_packets(
        &self,
        key: &str,
        table: &ServiceTable,
        socket: Socket,
        listen: &[Listen],
        sandbox: &Sandbox,
    ) -> Result<()> {
        proxied(key, socket, sandbox)?;
        let unfiltered = UNFILTERED.into_iter().find(|name| sandbox.allows(name));
        let of_outbound = ["service", key, "sandbox", "outbound"];
        if let Some(name) = unfiltered
            && !sandbox.outbound.is_empty()
        {
            return Err(Problem::new(
                &of_outbound,
                format!(
                    "`allow` contains `{name}`, which allows every address, so the list `outbound` has no effect"
                ),
                format!("remove the list, or remove `{name}` from `allow`"),
            ));
        }
        let opens_public = socket == Socket::Direct && listen.iter().any(Listen::is_public);
        if opens_public && !sandbox.outbound.is_empty() && sandbox.allow_from.is_empty() {
            return Err(Problem::new(
                &of_outbound,
                format!(
                    "service `{key}` opens a public address itself, so the list `outbound` also limits who can connect to it"
                ),
                "list who can connect in `allow-from`, or let systemd open the address: `socket = \"activate\"`",
            ));
        }
        let Some(list) = &table.sandbox.allow_from else {
            return Ok(());
        };
        let path = ["service", key, "sandbox", "allow-from"];
        if list.is_empty() {
            return Err(Problem::new(
                &path,
                "`allow-from` is empty",
                "list who can connect, such as `192.0.2.0/24`, or remove it to allow every address",
            ));
        }
        if !self.is_ever_public(key, table) {
            return Err(Problem::new(
                &path,
                format!(
                    "service `{key}` has `allow-from` and no address that other machines can reach"
                ),
                "remove `allow-from`, or listen on a public address, such as `:8080`",
            ));
        }
        match unfiltered {
            Some(name) if opens_public => Err(Problem::new(
                &path,
                format!(
                    "service `{key}` opens its address itself, and `{name}` allows every address, so `allow-from` has no effect"
                ),
                "list the addresses that it connects to in `outbound`, or let systemd open the address: `socket = \"activate\"`",
            )),
            _ => Ok(()),
        }
    }

    /// Whether the service has a public address in any environment.
    fn is_ever_public(&self, key: &str, table: &ServiceTable) -> bool {
        let overlays = self.manifest.environment.values();
        let others = overlays.filter_map(|overlay| overlay.listen.get(key));
        let mut all = others.flatten().chain(&table.listen);
        all.any(|text| {
            let address = text.split_once('=').map_or(text.as_str(), |(_, it)| it);
            Listen::parse(address).is_ok_and(|listen| listen.is_public())
        })
    }
}

/// A proxy and its server share a network namespace, in which no other program answers. With the host's
/// network, both would open the same address.
fn proxied(key: &str, socket: Socket, sandbox: &Sandbox) -> Result<()> {
    let needed = sandbox.host_network();
    let Some(name) = needed.filter(|_| socket == Socket::Proxy) else {
        return Ok(());
    };
    let hint = match name {
        "loopback" => {
            "use `socket = \"direct\"`, or connect to a unix socket: a proxied server has no network except the one that it shares with the proxy"
        }
        _ => {
            "use `socket = \"direct\"`: a proxied server has no network except the one that it shares with the proxy"
        }
    };
    Err(Problem::new(
        &["service", key, "socket"],
        format!("service `{key}` cannot have `{name}` behind a proxy"),
        hint,
    ))
}
