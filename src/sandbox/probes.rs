//! What `robotctl doctor --probe` tries inside the sandbox of a service, and what a result says.
//!
//! Each row is one thing that the sandbox prevents. [`judge`] compares what happened inside the sandbox
//! with a control: the same attempt by an unprivileged user without a sandbox. Only an attempt that the sandbox
//! alone makes fail shows that a directive is in force.

use super::directives::DIRECTIVES;
use super::shape::{Network, Shape};
use nix::errno::Errno;
use schemars::JsonSchema;
use serde::Serialize;

/// The error of a system call that `SystemCallFilter=` denies in the unit of a probe
/// (`SystemCallErrorNumber=`). The kernel gives it for nothing else that is tried, so it shows the filter.
pub const FILTERED: Errno = Errno::EUCLEAN;

/// Something that the sandbox of a service prevents.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Stable name.
    pub id: &'static str,
    /// What is tried, as "writing to `/usr`".
    pub what: &'static str,
    /// The directives that prevent it, as in systemd.directives(7).
    pub directives: &'static [&'static str],
    /// The attempt: a name in the table of `host/attempts.rs`.
    pub attempt: &'static str,
    /// What the attempt needs to know.
    pub argument: Argument,
    /// The errors by which the kernel denies it.
    pub denied: &'static [Errno],
    /// What the host must have for the directives to work.
    pub needs: Facility,
    /// What the sandbox of a shape should do.
    pub expected: fn(&Shape) -> Expected,
}

/// What the sandbox of a service should do about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Prevent it.
    Denied,
    /// Allow it, because the manifest has this.
    Allowed(&'static str),
    /// Nothing: another directive already prevents it, or the service has no need for it.
    Irrelevant,
}

/// What an attempt needs to know about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// This text.
    Text(&'static str),
    /// The directory at this path of the host, which the attempt recognises by its inode.
    Inode(&'static str),
    /// The host's namespace of this kind, as in `/proc/PID/ns`.
    Namespace(&'static str),
    /// The name of a socket that robotctl opens in the network of the host (unix(7), "abstract").
    Listener,
    /// An address of this host that the service may not reach.
    Address,
    /// A directory that the service may write to.
    Directory,
    /// The path of a device that the service may not use.
    Device,
}

/// What a host must have for a directive to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facility {
    /// systemd may mount.
    Mounts,
    /// The kernel filters system calls (seccomp(2)).
    SystemCallFilter,
    /// systemd may load programs that filter packets.
    PacketFilter,
    /// systemd may load programs that filter devices, or the kernel has a controller for them.
    DeviceFilter,
    /// systemd may load programs that it compiled itself.
    BpfFramework,
    /// The kernel hides processes for one mount of `/proc` (Linux 5.8).
    ProcOptions,
    /// systemd may create user namespaces.
    UserNamespaces,
    /// Nothing that a host may lack.
    Kernel,
}

/// What an attempt gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It succeeded.
    Succeeded,
    /// It failed with this error.
    Failed(Errno),
    /// SIGSYS of a filter of system calls ended it.
    Killed,
    /// It could not be made.
    Unknown,
}

impl Tried {
    /// What a word of `host/attempts.rs` says.
    pub fn parse(word: &str) -> Self {
        match word {
            "ok" => Self::Succeeded,
            "killed" => Self::Killed,
            number => match number.parse() {
                Ok(number) => Self::Failed(Errno::from_raw(number)),
                Err(_) => Self::Unknown,
            },
        }
    }
}

/// What a probe shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The sandbox prevents it.
    Enforced,
    /// The sandbox should prevent it and does not.
    NoEffect,
    /// This host cannot prevent it.
    Unsupported,
    /// The manifest allows it.
    Allowed,
    /// It cannot be seen on this host.
    NotTested,
}

impl Status {
    /// The same in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::NoEffect => "no effect",
            Self::Unsupported => "unsupported",
            Self::Allowed => "allowed",
            Self::NotTested => "not tested",
        }
    }
}

