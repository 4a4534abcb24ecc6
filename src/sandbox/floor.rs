//! The lowest score that a service of a shape can have and still work.
//!
//! Measured on systemd 252 and 257. A unit in the tests reaches each of them. Each contains 500
//! points for the clock's device, which `ProtectClock=yes` makes systemd list; without that
//! directive, the score is 1000 points higher.

use super::shape::{Network, Shape};
use crate::exposure::tenths;

/// What a service needs of its host, as far as the score depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// No network: an inherited listener, a worker or a job.
    Closed,
    /// A server in a network namespace, behind a proxy.
    Proxied,
    /// A server that opens a port of the loopback interface itself, or a client of one.
    Loopback,
    /// A server or client of the addresses that the manifest lists.
    Listed,
    /// A server or client of any address.
    Host,
    /// Devices, and no network.
    Devices,
    /// A low port of the loopback interface, with `CAP_NET_BIND_SERVICE`.
    LowPort,
    /// `CAP_NET_ADMIN` over netlink alone; no IP packet passes.
    NetAdmin,
    /// `CAP_NET_ADMIN` and a port on the loopback interface.
    NetAdminLoopback,
    /// `CAP_NET_ADMIN` and the addresses that the manifest lists.
    NetAdminListed,
    /// `CAP_NET_ADMIN` and any address.
    NetAdminHost,
    /// `CAP_NET_RAW` and packet sockets.
    NetRaw,
    /// `CAP_NET_RAW`, `CAP_NET_ADMIN` and packet sockets.
    NetRawAdmin,
}

/// The floor of a role.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// The role.
    pub role: Role,
    /// The points with the host's root directory. With its own root directory, 200 fewer.
    pub raw: u32,
    /// What needs them.
    pub because: &'static str,
}

/// Every floor, the lowest first.
pub const FLOORS: &[Floor] = &[
    Floor {
        role: Role::Closed,
        raw: 725,
        because: "the clock's device, local sockets",
    },
    Floor {
        role: Role::Devices,
        raw: 1925,
        because: "its devices, and the group that owns them",
    },
    Floor {
        role: Role::Proxied,
        raw: 2425,
        because: "Internet sockets for the proxy",
    },
    Floor {
        role: Role::Loopback,
        raw: 4925,
        because: "the host's network, filtered to loopback, and Internet sockets",
    },
    Floor {
        role: Role::Listed,
        raw: 5225,
        because: "the host's network, filtered to the listed addresses, and Internet sockets",
    },
    Floor {
        role: Role::Host,
        raw: 5725,
        because: "the host's network, unfiltered, and Internet sockets",
    },
    Floor {
        role: Role::NetAdmin,
        raw: 5925,
        because: "the host's network and users, and the capability",
    },
    Floor {
        role: Role::LowPort,
        raw: 6925,
        because: "the host's network and users, and the capability; with a socket unit it would need none of them",
    },
    Floor {
        role: Role::NetAdminLoopback,
        raw: 7625,
        because: "the host's network and users, Internet sockets, and the capability",
    },
    Floor {
        role: Role::NetAdminListed,
        raw: 7925,
        because: "the host's network, filtered to the listed addresses, its users, Internet sockets, and the capability",
    },
    Floor {
        role: Role::NetAdminHost,
        raw: 8425,
        because: "the host's network, unfiltered, its users, and the capability",
    },
    Floor {
        role: Role::NetRaw,
        raw: 8925,
        because: "the host's network, unfiltered, its users, packet sockets, and the capability",
    },
    Floor {
        role: Role::NetRawAdmin,
        raw: 9925,
        because: "the host's network, unfiltered, its users, packet sockets, and both capabilities",
    },
];

impl Role {
    /// The role of a service of a shape.
    pub fn of(shape: &Shape) -> Self {
        let holds = |name: &str| shape.capabilities.iter().any(|it| it == name);
        match shape.network {
            _ if holds("CAP_NET_RAW") && holds("CAP_NET_ADMIN") => Self::NetRawAdmin,
            _ if holds("CAP_NET_RAW") => Self::NetRaw,
            Network::Loopback if holds("CAP_NET_ADMIN") => Self::NetAdminLoopback,
            Network::Listed if holds("CAP_NET_ADMIN") => Self::NetAdminListed,
            Network::Host if holds("CAP_NET_ADMIN") => Self::NetAdminHost,
            _ if holds("CAP_NET_ADMIN") => Self::NetAdmin,
            Network::Loopback if holds("CAP_NET_BIND_SERVICE") => Self::LowPort,
            Network::Loopback => Self::Loopback,
            Network::Listed => Self::Listed,
            Network::Host => Self::Host,
            Network::Namespace => Self::Proxied,
            Network::None | Network::NoIp if !shape.devices.is_empty() => Self::Devices,
            Network::None | Network::NoIp => Self::Closed,
        }
    }
}

