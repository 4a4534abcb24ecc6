//! The shape of a service: the facts that decide every hardening directive.
//!
//! A [`Shape`] is made from [`Needs`], which are plain values, so that anything can have one: a
//! service of a manifest, or a variant of it that is only tried.

use super::prefix::Prefix;
use std::collections::BTreeSet;

/// Directories for temporary files that every service may write, and to which `NoExecPaths=` applies.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// POSIX shared memory (shm_overview(7)).
const SHARED_MEMORY: &str = "/dev/shm";

/// Who opens the addresses that a service answers on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Listener {
    /// systemd, if anyone does: the service has no address or takes over a socket.
    #[default]
    Inherited,
    /// The service itself, in a network namespace behind a proxy.
    Proxied,
    /// The service itself.
    Own {
        /// Its TCP ports; empty for unix sockets alone.
        ports: Vec<u16>,
        /// Whether another machine can reach one of its addresses.
        public: bool,
    },
}

/// What a service needs of the host, as far as its sandbox depends on it.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Who opens its addresses.
    pub listener: Listener,
    /// Who may connect to the addresses that it opens itself, besides this host; empty for everyone.
    pub clients: Vec<Prefix>,
    /// The addresses that it may connect to.
    pub outbound: Vec<Prefix>,
    /// Names from [`EXCEPTIONS`](super::exceptions::EXCEPTIONS).
    pub allow: BTreeSet<&'static str>,
    /// Addresses that it may not reach although the network is open to it.
    pub closed: Vec<Prefix>,
    /// Files of its runtime that it reads, where they exist.
    pub files: Vec<&'static str>,
    /// Capabilities that the manifest lists.
    pub capabilities: BTreeSet<String>,
    /// `DeviceAllow=` lines.
    pub devices: Vec<String>,
    /// Directories that systemd creates for it and that it may write.
    pub directories: Vec<String>,
    /// Other paths that it may write.
    pub read_write: Vec<String>,
}

/// Where a service's network comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// No network: at most an inherited listener.
    None,
    /// A private namespace with loopback, behind a proxy.
    Namespace,
    /// The host's, filtered to loopback.
    Loopback,
    /// The host's, filtered to the addresses that the manifest lists.
    Listed,
    /// The host's, unfiltered.
    Host,
    /// The host's for netlink alone: no IP packet passes.
    NoIp,
}

/// The facts that decide every hardening directive of a service.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Where its network comes from.
    pub network: Network,
    /// The addresses that it can exchange packets with, if there is a filter: `IPAddressAllow=`.
    pub peers: Vec<Prefix>,
    /// The addresses that the filter denies, if the network is otherwise open: `IPAddressDeny=`.
    pub closed: Vec<Prefix>,
    /// `RestrictAddressFamilies=`
    pub families: Vec<&'static str>,
    /// `CapabilityBoundingSet=` and `AmbientCapabilities=`
    pub capabilities: Vec<String>,
    /// `DeviceAllow=` lines; empty means `PrivateDevices=yes`.
    pub devices: Vec<String>,
    /// Whether its root directory shows only the paths on an allow-list.
    pub rooted: bool,
    /// Whether `PrivateUsers=yes` is possible.
    pub private_users: bool,
    /// Whether it has the `/dev/shm` of the host instead of its own.
    pub shares_memory: bool,
    /// Writable paths, for `NoExecPaths=`.
    pub writable: Vec<String>,
    /// The TCP ports that it may open itself. `None` if it may open any, or if it has no network in
    /// which a port is one of the host.
    pub ports: Option<Vec<u16>>,
    /// Files of its runtime that are visible, where they exist.
    pub files: Vec<&'static str>,
    /// Names from [`EXCEPTIONS`](super::exceptions::EXCEPTIONS).
    pub allow: BTreeSet<&'static str>,
}

impl Shape {
    /// The shape of a service with these needs.
    pub fn new(needs: Needs) -> Self {
        let network = needs.network();
        let families = needs.families(network);
        let peers = match network {
            Network::Namespace | Network::Loopback | Network::Listed => needs.peers(),
            // What the filter denies there may have exceptions.
            Network::Host if !needs.closed.is_empty() => needs.outbound.clone(),
            Network::None | Network::Host | Network::NoIp => Vec::new(),
        };
        let ports = needs.ports(network);
        let rooted = !needs.allows("host-files");
        let host_users = needs.allows("host-users");
        let Needs {
            listener: _,
            clients: _,
            outbound: _,
            closed,
            allow,
            files,
            mut capabilities,
            devices,
            directories,
            read_write,
        } = needs;
        for (name, capability) in [
            ("net-admin", "CAP_NET_ADMIN"),
            ("raw-net", "CAP_NET_RAW"),
            ("low-port", "CAP_NET_BIND_SERVICE"),
        ] {
            if allow.contains(name) {
                capabilities.insert(capability.to_owned());
            }
        }
        let shares_memory = read_write.iter().any(|path| path == SHARED_MEMORY);
        // No other path: `NoExecPaths=` makes what it lists writable.
        let mut writable = directories;
        writable.extend(TEMPORARY.map(str::to_owned));
        writable.extend(read_write);
        Self {
            network,
            peers,
            closed,
            families,
            private_users: capabilities.is_empty() && !host_users,
            capabilities: capabilities.into_iter().collect(),
            devices,
            rooted,
            shares_memory,
            writable,
            ports,
            files,
            allow,
        }
    }

