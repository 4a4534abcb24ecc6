//! Every hardening directive, once: since which systemd, with which value, and why.
//!
//! The floor of each shape follows from this table. The reference document is generated from it.

use super::shape::{Network, Shape};
use crate::units::Target;

/// The empty directory that is `/` of a service whose root shows only an allow-list.
pub const EMPTY_ROOT: &str = "/run/robotctl/root";

/// One directive of `10-hardening.conf`.
#[derive(Debug, Clone, Copy)]
pub struct Directive {
    /// As in systemd.directives(7).
    pub name: &'static str,
    /// The systemd version that introduced it.
    pub since: u16,
    /// The version from which Debian's systemd enforces it, where that is later.
    pub enforced: u16,
    /// A stricter word than `yes`, and the version that introduced it. Two are not used because
    /// they break services: `PrivateTmp=disconnected` moves /var/tmp into memory, and with
    /// `PrivatePIDs=` the process is PID 1 of its namespace and ignores SIGTERM by default.
    pub newer: Option<(u16, &'static str)>,
    /// What it keeps the service from doing.
    pub keeps_from: &'static str,
    /// Its values for a shape, one per line; none if it is not written.
    pub value: fn(&Shape) -> Vec<String>,
}

/// What most rows of the table have in common.
const PLAIN: Directive = Directive {
    name: "",
    since: 0,
    enforced: 0,
    newer: None,
    keeps_from: "",
    value: |_| Vec::new(),
};

impl Directive {
    /// Its values for a shape on a target. A portable unit has the old word first: a version that
    /// does not know the new word keeps the old one. With the new word alone, it would drop the
    /// restriction.
    fn values(&self, shape: &Shape, target: Target) -> Vec<String> {
        let mut values = (self.value)(shape);
        if let Some((since, word)) = self.newer
            && values == ["yes"]
            && target.has(since)
        {
            match target {
                Target::Version(_) => values = vec![word.into()],
                Target::Portable => values.push(word.into()),
            }
        }
        values
    }
}

/// The name and value of each line for a shape on a target.
pub fn lines(shape: &Shape, target: Target) -> Vec<(&'static str, String)> {
    let known = DIRECTIVES.iter().filter(|row| target.has(row.since));
    known
        .flat_map(|row| {
            let values = row.values(shape, target).into_iter();
            values.map(move |value| (row.name, value))
        })
        .collect()
}

fn yes(_: &Shape) -> Vec<String> {
    vec!["yes".into()]
}

fn is(value: &'static str) -> Vec<String> {
    vec![value.into()]
}

fn yes_if(condition: bool) -> Vec<String> {
    is(if condition { "yes" } else { "no" })
}

/// Files that programs need on any host.
const ROOT_FILES: &str = "/usr -/bin -/sbin -/lib -/lib64 -/lib32 -/libx32 -/etc/passwd -/etc/group \
-/etc/nsswitch.conf -/etc/hosts -/etc/services -/etc/ld.so.cache -/etc/localtime -/etc/ssl \
-/etc/alternatives -/etc/mime.types";
/// Files that a program also needs to find other hosts.
const NET_FILES: &str = "-/etc/resolv.conf -/etc/gai.conf";

/// The table, in the order of the lines in the drop-in.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "RootDirectory",
        since: 233,
        keeps_from: "seeing files that are not on an allow-list",
        value: |shape| {
            if shape.rooted {
                is(EMPTY_ROOT)
            } else {
                Vec::new()
            }
        },
        ..PLAIN
    },
    Directive {
        name: "MountAPIVFS",
        since: 233,
        keeps_from: "nothing: it mounts /proc, /dev and /sys in its root",
        value: |shape| if shape.rooted { is("yes") } else { Vec::new() },
        ..PLAIN
    },
    Directive {
        name: "BindReadOnlyPaths",
        since: 233,
        keeps_from: "changing programs and libraries",
        value: |shape| {
            let mut out = Vec::new();
            if shape.rooted {
                out.extend(is(ROOT_FILES));
                if matches!(shape.network, Network::Host | Network::Loopback) {
                    out.extend(is(NET_FILES));
                }
                if shape.allows("home") {
                    out.extend(is("-/home -/root"));
                }
                if shape.allows("system-bus") {
                    out.extend(is("-/run/dbus/system_bus_socket -/run/systemd/system"));
                }
            }
            out
        },
        ..PLAIN
    },
    Directive {
        name: "NoNewPrivileges",
        since: 187,
        keeps_from: "gaining privileges through a setuid program",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectSystem",
        since: 214,
        keeps_from: "writing outside its own directories",
        value: |_| is("strict"),
        ..PLAIN
    },
    Directive {
        name: "ProtectHome",
        since: 214,
        keeps_from: "seeing home directories",
        value: |shape| {
            is(if shape.allows("home") {
                "read-only"
            } else {
                "yes"
            })
        },
        ..PLAIN
    },
    Directive {
        name: "PrivateTmp",
        since: 183,
        keeps_from: "seeing temporary files of other programs",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "PrivateMounts",
        since: 239,
        keeps_from: "making mounts that others see",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "PrivateDevices",
        since: 209,
        keeps_from: "accessing hardware",
        value: |shape| yes_if(shape.devices.is_empty()),
        ..PLAIN
    },
    Directive {
        name: "DevicePolicy",
        since: 208,
        keeps_from: "opening devices that are not listed",
        value: |_| is("closed"),
        ..PLAIN
    },
    Directive {
        name: "DeviceAllow",
        since: 208,
        keeps_from: "nothing: it lists the devices that it needs",
        value: |shape| shape.devices.clone(),
        ..PLAIN
    },
    Directive {
        name: "PrivateUsers",
        since: 232,
        keeps_from: "acting as another user of the host",
        value: |shape| yes_if(shape.private_users),
        ..PLAIN
    },
    Directive {
        name: "PrivateIPC",
        since: 248,
        keeps_from: "accessing shared memory of other programs",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "PrivateNetwork",
        since: 33,
        keeps_from: "using the host's network",
        value: |shape| yes_if(matches!(shape.network, Network::None | Network::Namespace)),
        ..PLAIN
    },
    Directive {
        name: "IPAddressDeny",
        since: 235,
        keeps_from: "exchanging packets with any address",
        value: |shape| match shape.network {
            Network::Host => Vec::new(),
            _ => is("any"),
        },
        ..PLAIN
    },
    Directive {
        name: "IPAddressAllow",
        since: 235,
        keeps_from: "nothing: it lists the addresses that it needs",
        value: |shape| match shape.network {
            Network::Namespace | Network::Loopback => is("localhost"),
            _ => Vec::new(),
        },
        ..PLAIN
    },
    Directive {
        name: "SocketBindDeny",
        since: 249,
        enforced: 257,
        keeps_from: "opening ports that the manifest does not list",
        value: |shape| {
            if shape.ports.is_empty() {
                Vec::new()
            } else {
                is("any")
            }
        },
        ..PLAIN
    },
    Directive {
        name: "SocketBindAllow",
        since: 249,
        enforced: 257,
        keeps_from: "nothing: it lists the ports that it needs",
        value: |shape| {
            let ports = shape.ports.iter();
            ports.map(|port| format!("tcp:{port}")).collect()
        },
        ..PLAIN
    },
    Directive {
        name: "RestrictAddressFamilies",
        since: 211,
        keeps_from: "opening sockets of other families",
        value: |shape| vec![shape.families.join(" ")],
        ..PLAIN
    },
    Directive {
        name: "ProtectProc",
        since: 247,
        keeps_from: "seeing processes of other users",
        value: |shape| {
            is(if shape.allows("host-processes") {
                "default"
            } else {
                "invisible"
            })
        },
        ..PLAIN
    },
    Directive {
        name: "ProcSubset",
        since: 247,
        keeps_from: "reading kernel settings in /proc",
        value: |shape| {
            is(
                if shape.allows("proc-files") || shape.allows("host-processes") {
                    "all"
                } else {
                    "pid"
                },
            )
        },
        ..PLAIN
    },
    Directive {
        name: "ProtectClock",
        since: 245,
        keeps_from: "setting the clock",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectControlGroups",
        since: 232,
        newer: Some((257, "strict")),
        keeps_from: "changing control groups",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectHostname",
        since: 242,
        keeps_from: "setting the host name",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectKernelLogs",
        since: 244,
        keeps_from: "reading the kernel log",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectKernelModules",
        since: 232,
        keeps_from: "loading kernel modules",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectKernelTunables",
        since: 232,
        keeps_from: "changing kernel settings",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "LockPersonality",
        since: 235,
        keeps_from: "changing its execution domain",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "MemoryDenyWriteExecute",
        since: 231,
        keeps_from: "creating memory that is writable and executable",
        value: |shape| yes_if(!shape.allows("jit")),
        ..PLAIN
    },
    Directive {
        name: "RestrictNamespaces",
        since: 233,
        keeps_from: "creating namespaces",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "RestrictRealtime",
        since: 231,
        keeps_from: "using real-time scheduling",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "RestrictSUIDSGID",
        since: 242,
        keeps_from: "creating setuid files",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "RemoveIPC",
        since: 232,
        keeps_from: "leaving shared memory behind",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "KeyringMode",
        since: 235,
        keeps_from: "sharing a kernel keyring",
        value: |_| is("private"),
        ..PLAIN
    },
    Directive {
        name: "UMask",
        since: 1,
        keeps_from: "creating files that others can read",
        value: |_| is("0077"),
        ..PLAIN
    },
    Directive {
        name: "CapabilityBoundingSet",
        since: 21,
        keeps_from: "gaining a capability later",
        value: |_| is(""),
        ..PLAIN
    },
    Directive {
        name: "AmbientCapabilities",
        since: 229,
        keeps_from: "starting with a capability",
        value: |_| is(""),
        ..PLAIN
    },
    Directive {
        name: "SystemCallArchitectures",
        since: 209,
        keeps_from: "making system calls of other architectures",
        value: |_| is("native"),
        ..PLAIN
    },
    Directive {
        name: "SystemCallFilter",
        since: 187,
        keeps_from: "making system calls that services do not need",
        value: |shape| {
            let mut allow = vec!["@system-service"];
            let mut deny = vec!["@privileged", "@resources"];
            if shape.allows("nice") {
                deny.retain(|group| *group != "@resources");
            }
            if shape.allows("pkey") {
                allow.push("@pkey");
            }
            let mut out = vec![allow.join(" "), format!("~{}", deny.join(" "))];
            if shape.allows("setuid-self") {
                // With private users there is no other user to become, so that success without
                // effect is enough. Otherwise the calls must work.
                out.push(if shape.private_users {
                    "~@chown:0 @setuid:0".into()
                } else {
                    "@chown @setuid".into()
                });
            }
            out
        },
        ..PLAIN
    },
    Directive {
        name: "SystemCallErrorNumber",
        since: 209,
        keeps_from: "being killed by a denied system call: the call fails instead",
        value: |_| is("EPERM"),
        ..PLAIN
    },
    Directive {
        name: "NoExecPaths",
        since: 248,
        keeps_from: "executing files that it can write",
        value: |shape| {
            if shape.allows("exec-writable") {
                return Vec::new();
            }
            // Without `+` these would be paths of the host, which are not visible in its root.
            let sign = if shape.rooted { "-+" } else { "-" };
            let paths = shape.writable.iter().map(|path| format!("{sign}{path}"));
            vec![paths.collect::<Vec<_>>().join(" ")]
        },
        ..PLAIN
    },
];

/// Directives that Debian's systemd accepts before it enforces them: name, enforced since, why.
pub const UNENFORCED: &[(&str, u16, &str)] = &[
    ("RestrictNetworkInterfaces", 257, BPF),
    ("SocketBindAllow", 257, BPF),
    ("SocketBindDeny", 257, BPF),
    (
        "RestrictFileSystems",
        u16::MAX,
        "it needs the kernel's security module `bpf`",
    ),
];
const BPF: &str = "Debian's systemd has the BPF programs for it from 257 on";

#[cfg(test)]
mod tests {
    use super::{DIRECTIVES, UNENFORCED};

    #[test]
    fn a_directive_that_is_enforced_later_is_listed_as_unenforced() {
        for row in DIRECTIVES.iter().filter(|row| row.enforced > row.since) {
            let known = UNENFORCED
                .iter()
                .any(|(name, enforced, _)| *name == row.name && *enforced == row.enforced);
            assert!(known, "{}", row.name);
        }
    }
}
