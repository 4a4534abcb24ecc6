//! What can be allowed beyond the floor: named exceptions, capabilities and presets for runtimes.
//!
//! The reference documents and the schema of the manifest are generated from these tables.

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
