//! Every hardening directive, once: since which systemd, with which value, and why.
//!
//! The floor of each shape follows from this table. The reference document is generated from it.

use super::prefix::words;
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
    /// What it does, as a predicate.
    pub effect: &'static str,
    /// Its values for a shape, one per line; none if it is not written.
    pub value: fn(&Shape) -> Vec<String>,
}

/// What most rows of the table have in common.
const PLAIN: Directive = Directive {
    name: "",
    since: 0,
    enforced: 0,
    newer: None,
    effect: "",
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

/// System calls of `@system-service` that few programs need, each with the exception that allows them.
///
/// The kernel runs the operations of io_uring(7) itself, so that no filter of system calls sees them: a
/// socket of any family can be made with them.
pub(super) const DENIED: &[(&str, &[&str])] = &[
    ("nice", &["@resources"]),
    ("keyring", &["@keyring"]),
    (
        "io-uring",
        &["io_uring_setup", "io_uring_enter", "io_uring_register"],
    ),
    ("userfaultfd", &["userfaultfd"]),
];

/// The table, in the order of the lines in the drop-in.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "RootDirectory",
        since: 233,
        effect: "hides files that are not on an allow-list",
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
        effect: "mounts /proc, /dev and /sys in the root directory of the service",
        value: |shape| if shape.rooted { is("yes") } else { Vec::new() },
        ..PLAIN
    },
    Directive {
        name: "BindReadOnlyPaths",
        since: 233,
        effect: "makes programs and libraries visible and read-only",
        value: |shape| {
            let mut out = Vec::new();
            if shape.rooted {
                out.extend(is(ROOT_FILES));
                if matches!(
                    shape.network,
                    Network::Host | Network::Listed | Network::Loopback
                ) {
                    out.extend(is(NET_FILES));
                }
                if !shape.files.is_empty() {
                    let files: Vec<String> =
                        shape.files.iter().map(|path| format!("-{path}")).collect();
                    out.push(files.join(" "));
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
        name: "ReadOnlyPaths",
        since: 233,
        effect: "prevents writing to `/run` outside the service's own directory",
        // systemd mounts a /run of its own in the root directory, and lets every user write to it. For a
        // service that sees the files of the host, `ProtectSystem=strict` leaves /run out, if another
        // directive makes systemd mount /proc or /sys.
        value: |shape| is(if shape.rooted { "+/run" } else { "/run" }),
        ..PLAIN
    },
    Directive {
        name: "NoNewPrivileges",
        since: 187,
        effect: "prevents gaining privileges through a setuid program",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectSystem",
        since: 214,
        effect: "prevents writing outside the service's own directories",
        value: |_| is("strict"),
        ..PLAIN
    },
    Directive {
        name: "ProtectHome",
        since: 214,
        effect: "hides home directories",
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
        effect: "hides temporary files of other programs",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "PrivateMounts",
        since: 239,
        effect: "hides the service's mounts from other processes",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "PrivateDevices",
        since: 209,
        effect: "prevents access to hardware",
        value: |shape| yes_if(shape.devices.is_empty()),
        ..PLAIN
    },
    Directive {
        name: "DevicePolicy",
        since: 208,
        effect: "prevents opening devices that are not listed",
        value: |_| is("closed"),
        ..PLAIN
    },
    Directive {
        name: "DeviceAllow",
        since: 208,
        effect: "allows the devices that the service needs",
        value: |shape| shape.devices.clone(),
        ..PLAIN
    },
    Directive {
        name: "PrivateUsers",
        since: 232,
        effect: "prevents acting as another user of the host",
        value: |shape| yes_if(shape.private_users),
        ..PLAIN
    },
    Directive {
        name: "PrivateIPC",
        since: 248,
        effect: "hides message queues and System V shared memory of other programs",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "TemporaryFileSystem",
        since: 238,
        effect: "hides POSIX shared memory of other programs",
        // systemd does not mount what `NoExecPaths=` also lists, so `noexec` is an option of the mount.
        value: |shape| match (shape.shares_memory, shape.allows("exec-writable")) {
            (true, _) => Vec::new(),
            (false, true) => is("/dev/shm:mode=1777,nosuid,nodev"),
            (false, false) => is("/dev/shm:mode=1777,nosuid,nodev,noexec"),
        },
        ..PLAIN
    },
    Directive {
        name: "PrivateNetwork",
        since: 33,
        effect: "prevents use of the host's network",
        value: |shape| yes_if(matches!(shape.network, Network::None | Network::Namespace)),
        ..PLAIN
    },
    Directive {
        name: "IPAddressDeny",
        since: 235,
        effect: "prevents exchanging packets with any address",
        value: |shape| match shape.network {
            Network::Host if shape.closed.is_empty() => Vec::new(),
            Network::Host => vec![words(&shape.closed)],
            _ => is("any"),
        },
        ..PLAIN
    },
    Directive {
        name: "IPAddressAllow",
        since: 235,
        effect: "allows the addresses that the service needs",
        value: |shape| {
            let peers = words(&shape.peers);
            if peers.is_empty() {
                Vec::new()
            } else {
                vec![peers]
            }
        },
        ..PLAIN
    },
    Directive {
        name: "SocketBindDeny",
        since: 249,
        enforced: 257,
        effect: "prevents opening ports that the manifest does not list",
        value: |shape| {
            if shape.ports.is_none() {
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
        effect: "allows the ports that the service needs",
        value: |shape| {
            let ports = shape.ports.iter().flatten();
            ports.map(|port| format!("tcp:{port}")).collect()
        },
        ..PLAIN
    },
    Directive {
        name: "RestrictAddressFamilies",
        since: 211,
        effect: "prevents opening sockets of other families",
        value: |shape| vec![shape.families.join(" ")],
        ..PLAIN
    },
    Directive {
        name: "ProtectProc",
        since: 247,
        effect: "hides processes of other users",
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
        effect: "hides kernel settings in /proc",
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
        effect: "prevents setting the clock",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectControlGroups",
        since: 232,
        newer: Some((257, "strict")),
        effect: "prevents changing control groups",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectHostname",
        since: 242,
        effect: "prevents setting the host name",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectKernelLogs",
        since: 244,
        effect: "prevents reading the kernel log",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectKernelModules",
        since: 232,
        effect: "prevents loading kernel modules",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "ProtectKernelTunables",
        since: 232,
        effect: "prevents changing kernel settings",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "LockPersonality",
        since: 235,
        effect: "prevents changing the execution domain",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "MemoryDenyWriteExecute",
        since: 231,
        effect: "prevents creating memory that is writable and executable",
        value: |shape| yes_if(!shape.allows("jit")),
        ..PLAIN
    },
    Directive {
        name: "RestrictNamespaces",
        since: 233,
        effect: "prevents creating namespaces",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "RestrictRealtime",
        since: 231,
        effect: "prevents using real-time scheduling",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "RestrictSUIDSGID",
        since: 242,
        effect: "prevents creating setuid files",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "RemoveIPC",
        since: 232,
        effect: "removes the service's shared memory when it stops",
        value: yes,
        ..PLAIN
    },
    Directive {
        name: "KeyringMode",
        since: 235,
        effect: "gives the service a kernel keyring of its own",
        value: |_| is("private"),
        ..PLAIN
    },
    Directive {
        name: "UMask",
        since: 1,
        effect: "prevents others from reading files that the service creates",
        value: |_| is("0077"),
        ..PLAIN
    },
    Directive {
        name: "CapabilityBoundingSet",
        since: 21,
        effect: "prevents gaining a capability later",
        value: |_| is(""),
        ..PLAIN
    },
    Directive {
        name: "AmbientCapabilities",
        since: 229,
        effect: "starts the service without capabilities",
        value: |_| is(""),
        ..PLAIN
    },
    Directive {
        name: "SystemCallArchitectures",
        since: 209,
        effect: "prevents system calls of other architectures",
        value: |_| is("native"),
        ..PLAIN
    },
    Directive {
        name: "SystemCallFilter",
        since: 187,
        effect: "prevents system calls that services do not need",
        value: |shape| {
            let mut allow = vec!["@system-service"];
            let mut deny = vec!["@privileged"];
            let groups = DENIED.iter().filter(|(name, _)| !shape.allows(name));
            deny.extend(groups.flat_map(|(_, calls)| *calls));
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
        effect: "makes a denied system call fail instead of ending the service",
        value: |_| is("EPERM"),
        ..PLAIN
    },
    Directive {
        name: "NoExecPaths",
        since: 248,
        effect: "prevents executing files that the service can write",
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