/// What is known about an attempt before it is judged.
#[derive(Debug)]
pub struct Evidence {
    /// What happened in the sandbox.
    pub sandboxed: Tried,
    /// What happened to an unprivileged user without a sandbox.
    pub control: Tried,
    /// A directive of the probe that the manifest itself sets.
    pub raw_directive: Option<&'static str>,
    /// Whether a drop-in of the administrator sets a directive of the probe.
    pub is_changed: bool,
}

/// What was found about one probe in the sandbox of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProbeResult {
    /// Stable name of the probe.
    pub id: &'static str,
    /// What was tried.
    pub what: &'static str,
    /// The directives that prevent it.
    pub directives: Vec<&'static str>,
    /// What it shows.
    pub status: Status,
    /// Why, or what allows it; empty if there is nothing to say.
    pub why: String,
    /// The drop-ins of the administrator that set one of the directives.
    pub set_by: Vec<String>,
}

/// What was found in the sandbox that some services share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProbedSandbox {
    /// The units with this sandbox.
    pub units: Vec<String>,
    /// The user that they run as.
    pub user: String,
    /// The results, in the order in which they were tried; none if the sandbox could not be probed.
    pub results: Vec<ProbeResult>,
    /// Why it could not be probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What the evidence says, and why. `missing` says why this host cannot enforce the directives, if that is
/// known.
pub fn judge(
    probe: &Probe,
    expected: Expected,
    evidence: &Evidence,
    missing: impl FnOnce() -> Option<String>,
) -> (Status, String) {
    let Evidence {
        sandboxed,
        control,
        raw_directive,
        is_changed,
    } = *evidence;
    if let Expected::Allowed(by) = expected {
        return (Status::Allowed, by.to_owned());
    }
    let is_denied = match sandboxed {
        Tried::Failed(errno) => probe.denied.contains(&errno),
        Tried::Killed => true,
        Tried::Succeeded => false,
        Tried::Unknown => return (Status::NotTested, "it could not be tried".to_owned()),
    };
    if is_denied {
        return match (sandboxed, control) {
            (_, Tried::Unknown) => not_tested("it could not be tried without the sandbox"),
            (Tried::Failed(errno), same) if same == sandboxed => not_tested(&format!(
                "it fails without the sandbox too: {}",
                errno.desc()
            )),
            _ => (Status::Enforced, String::new()),
        };
    }
    if let Tried::Failed(errno) = sandboxed
        && control != sandboxed
    {
        // It is not known whether the sandbox would have made it fail.
        return not_tested(&format!("it fails for another reason: {}", errno.desc()));
    }
    if let Some(name) = raw_directive {
        return (Status::Allowed, format!("`directives` sets `{name}=`"));
    }
    match missing().filter(|_| !is_changed) {
        Some(why) => (Status::Unsupported, why),
        None => (Status::NoEffect, String::new()),
    }
}

fn not_tested(why: &str) -> (Status, String) {
    (Status::NotTested, why.to_owned())
}

/// The directives of a probe that a version of systemd does not have, with the version that does.
pub fn introduced_later(probe: &Probe, version: u16) -> Option<(&'static str, u16)> {
    let rows = DIRECTIVES.iter();
    let rows = rows.filter(|row| probe.directives.contains(&row.name));
    let mut known = rows.map(|row| (row.name, row.since));
    // One of several that is known is enough.
    known
        .clone()
        .all(|(_, since)| since > version)
        .then(|| known.next())
        .flatten()
}

fn denied(_: &Shape) -> Expected {
    Expected::Denied
}

/// Denied, unless the shape has this exception.
fn unless(shape: &Shape, exception: &'static str) -> Expected {
    unless_any(shape, &[exception])
}

/// Denied, unless the shape has one of these exceptions.
fn unless_any(shape: &Shape, exceptions: &[&'static str]) -> Expected {
    let mut exceptions = exceptions.iter();
    let allowed = exceptions.find(|name| shape.allows(name));
    allowed.map_or(Expected::Denied, |name| Expected::Allowed(name))
}

/// What gives a service a network, in words of the manifest.
fn network_key(shape: &Shape) -> &'static str {
    let exceptions = ["outbound", "loopback", "net-admin", "raw-net"];
    let named = exceptions.into_iter().find(|name| shape.allows(name));
    named.unwrap_or("its addresses")
}

