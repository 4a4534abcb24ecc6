//! What a service may do beyond the floor: named exceptions, presets, and the [`Shape`] that
//! decides every hardening directive.

use super::App;
use super::lines::{Device, Line};
use super::names::AbsPath;
use super::service::{Service, Socket};
use std::collections::BTreeSet;

/// A named exception of `allow = [...]`.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// The word in the manifest.
    pub name: &'static str,
    /// What it opens.
    pub opens: &'static str,
    /// Who needs it, and how it shows when it is missing.
    pub needed_by: &'static str,
}

/// Every exception, alphabetically. Documents are generated from this table.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "bind-any",
        opens: "`SocketBindDeny=` is left out: the service may bind other ports than it lists",
        needed_by: "servers with ports of their own choice; shows as `Operation not permitted` on bind",
    },
    Exception {
        name: "exec-writable",
        opens: "`NoExecPaths=` is left out: files in writable directories may be executed",
        needed_by: "programs that unpack and run helpers; shows as `Permission denied` on exec",
    },
    Exception {
        name: "home",
        opens: "`ProtectHome=read-only`: home directories are readable",
        needed_by: "programs that read files under `/home`; shows as `No such file or directory`",
    },
    Exception {
        name: "host-files",
        opens: "the whole file system is visible, read-only, in place of an allow-list root",
        needed_by: "diagnostic tools and programs whose files lie outside the release and `/usr`",
    },
    Exception {
        name: "host-processes",
        opens: "`ProtectProc=default`, `ProcSubset=all`: other users' processes are visible",
        needed_by: "process monitors; shows as missing processes",
    },
    Exception {
        name: "host-users",
        opens: "`PrivateUsers=no`: owners of files and processes show as on the host",
        needed_by: "programs that compare owners; shows as files owned by `nobody`",
    },
    Exception {
        name: "jit",
        opens: "`MemoryDenyWriteExecute=no`",
        needed_by: "node (not with `--jitless`), Java, LuaJIT, .NET, cffi callbacks; shows as SIGTRAP or MemoryError",
    },
    Exception {
        name: "low-port",
        opens: "`CAP_NET_BIND_SERVICE`, `PrivateUsers=no`",
        needed_by: "`socket = \"direct\"` on a port below 1024; prefer socket activation",
    },
    Exception {
        name: "net-admin",
        opens: "`CAP_NET_ADMIN`, `AF_NETLINK`, the host's network, `PrivateUsers=no`",
        needed_by: "programs that configure interfaces; shows as `RTNETLINK: Operation not permitted`",
    },
    Exception {
        name: "netlink",
        opens: "`AF_NETLINK`",
        needed_by: "getifaddrs, node's networkInterfaces; shows as errno 97",
    },
    Exception {
        name: "nice",
        opens: "system calls of `@resources`",
        needed_by: "os.nice, setpriority, sched_*; shows as `Operation not permitted`",
    },
    Exception {
        name: "outbound",
        opens: "the host's network with `AF_INET` and `AF_INET6`, no address filter",
        needed_by: "clients of other hosts; shows as `Network is unreachable`",
    },
    Exception {
        name: "pkey",
        opens: "system calls of `@pkey`",
        needed_by: "V8; shows as SIGSYS with an empty log",
    },
    Exception {
        name: "proc-files",
        opens: "`ProcSubset=all`: `/proc/meminfo`, `/proc/cpuinfo`, `/proc/sys`",
        needed_by: "programs that size themselves; shows as FileNotFoundError",
    },
    Exception {
        name: "raw-net",
        opens: "`CAP_NET_RAW`, `AF_PACKET`, the host's network, `PrivateUsers=no`",
        needed_by: "packet capture and ping; shows as `Operation not permitted`",
    },
    Exception {
        name: "setuid-self",
        opens: "system calls of `@chown` and `@setuid` seem to succeed, and do nothing",
        needed_by: "Gunicorn up to 20.1; shows as PermissionError in workers after READY",
    },
    Exception {
        name: "system-bus",
        opens: "the D-Bus system bus socket",
        needed_by: "systemctl and other D-Bus clients; shows as `Failed to connect to bus`",
    },
];

/// Every capability there is (capabilities(7), Linux 5.9 and later).
pub const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
];

/// Exceptions that a runtime is known to need.
pub const PRESETS: &[(&str, &[&str])] = &[
    ("dotnet", &["jit"]),
    ("gunicorn-20", &["setuid-self"]),
    ("java", &["jit"]),
    ("luajit", &["jit"]),
    ("node", &["jit", "netlink", "pkey", "proc-files"]),
];