    /// Whether an exception is granted.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.contains(name)
    }
}

impl Needs {
    fn allows(&self, name: &str) -> bool {
        self.allow.contains(name)
    }

    fn allows_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.allows(name))
    }

    fn network(&self) -> Network {
        if self.allows_any(&["outbound", "raw-net"]) {
            return Network::Host;
        }
        let peers = self.peers();
        match &self.listener {
            Listener::Own { public: true, .. } if self.clients.is_empty() => Network::Host,
            Listener::Proxied if !self.allows("net-admin") => Network::Namespace,
            Listener::Inherited | Listener::Own { .. } if !peers.is_empty() => {
                if peers.iter().all(Prefix::is_loopback) {
                    Network::Loopback
                } else {
                    Network::Listed
                }
            }
            Listener::Inherited | Listener::Proxied if self.allows("net-admin") => Network::NoIp,
            Listener::Inherited | Listener::Proxied | Listener::Own { .. } => Network::None,
        }
    }

    /// The addresses to exchange packets with. systemd has one filter for both directions.
    fn peers(&self) -> Vec<Prefix> {
        let mut peers = Vec::new();
        let serves = match &self.listener {
            Listener::Own { ports, .. } => !ports.is_empty(),
            Listener::Proxied => true,
            Listener::Inherited => false,
        };
        if serves || self.allows("loopback") {
            peers.extend(Prefix::LOOPBACK);
        }
        if matches!(self.listener, Listener::Own { .. }) {
            peers.extend(&self.clients);
        }
        peers.extend(&self.outbound);
        peers
    }

    /// The ports that it may open, if they are limited.
    fn ports(&self, network: Network) -> Option<Vec<u16>> {
        if self.allows_any(&["bind-any", "outbound", "raw-net"]) {
            return None;
        }
        match (&self.listener, network) {
            (Listener::Own { ports, .. }, _) if !ports.is_empty() => Some(ports.clone()),
            // A client: a port that it opened would be one of the host.
            (_, Network::Loopback | Network::Listed) => Some(Vec::new()),
            _ => None,
        }
    }

    fn families(&self, network: Network) -> Vec<&'static str> {
        let mut families = vec!["AF_UNIX"];
        if matches!(
            network,
            Network::Namespace | Network::Loopback | Network::Listed | Network::Host
        ) {
            families.extend(["AF_INET", "AF_INET6"]);
        }
        if network == Network::NoIp || self.allows_any(&["netlink", "net-admin"]) {
            families.push("AF_NETLINK");
        }
        if self.allows("raw-net") {
            families.push("AF_PACKET");
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::{Listener, Needs, Network, Shape};
    use crate::sandbox::prefix::{Prefix, words};

    fn shape(listener: Listener, allow: &[&'static str]) -> Shape {
        Shape::new(Needs {
            listener,
            allow: allow.iter().copied().collect(),
            ..Needs::default()
        })
    }

    fn own(ports: &[u16], public: bool) -> Listener {
        Listener::Own {
            ports: ports.to_vec(),
            public,
        }
    }

    #[test]
    fn the_listener_and_the_exceptions_decide_the_network() {
        for (listener, allow, expected) in [
            (Listener::Inherited, &[][..], Network::None),
            (Listener::Inherited, &["net-admin"], Network::NoIp),
            (Listener::Inherited, &["outbound"], Network::Host),
            (Listener::Proxied, &[], Network::Namespace),
            (own(&[80], false), &[], Network::Loopback),
            (own(&[80], true), &[], Network::Host),
            (own(&[], false), &[], Network::None),
            (own(&[80], false), &["raw-net"], Network::Host),
            (Listener::Inherited, &["loopback"], Network::Loopback),
            (
                Listener::Inherited,
                &["loopback", "net-admin"],
                Network::Loopback,
            ),
            (
                Listener::Inherited,
                &["loopback", "outbound"],
                Network::Host,
            ),
            (own(&[], false), &["loopback"], Network::Loopback),
            (own(&[80], true), &["loopback"], Network::Host),
        ] {
            let found = shape(listener.clone(), allow).network;
            assert_eq!(found, expected, "{listener:?} {allow:?}");
        }
    }

    #[test]
    fn families_follow_the_network_and_the_exceptions() {
        let families = |listener, allow: &[&'static str]| shape(listener, allow).families.join(" ");
        assert_eq!(families(Listener::Inherited, &[]), "AF_UNIX");
        assert_eq!(
            families(Listener::Inherited, &["net-admin", "netlink"]),
            "AF_UNIX AF_NETLINK"
        );
        assert_eq!(
            families(Listener::Inherited, &["raw-net"]),
            "AF_UNIX AF_INET AF_INET6 AF_PACKET"
        );
    }

    #[test]
    fn ports_are_listed_unless_others_may_be_opened_too() {
        for (listener, allow, expected) in [
            (own(&[80, 81], false), &[][..], Some(vec![80, 81])),
            (own(&[80], false), &["bind-any"], None),
            (own(&[80], false), &["outbound"], None),
            (own(&[80], false), &["loopback"], Some(vec![80])),
            (own(&[], false), &["loopback"], Some(vec![])),
            (Listener::Inherited, &["loopback"], Some(vec![])),
            (Listener::Inherited, &["loopback", "bind-any"], None),
            (Listener::Inherited, &["loopback", "outbound"], None),
            (Listener::Inherited, &[], None),
            (Listener::Proxied, &[], None),
        ] {
            let found = shape(listener.clone(), allow).ports;
            assert_eq!(found, expected, "{listener:?} {allow:?}");
        }
    }

    fn list(texts: &[&str]) -> Vec<Prefix> {
        let parse = |text: &&str| Prefix::parse(text).unwrap();
        texts.iter().map(parse).collect()
    }

    /// The network of a service with these lists, and the value of its filter.
    fn listed(
        listener: Listener,
        clients: &[&str],
        outbound: &[&str],
        allow: &[&'static str],
    ) -> (Network, String) {
        let shape = Shape::new(Needs {
            listener,
            clients: list(clients),
            outbound: list(outbound),
            allow: allow.iter().copied().collect(),
            ..Needs::default()
        });
        (shape.network, words(&shape.peers))
    }

    const NET: &[&str] = &["192.0.2.0/24"];

    #[test]
    fn a_client_reaches_what_is_listed() {
        for (outbound, allow, network, peers) in [
            (NET, &[][..], Network::Listed, "192.0.2.0/24"),
            (NET, &["net-admin"], Network::Listed, "192.0.2.0/24"),
            (
                NET,
                &["loopback"],
                Network::Listed,
                "localhost 192.0.2.0/24",
            ),
            (&["127.0.0.53"], &[], Network::Loopback, "127.0.0.53"),
        ] {
            let found = listed(Listener::Inherited, &[], outbound, allow);
            assert_eq!(found, (network, peers.to_owned()), "{outbound:?} {allow:?}");
        }
    }

    #[test]
    fn a_service_that_opens_its_address_has_one_filter_for_both_directions() {
        for (public, clients, outbound, network, peers) in [
            (
                false,
                &[][..],
                NET,
                Network::Listed,
                "localhost 192.0.2.0/24",
            ),
            (true, NET, &[], Network::Listed, "localhost 192.0.2.0/24"),
            (
                true,
                NET,
                &["127.0.0.53"],
                Network::Listed,
                "localhost 192.0.2.0/24",
            ),
            (true, &[], NET, Network::Host, ""),
        ] {
            let found = listed(own(&[80], public), clients, outbound, &[]);
            assert_eq!(
                found,
                (network, peers.to_owned()),
                "{clients:?} {outbound:?}"
            );
        }
    }

    /// The filter of an inherited socket is that of its socket unit.
    #[test]
    fn clients_do_not_change_a_service_whose_address_systemd_opens() {
        let closed = listed(Listener::Inherited, NET, &[], &[]);
        assert_eq!(closed, (Network::None, String::new()));
        let proxied = listed(Listener::Proxied, NET, &[], &[]);
        assert_eq!(proxied, (Network::Namespace, "localhost".to_owned()));
    }

    #[test]
    fn a_service_has_its_own_shared_memory_unless_the_manifest_lists_that_of_the_host() {
        let with = |path: &str| {
            Shape::new(Needs {
                read_write: vec![path.to_owned()],
                ..Needs::default()
            })
        };
        assert!(!shape(Listener::Inherited, &[]).shares_memory);
        assert!(!with("/srv/shm").shares_memory);
        assert!(!with("/dev/shm/cache").shares_memory);
        assert!(with("/dev/shm").shares_memory);
    }

    #[test]
    fn a_capability_makes_private_users_impossible() {
        let plain = shape(Listener::Inherited, &[]);
        assert!(plain.private_users && plain.capabilities.is_empty());
        let opened = shape(Listener::Inherited, &["low-port"]);
        assert_eq!(opened.capabilities, ["CAP_NET_BIND_SERVICE"]);
        assert!(!opened.private_users);
        assert!(!shape(Listener::Inherited, &["host-users"]).private_users);
    }
}
