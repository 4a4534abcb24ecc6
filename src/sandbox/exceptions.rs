//! What can be allowed beyond the floor: named exceptions, capabilities and presets for runtimes.
//!
//! The reference documents and the schema of the manifest are generated from these tables.

/// A named exception of `allow = [...]`.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// Its name in the manifest.
    pub name: &'static str,
    /// What it allows.
    pub opens: &'static str,
    /// Which programs need it, and how they fail without it.
    pub needed_by: &'static str,
}

/// Every exception, in alphabetical order.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "bind-any",
        opens: "no `SocketBindDeny=`: the service can open ports that it does not list",
        needed_by: "servers that choose their own ports; without it, bind fails with `Operation not permitted`",
    },
    Exception {
        name: "exec-writable",
        opens: "no `NoExecPaths=`: the service can execute files in writable directories",
        needed_by: "programs that unpack and run helpers; without it, exec fails with `Permission denied`",
    },
    Exception {
        name: "home",
        opens: "`ProtectHome=read-only`: home directories are readable",
        needed_by: "programs that read files under `/home`; without it: `No such file or directory`",
    },
    Exception {
        name: "host-files",
        opens: "the whole file system is visible, read-only, instead of the paths on an allow-list",
        needed_by: "diagnostic tools, and programs with files outside the release and `/usr`",
    },
    Exception {
        name: "host-processes",
        opens: "`ProtectProc=default`, `ProcSubset=all`: other users' processes are visible",
        needed_by: "process monitors; without it, processes are missing",
    },
    Exception {
        name: "host-users",
        opens: "`PrivateUsers=no`: files and processes have the same owners as on the host",
        needed_by: "programs that compare owners; without it, files belong to `nobody`",
    },
    Exception {
        name: "io-uring",
        opens: "io_uring(7): the kernel makes sockets of any family for the service, past `RestrictAddressFamilies=`",
        needed_by: "databases and servers that are set to use it; most programs work without it, others fail with `Operation not permitted`",
    },
    Exception {
        name: "jit",
        opens: "`MemoryDenyWriteExecute=no`: memory can be writable and executable",
        needed_by: "Node.js (except with `--jitless`), Java, LuaJIT, .NET, cffi callbacks; without it: SIGTRAP or MemoryError",
    },
    Exception {
        name: "keyring",
        opens: "the system calls of `@keyring`",
        needed_by: "Kerberos with a cache in the kernel, fscrypt; without it: `Operation not permitted`",
    },
    Exception {
        name: "loopback",
        opens: "the host's network with `AF_INET` and `AF_INET6`, filtered to the loopback interface",
        needed_by: "clients of other programs on this host, such as a local PostgreSQL; without it: errno 97",
    },
    Exception {
        name: "low-port",
        opens: "`CAP_NET_BIND_SERVICE`, `PrivateUsers=no`",
        needed_by: "`socket = \"direct\"` with a port below 1024; socket activation does not need it",
    },
    Exception {
        name: "net-admin",
        opens: "`CAP_NET_ADMIN`, `AF_NETLINK`, the host's network, `PrivateUsers=no`",
        needed_by: "programs that configure network interfaces; without it: `RTNETLINK: Operation not permitted`",
    },
    Exception {
        name: "netlink",
        opens: "`AF_NETLINK`",
        needed_by: "getifaddrs, `os.networkInterfaces` of Node.js; without it: errno 97",
    },
    Exception {
        name: "nice",
        opens: "the system calls of `@resources`",
        needed_by: "os.nice, setpriority, sched_*; without it: `Operation not permitted`",
    },
    Exception {
        name: "outbound",
        opens: "the host's network with `AF_INET` and `AF_INET6`, without an address filter",
        needed_by: "programs that connect to any host; without it: errno 97. For known hosts, list them in `outbound`",
    },
    Exception {
        name: "pkey",
        opens: "the system calls of `@pkey`",
        needed_by: "V8; without it: SIGSYS with an empty log",
    },
    Exception {
        name: "proc-files",
        opens: "`ProcSubset=all`: `/proc/meminfo`, `/proc/cpuinfo`, `/proc/sys`",
        needed_by: "programs that adapt to memory and CPUs; without it: FileNotFoundError",
    },
    Exception {
        name: "raw-net",
        opens: "`CAP_NET_RAW`, `AF_PACKET`, the host's network, `PrivateUsers=no`",
        needed_by: "packet capture and ping; without it: `Operation not permitted`",
    },
    Exception {
        name: "setuid-self",
        opens: "the system calls of `@chown` and `@setuid` return success and do nothing",
        needed_by: "Gunicorn up to 20.1; without it, its workers fail with PermissionError after READY",
    },
    Exception {
        name: "system-bus",
        opens: "the socket of the D-Bus system bus",
        needed_by: "systemctl and other D-Bus clients; without it: `Failed to connect to bus`",
    },
    Exception {
        name: "userfaultfd",
        opens: "userfaultfd(2): the service handles its own page faults, which helps to exploit faults of the kernel",
        needed_by: "live migration and snapshots of processes; without it: `Operation not permitted`",
    },
];