/// Most rows have these.
const PLAIN: Probe = Probe {
    id: "",
    what: "",
    directives: &[],
    attempt: "",
    argument: Argument::None,
    denied: &[],
    needs: Facility::Kernel,
    expected: denied,
};

/// Every probe, in the order in which they are tried.
pub const PROBES: &[Probe] = &[
    Probe {
        id: "write-root",
        what: "writing to `/`",
        directives: &["ProtectSystem"],
        attempt: "write",
        argument: Argument::Text("/"),
        denied: &[Errno::EROFS],
        needs: Facility::Mounts,
        ..PLAIN
    },
    Probe {
        id: "write-usr",
        what: "writing to `/usr`",
        directives: &["ProtectSystem", "BindReadOnlyPaths"],
        attempt: "write",
        argument: Argument::Text("/usr"),
        denied: &[Errno::EROFS],
        needs: Facility::Mounts,
        ..PLAIN
    },
    Probe {
        id: "write-run",
        what: "writing to `/run`",
        directives: &["ReadOnlyPaths", "ProtectSystem"],
        attempt: "write",
        argument: Argument::Text("/run"),
        denied: &[Errno::EROFS],
        needs: Facility::Mounts,
        ..PLAIN
    },
    Probe {
        id: "execute",
        what: "executing a file that it wrote",
        directives: &["NoExecPaths"],
        attempt: "execute",
        argument: Argument::Directory,
        denied: &[Errno::EACCES],
        needs: Facility::Mounts,
        expected: |shape| unless(shape, "exec-writable"),
    },
    Probe {
        id: "home",
        what: "reading `/home`",
        directives: &["ProtectHome", "RootDirectory"],
        attempt: "same-directory",
        argument: Argument::Inode("/home"),
        denied: &[Errno::ENOENT],
        needs: Facility::Mounts,
        expected: |shape| unless(shape, "home"),
    },
    Probe {
        id: "tmp",
        what: "reading `/tmp` of the host",
        directives: &["PrivateTmp", "RootDirectory"],
        attempt: "same-directory",
        argument: Argument::Inode("/tmp"),
        denied: &[Errno::ENOENT],
        needs: Facility::Mounts,
        ..PLAIN
    },
    Probe {
        id: "shared-memory",
        what: "reading `/dev/shm` of the host",
        directives: &["TemporaryFileSystem"],
        attempt: "same-directory",
        argument: Argument::Inode("/dev/shm"),
        denied: &[Errno::ENOENT],
        needs: Facility::Mounts,
        expected: |shape| match shape.shares_memory {
            true => Expected::Allowed("read-write"),
            false => Expected::Denied,
        },
    },
    Probe {
        id: "device",
        what: "seeing a device of the host",
        directives: &["PrivateDevices"],
        attempt: "see",
        argument: Argument::Device,
        denied: &[Errno::ENOENT],
        needs: Facility::Mounts,
        expected: |shape| match shape.devices.is_empty() {
            true => Expected::Denied,
            false => Expected::Allowed("devices"),
        },
    },
    Probe {
        id: "open-device",
        what: "opening a device that is not listed",
        directives: &["DevicePolicy"],
        attempt: "open",
        argument: Argument::Device,
        denied: &[Errno::EPERM],
        needs: Facility::DeviceFilter,
        // Otherwise it does not even see the device.
        expected: |shape| match shape.devices.is_empty() {
            true => Expected::Irrelevant,
            false => Expected::Denied,
        },
    },
    Probe {
        id: "users",
        what: "sharing the users of the host",
        directives: &["PrivateUsers"],
        attempt: "same-namespace",
        argument: Argument::Namespace("user"),
        denied: &[Errno::ENOENT],
        needs: Facility::UserNamespaces,
        expected: |shape| match (shape.private_users, shape.allows("host-users")) {
            (true, _) => Expected::Denied,
            (false, true) => Expected::Allowed("host-users"),
            (false, false) => Expected::Allowed("its capabilities"),
        },
    },
    Probe {
        id: "ipc",
        what: "using message queues and shared memory of other programs",
        directives: &["PrivateIPC"],
        attempt: "same-namespace",
        argument: Argument::Namespace("ipc"),
        denied: &[Errno::ENOENT],
        needs: Facility::Mounts,
        ..PLAIN
    },
    Probe {
        id: "processes",
        what: "seeing processes of other users",
        directives: &["ProtectProc"],
        attempt: "open",
        argument: Argument::Text("/proc/1/stat"),
        denied: &[Errno::ENOENT],
        needs: Facility::ProcOptions,
        expected: |shape| unless(shape, "host-processes"),
    },
    Probe {
        id: "proc-files",
        what: "reading kernel settings in `/proc`",
        directives: &["ProcSubset"],
        attempt: "open",
        argument: Argument::Text("/proc/meminfo"),
        denied: &[Errno::ENOENT],
        needs: Facility::ProcOptions,
        expected: |shape| unless_any(shape, &["proc-files", "host-processes"]),
    },
    Probe {
        id: "cgroups",
        what: "changing control groups",
        directives: &["ProtectControlGroups"],
        attempt: "write",
        argument: Argument::Text("/sys/fs/cgroup"),
        denied: &[Errno::EROFS],
        needs: Facility::Mounts,
        ..PLAIN
    },
    Probe {
        id: "socket",
        what: "opening an Internet socket",
        directives: &["RestrictAddressFamilies"],
        attempt: "socket",
        argument: Argument::Text("inet"),
        denied: &[Errno::EAFNOSUPPORT],
        needs: Facility::SystemCallFilter,
        expected: |shape| match shape.families.contains(&"AF_INET") {
            true => Expected::Allowed(network_key(shape)),
            false => Expected::Denied,
        },
    },
    Probe {
        id: "netlink",
        what: "opening a netlink socket",
        directives: &["RestrictAddressFamilies"],
        attempt: "socket",
        argument: Argument::Text("netlink"),
        denied: &[Errno::EAFNOSUPPORT],
        needs: Facility::SystemCallFilter,
        expected: |shape| unless_any(shape, &["netlink", "net-admin"]),
    },
    Probe {
        id: "connect",
        what: "connecting to a socket in the network of the host",
        directives: &["PrivateNetwork"],
        attempt: "connect",
        argument: Argument::Listener,
        denied: &[Errno::ECONNREFUSED],
        needs: Facility::Mounts,
        expected: |shape| match shape.network {
            Network::None | Network::Namespace => Expected::Denied,
            _ => Expected::Allowed(network_key(shape)),
        },
    },
    Probe {
        id: "send",
        what: "sending a packet to an address that is not listed",
        directives: &["IPAddressDeny"],
        attempt: "send",
        argument: Argument::Address,
        denied: &[Errno::EPERM],
        needs: Facility::PacketFilter,
        expected: |shape| match shape.network {
            Network::Loopback | Network::Listed => Expected::Denied,
            Network::Host => Expected::Allowed(network_key(shape)),
            // It has no socket, or no network, to send the packet with.
            Network::None | Network::Namespace | Network::NoIp => Expected::Irrelevant,
        },
    },
    Probe {
        id: "bind",
        what: "opening a port that is not listed",
        directives: &["SocketBindDeny"],
        attempt: "bind",
        denied: &[Errno::EPERM],
        needs: Facility::BpfFramework,
        expected: |shape| match (&shape.ports, shape.network) {
            (Some(_), _) => Expected::Denied,
            // Its ports are none of the host.
            (None, Network::None | Network::Namespace | Network::NoIp) => Expected::Irrelevant,
            (None, _) if shape.allows("bind-any") => Expected::Allowed("bind-any"),
            (None, _) => Expected::Allowed(network_key(shape)),
        },
        ..PLAIN
    },
    Probe {
        id: "unshare",
        what: "creating a namespace",
        directives: &["RestrictNamespaces"],
        attempt: "unshare",
        denied: &[Errno::EPERM],
        needs: Facility::SystemCallFilter,
        ..PLAIN
    },
    Probe {
        id: "memory",
        what: "making writable memory executable",
        directives: &["MemoryDenyWriteExecute"],
        attempt: "memory",
        // The kernel denies it with EACCES, if systemd asks it to (PR_SET_MDWE).
        denied: &[Errno::EPERM, Errno::EACCES],
        needs: Facility::SystemCallFilter,
        expected: |shape| unless(shape, "jit"),
        ..PLAIN
    },
    Probe {
        id: "ptrace",
        what: "tracing a process",
        directives: &["SystemCallFilter"],
        attempt: "ptrace",
        denied: &[FILTERED, Errno::EPERM],
        needs: Facility::SystemCallFilter,
        ..PLAIN
    },
    Probe {
        id: "module",
        what: "loading a kernel module",
        directives: &["SystemCallFilter", "ProtectKernelModules"],
        attempt: "module",
        denied: &[FILTERED, Errno::EPERM],
        needs: Facility::SystemCallFilter,
        ..PLAIN
    },
    Probe {
        id: "io-uring",
        what: "using io_uring",
        directives: &["SystemCallFilter"],
        attempt: "io-uring",
        denied: &[FILTERED, Errno::EPERM, Errno::ENOSYS],
        needs: Facility::SystemCallFilter,
        expected: |shape| unless(shape, "io-uring"),
        ..PLAIN
    },
    Probe {
        id: "setuid",
        what: "making a setuid file",
        directives: &["RestrictSUIDSGID"],
        attempt: "setuid",
        denied: &[Errno::EPERM],
        needs: Facility::SystemCallFilter,
        ..PLAIN
    },
    Probe {
        id: "personality",
        what: "changing the execution domain",
        directives: &["LockPersonality"],
        attempt: "personality",
        denied: &[Errno::EPERM],
        needs: Facility::SystemCallFilter,
        ..PLAIN
    },
    Probe {
        id: "privileges",
        what: "gaining privileges through a setuid program",
        directives: &["NoNewPrivileges"],
        attempt: "privileges",
        denied: &[Errno::EPERM],
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::{DIRECTIVES, Evidence, Expected, PROBES, Status, Tried, introduced_later, judge};
    use crate::sandbox::shape::{Listener, Needs, Shape};
    use nix::errno::Errno;
    use std::collections::BTreeSet;

    #[test]
    fn every_probe_has_an_id_of_its_own_and_directives_that_are_generated() {
        let ids: BTreeSet<&str> = PROBES.iter().map(|probe| probe.id).collect();
        assert_eq!(ids.len(), PROBES.len());
        for probe in PROBES {
            assert!(!probe.denied.is_empty() && !probe.what.is_empty());
            for name in probe.directives {
                let known = DIRECTIVES.iter().any(|row| row.name == *name);
                assert!(known, "{}: {name}", probe.id);
            }
        }
    }

    fn probe(id: &str) -> &'static super::Probe {
        PROBES.iter().find(|probe| probe.id == id).unwrap()
    }

    fn verdict(id: &str, sandboxed: Tried, control: Tried) -> Status {
        let evidence = Evidence {
            sandboxed,
            control,
            raw_directive: None,
            is_changed: false,
        };
        judge(probe(id), Expected::Denied, &evidence, || None).0
    }

    #[test]
    fn only_what_the_sandbox_alone_denies_is_enforced() {
        let failed = Tried::Failed;
        let (read_only, access) = (failed(Errno::EROFS), failed(Errno::EACCES));
        for (id, sandboxed, control, expected) in [
            ("write-usr", read_only, access, Status::Enforced),
            // `/usr` of the host is read-only.
            ("write-usr", read_only, read_only, Status::NotTested),
            // Only the owner of the directory prevents it.
            ("write-usr", access, access, Status::NoEffect),
            ("execute", access, Tried::Succeeded, Status::Enforced),
            // The host does not execute files there either.
            ("execute", access, access, Status::NotTested),
            (
                "execute",
                Tried::Succeeded,
                Tried::Succeeded,
                Status::NoEffect,
            ),
            (
                "execute",
                failed(Errno::ENOSPC),
                Tried::Succeeded,
                Status::NotTested,
            ),
            (
                "ptrace",
                Tried::Killed,
                failed(Errno::ESRCH),
                Status::Enforced,
            ),
            (
                "ptrace",
                failed(Errno::ESRCH),
                failed(Errno::ESRCH),
                Status::NoEffect,
            ),
            (
                "ptrace",
                Tried::Unknown,
                failed(Errno::ESRCH),
                Status::NotTested,
            ),
            (
                "ptrace",
                failed(Errno::EUCLEAN),
                Tried::Unknown,
                Status::NotTested,
            ),
            // Another filter around the host denies it too, with its own error.
            (
                "ptrace",
                failed(Errno::EUCLEAN),
                failed(Errno::EPERM),
                Status::Enforced,
            ),
            (
                "ptrace",
                failed(Errno::EPERM),
                failed(Errno::EPERM),
                Status::NotTested,
            ),
        ] {
            let found = verdict(id, sandboxed, control);
            assert_eq!(found, expected, "{id}: {sandboxed:?} {control:?}");
        }
    }

    #[test]
    fn a_host_that_cannot_enforce_a_directive_is_named_unless_somebody_switched_it_off() {
        let raw = Some("SocketBindDeny");
        let missing = Some("why");
        for (raw_directive, is_changed, missing, status, why) in [
            (None, false, missing, Status::Unsupported, "why"),
            (None, true, missing, Status::NoEffect, ""),
            (None, false, None, Status::NoEffect, ""),
            (
                raw,
                false,
                missing,
                Status::Allowed,
                "`directives` sets `SocketBindDeny=`",
            ),
        ] {
            let evidence = Evidence {
                sandboxed: Tried::Succeeded,
                control: Tried::Succeeded,
                raw_directive,
                is_changed,
            };
            let missing = || missing.map(str::to_owned);
            let found = judge(probe("bind"), Expected::Denied, &evidence, missing);
            assert_eq!((found.0, found.1.as_str()), (status, why));
        }
    }

    #[test]
    fn the_manifest_decides_what_is_allowed() {
        let shape = |listener: Listener, allow: &[&'static str]| {
            Shape::new(Needs {
                listener,
                allow: allow.iter().copied().collect(),
                ..Needs::default()
            })
        };
        let expected = |shape: &Shape, id: &str| (probe(id).expected)(shape);
        let closed = shape(Listener::Inherited, &[]);
        for probe in PROBES {
            let found = (probe.expected)(&closed);
            let is_elsewhere = ["send", "bind", "open-device"].contains(&probe.id);
            let wanted = match is_elsewhere {
                true => Expected::Irrelevant,
                false => Expected::Denied,
            };
            assert_eq!(found, wanted, "{}", probe.id);
        }
        let open = shape(Listener::Inherited, &["jit", "loopback", "low-port"]);
        assert_eq!(expected(&open, "memory"), Expected::Allowed("jit"));
        assert_eq!(expected(&open, "socket"), Expected::Allowed("loopback"));
        assert_eq!(expected(&open, "send"), Expected::Denied);
        assert_eq!(expected(&open, "bind"), Expected::Denied);
        assert_eq!(
            expected(&open, "users"),
            Expected::Allowed("its capabilities")
        );
        let public = shape(
            Listener::Own {
                ports: vec![80],
                public: true,
            },
            &[],
        );
        assert_eq!(
            expected(&public, "send"),
            Expected::Allowed("its addresses")
        );
    }

    #[test]
    fn a_directive_that_systemd_gets_later_is_unsupported() {
        assert_eq!(
            introduced_later(probe("ipc"), 247),
            Some(("PrivateIPC", 248))
        );
        assert_eq!(introduced_later(probe("ipc"), 248), None);
        // `ProtectSystem=` is older than `BindReadOnlyPaths=`.
        assert_eq!(introduced_later(probe("write-usr"), 232), None);
    }
}