/// What `[service.NAME.sandbox]` and `runtime` ask for.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Names from [`EXCEPTIONS`].
    pub allow: BTreeSet<&'static str>,
    /// `CAP_*`, ambient and bounding.
    pub capabilities: BTreeSet<String>,
    /// `DeviceAllow=` lines.
    pub devices: Vec<Device>,
    /// `ReadWritePaths=`.
    pub read_write: Vec<AbsPath>,
    /// What an allow-list root shows besides the release: (host path, path inside).
    pub read_only: Vec<(AbsPath, AbsPath)>,
    /// The escape hatch: (directive, value), last word.
    pub directives: Vec<(String, Line)>,
}

impl Sandbox {
    /// Whether an exception is granted.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.contains(name)
    }
}

/// Where the service's network comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None of its own: an inherited listener at most.
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
    /// `RestrictAddressFamilies=`; empty means `none`.
    pub families: Vec<&'static str>,
    /// `CapabilityBoundingSet=` and `AmbientCapabilities=`.
    pub capabilities: Vec<String>,
    /// `DeviceAllow=` lines; empty means `PrivateDevices=yes`.
    pub devices: Vec<String>,
    /// Whether an allow-list root is used.
    pub rooted: bool,
    /// Whether users can be private.
    pub private_users: bool,
    /// Writable paths, for `NoExecPaths=`.
    pub writable: Vec<String>,
    /// The ports that it binds itself, when it may bind no other.
    pub ports: Vec<u16>,
    /// Names from [`EXCEPTIONS`].
    pub allow: BTreeSet<&'static str>,
}

impl Shape {
    /// Derives the shape of a service of an app.
    pub fn of(app: &App, service: &Service) -> Self {
        let sandbox = &service.sandbox;
        let has = |name: &str| sandbox.allows(name);
        let network = network(service);
        let mut families = vec!["AF_UNIX"];
        match network {
            Network::None => {}
            Network::Namespace | Network::Loopback | Network::Host => {
                families.extend(["AF_INET", "AF_INET6"]);
            }
            Network::NoIp => families.push("AF_NETLINK"),
        }
        if (has("netlink") || has("net-admin")) && !families.contains(&"AF_NETLINK") {
            families.push("AF_NETLINK");
        }
        if has("raw-net") {
            families.push("AF_PACKET");
        }
        let mut capabilities = sandbox.capabilities.clone();
        for (name, capability) in [
            ("net-admin", "CAP_NET_ADMIN"),
            ("raw-net", "CAP_NET_RAW"),
            ("low-port", "CAP_NET_BIND_SERVICE"),
        ] {
            if has(name) {
                capabilities.insert(capability.to_owned());
            }
        }
        // Nothing else: to be listed in `NoExecPaths=` makes a path writable.
        let directories = app.directories(service).into_iter();
        let mut writable: Vec<String> = directories.map(|(_, path)| path).collect();
        writable.extend(["/tmp", "/var/tmp", "/dev/shm"].map(str::to_owned));
        writable.extend(sandbox.read_write.iter().map(ToString::to_string));
        Self {
            network,
            families,
            private_users: capabilities.is_empty() && !has("host-users"),
            capabilities: capabilities.into_iter().collect(),
            devices: sandbox.devices.iter().map(ToString::to_string).collect(),
            rooted: !has("host-files"),
            writable,
            ports: match ["bind-any", "outbound", "raw-net"]
                .iter()
                .any(|name| has(name))
            {
                false => own_ports(service),
                true => Vec::new(),
            },
            allow: sandbox.allow.clone(),
        }
    }

    /// Whether an exception is granted.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.contains(name)
    }
}

/// The ports of a service that opens them itself.
fn own_ports(service: &Service) -> Vec<u16> {
    let direct = service.socket == Socket::Direct;
    let ports = service.listen.iter().filter_map(super::Listen::port);
    ports.filter(|_| direct).collect()
}

fn network(service: &Service) -> Network {
    let has = |name: &str| service.sandbox.allows(name);
    let direct = service.socket == Socket::Direct && !service.listen.is_empty();
    if has("outbound") || has("raw-net") {
        Network::Host
    } else if direct {
        if service.listen.iter().any(super::Listen::is_public) {
            Network::Host
        } else if service.listen.iter().any(|listen| listen.port().is_some()) {
            Network::Loopback
        } else {
            Network::None
        }
    } else if has("net-admin") {
        Network::NoIp
    } else if service.socket == Socket::Proxy {
        Network::Namespace
    } else {
        Network::None
    }
}