impl Floor {
    /// The floor of a role.
    pub fn of(role: Role) -> Option<&'static Self> {
        FLOORS.iter().find(|floor| floor.role == role)
    }

    /// The points with its own root directory.
    pub fn rooted(&self) -> u32 {
        const ROOT_DIRECTORY: u32 = 200;
        self.raw - ROOT_DIRECTORY
    }

    /// The score in tenths; `rooted` if the service has its own root directory.
    pub fn tenths(&self, rooted: bool) -> u32 {
        const TOTAL_WEIGHT: u32 = 56_460;
        let raw = if rooted { self.rooted() } else { self.raw };
        tenths(raw, TOTAL_WEIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::{FLOORS, Floor, Role};
    use crate::exposure::{Exposure, Unit, score};

    /// Every restriction, and no need: the unit that all floors start from.
    const BASE: &str = include_str!("../exposure/hardened.service");
    const INTERNET: &str = "RestrictAddressFamilies=AF_INET AF_INET6\nPrivateNetwork=no\n";

    fn scored(drop_in: &str) -> Exposure {
        score(&Unit::merge(&[BASE, &format!("[Service]\n{drop_in}")]))
    }

    /// The lines that a role needs in addition.
    fn needs(role: Role) -> String {
        let users = "PrivateUsers=no\n";
        let capabilities = |names: &str| {
            format!("CapabilityBoundingSet={names}\nAmbientCapabilities={names}\n{users}")
        };
        let loopback = "IPAddressAllow=localhost\n";
        let listed = "IPAddressAllow=localhost 192.0.2.0/24\n";
        let anywhere = "IPAddressDeny=\n";
        let packets = "RestrictAddressFamilies=AF_NETLINK AF_PACKET\n";
        let netlink = "RestrictAddressFamilies=AF_NETLINK\n";
        match role {
            Role::Closed => String::new(),
            Role::Devices => {
                "PrivateDevices=no\nDeviceAllow=/dev/spidev0.0 rw\nSupplementaryGroups=spi\n".into()
            }
            Role::Proxied => format!("RestrictAddressFamilies=AF_INET\n{loopback}"),
            Role::Loopback => format!("{INTERNET}{loopback}"),
            Role::Listed => format!("{INTERNET}{listed}"),
            Role::Host => format!("{INTERNET}{anywhere}"),
            Role::LowPort => format!(
                "{INTERNET}{loopback}{}",
                capabilities("CAP_NET_BIND_SERVICE")
            ),
            Role::NetAdmin => format!(
                "PrivateNetwork=no\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_NETLINK\n{}",
                capabilities("CAP_NET_ADMIN")
            ),
            Role::NetAdminLoopback => {
                format!(
                    "{INTERNET}{netlink}{loopback}{}",
                    capabilities("CAP_NET_ADMIN")
                )
            }
            Role::NetAdminListed => {
                format!(
                    "{INTERNET}{netlink}{listed}{}",
                    capabilities("CAP_NET_ADMIN")
                )
            }
            Role::NetAdminHost => {
                format!(
                    "{INTERNET}{netlink}{anywhere}{}",
                    capabilities("CAP_NET_ADMIN")
                )
            }
            Role::NetRaw => format!(
                "{INTERNET}{packets}{anywhere}{}",
                capabilities("CAP_NET_RAW")
            ),
            Role::NetRawAdmin => format!(
                "{INTERNET}{packets}{anywhere}{}",
                capabilities("CAP_NET_RAW CAP_NET_ADMIN")
            ),
        }
    }

    #[test]
    fn every_floor_is_reached() {
        for floor in FLOORS {
            let needs = needs(floor.role);
            let exposure = scored(&needs);
            assert_eq!(exposure.raw, floor.raw, "{:?}", floor.role);
            assert_eq!(exposure.tenths, floor.tenths(false), "{:?}", floor.role);
            let rooted = scored(&format!("{needs}RootDirectory=/run/empty"));
            assert_eq!(rooted.tenths, floor.tenths(true), "{:?}", floor.role);
        }
        assert!(FLOORS.is_sorted_by_key(|floor| floor.raw));
    }

    #[test]
    fn the_floors_are_the_measured_ones() {
        let of = |role, rooted| Floor::of(role).map(|floor| floor.tenths(rooted));
        assert_eq!(of(Role::Closed, false), Some(2));
        assert_eq!(of(Role::Closed, true), Some(1));
        assert_eq!(of(Role::Devices, false), Some(4));
        assert_eq!(of(Role::Proxied, false), Some(5));
        assert_eq!(of(Role::Loopback, false), Some(9));
        assert_eq!(of(Role::Loopback, true), Some(9));
        assert_eq!(of(Role::Listed, false), Some(10));
        assert_eq!(of(Role::Host, false), Some(11));
        assert_eq!(of(Role::NetAdmin, false), Some(11));
        assert_eq!(of(Role::LowPort, false), Some(13));
        assert_eq!(of(Role::NetAdminLoopback, false), Some(14));
        assert_eq!(of(Role::NetAdminListed, false), Some(15));
        assert_eq!(of(Role::NetAdminHost, false), Some(15));
        assert_eq!(of(Role::NetRaw, false), Some(16));
        assert_eq!(of(Role::NetRawAdmin, false), Some(18));
    }
}
