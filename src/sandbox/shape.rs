//! The shape of a service: the facts that decide every hardening directive.
//!
//! A [`Shape`] is made from [`Needs`], which are plain values, so that anything can have one: a
//! service of a manifest, or a variant of it that is only tried.

use std::collections::BTreeSet;

/// Directories for temporary files that every service may write.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

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
    /// Names from [`EXCEPTIONS`](super::exceptions::EXCEPTIONS).
    pub allow: BTreeSet<&'static str>,
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
    /// Writable paths, for `NoExecPaths=`.
    pub writable: Vec<String>,
    /// The TCP ports that it opens itself. Empty if it may open others too.
    pub ports: Vec<u16>,
    /// Names from [`EXCEPTIONS`](super::exceptions::EXCEPTIONS).
    pub allow: BTreeSet<&'static str>,
}

impl Shape {
    /// The shape of a service with these needs.
    pub fn new(needs: Needs) -> Self {
        let network = needs.network();
        let families = needs.families(network);
        let any_port = needs.allows_any(&["bind-any", "outbound", "raw-net"]);
        let rooted = !needs.allows("host-files");
        let host_users = needs.allows("host-users");
        let Needs {
            listener,
            allow,
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
        // No other path: `NoExecPaths=` makes what it lists writable.
        let mut writable = directories;
        writable.extend(TEMPORARY.map(str::to_owned));
        writable.extend(read_write);
        Self {
            network,
            families,
            private_users: capabilities.is_empty() && !host_users,
            capabilities: capabilities.into_iter().collect(),
            devices,
            rooted,
            writable,
            ports: match listener {
                Listener::Own { ports, .. } if !any_port => ports,
                _ => Vec::new(),
            },
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
        match &self.listener {
            Listener::Own { public: true, .. } => Network::Host,
            Listener::Own { ports, .. } if ports.is_empty() => Network::None,
            Listener::Own { .. } => Network::Loopback,
            Listener::Inherited | Listener::Proxied if self.allows("net-admin") => Network::NoIp,
            Listener::Proxied => Network::Namespace,
            Listener::Inherited => Network::None,
        }
    }

    fn families(&self, network: Network) -> Vec<&'static str> {
        let mut families = vec!["AF_UNIX"];
        if matches!(
            network,
            Network::Namespace | Network::Loopback | Network::Host
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
        assert_eq!(shape(own(&[80, 81], false), &[]).ports, [80, 81]);
        assert_eq!(shape(own(&[80], false), &["bind-any"]).ports, [0; 0]);
        assert_eq!(shape(Listener::Proxied, &[]).ports, [0; 0]);
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