/// Every capability (capabilities(7), Linux 5.9 and later).
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

/// What `runtime = "…"` grants.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name in the manifest.
    pub name: &'static str,
    /// Names from [`EXCEPTIONS`].
    pub allow: &'static [&'static str],
    /// Files outside `/usr` that Debian's packages of the runtime read: visible and read-only, where they exist.
    pub files: &'static [&'static str],
    /// What happens without it, as a clause.
    pub without: &'static str,
    /// Programs that need it, by the name of the file without a version.
    pub programs: &'static [&'static str],
}

/// Every preset, in alphabetical order.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "dotnet",
        allow: &["jit"],
        files: &["/etc/dotnet"],
        without: "it ends with `Failed to create CoreCLR`",
        programs: &["dotnet"],
    },
    Preset {
        name: "gunicorn-20",
        allow: &["setuid-self"],
        files: &[],
        without: "its workers end with PermissionError",
        programs: &[],
    },
    Preset {
        name: "java",
        allow: &["jit"],
        files: &[
            "/etc/java-11-openjdk",
            "/etc/java-17-openjdk",
            "/etc/java-21-openjdk",
            "/etc/java-25-openjdk",
        ],
        without: "it ends with `Failed to mark memory page as executable`",
        programs: &["java"],
    },
    Preset {
        name: "luajit",
        allow: &["jit"],
        files: &[],
        without: "it cannot compile and runs slowly, or ends",
        programs: &["luajit"],
    },
    Preset {
        name: "node",
        allow: &["jit", "netlink", "pkey", "proc-files"],
        files: &[],
        without: "it ends with SIGTRAP and words about memory",
        programs: &["node", "nodejs"],
    },
    Preset {
        name: "php",
        allow: &[],
        files: &["/etc/php"],
        without: "it does not read `php.ini`, and loads no extension that Debian packages",
        programs: &["php", "php-fpm"],
    },
];

/// The preset that a program needs, by its path: versions at the end of its name do not count.
pub fn preset_of(program: &str) -> Option<&'static Preset> {
    let name = program.rsplit('/').next().unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    PRESETS
        .iter()
        .find(|preset| preset.programs.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::preset_of;

    #[test]
    fn a_program_is_known_with_and_without_its_version() {
        for (program, name) in [
            ("/usr/bin/node", Some("node")),
            ("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", Some("java")),
            ("/usr/sbin/php-fpm8.2", Some("php")),
            ("/usr/bin/luajit-2.1.0", Some("luajit")),
            ("/opt/a/current/bin/nodetool", None),
            ("/usr/bin/python3.11", None),
        ] {
            assert_eq!(
                preset_of(program).map(|preset| preset.name),
                name,
                "{program}"
            );
        }
    }
}
