//! The messages of programs and of systemd that are known.
//!
//! Words are in lower case, because programs differ: `Errno 97`, `errno: 97`, `os error 97`. A row that is more
//! specific comes before one that is less so. The numbers are those of errno(3) on Linux.

use super::answer::{Judgement, Sureness};
use super::case::Case;
use super::judge;
use super::seen::{Ended, KnownLine};

/// One kind of message.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Stable name.
    pub id: &'static str,
    /// What it means, for the reference document.
    pub about: &'static str,
    /// The line contains one of these. None: the exit alone says it.
    pub words: &'static [&'static str],
    /// Some line of the program, perhaps another one, contains one of these. None: no condition.
    pub and: &'static [&'static str],
    /// How the main process ended, for a row without words.
    pub end: Option<Ended>,
    /// Whether systemd writes the line, and not the program.
    pub of_manager: bool,
    /// What the line means for a service.
    pub(super) judge: fn(&Case<'_>, &KnownLine<'_>) -> Judgement,
}

/// The row of a path that systemd could not mount.
pub const MOUNT: &str = "mount";

/// What most rows have in common.
const PLAIN: Row = Row {
    id: "",
    about: "",
    words: &[],
    and: &[],
    end: None,
    of_manager: false,
    judge: |_, _| None,
};

const EAFNOSUPPORT: &[&str] = &[
    "address family not supported",
    "protocol family unavailable",
    "protocol family not supported",
    "eafnosupport",
    "errno 97]",
    "errno 97)",
    "errno: 97",
    "errno: -97",
    "errno=97",
    "os error 97)",
    "os { code: 97,",
    "error 97)",
];
const EPERM: &[&str] = &[
    "operation not permitted",
    "eperm",
    "errno 1]",
    "errno: -1,",
    "os error 1)",
    "os { code: 1,",
];
const EACCES: &[&str] = &[
    "permission denied",
    "eacces",
    "errno 13]",
    "errno: -13,",
    "os error 13)",
    "os { code: 13,",
    "accessdenied",
];
const EROFS: &[&str] = &[
    "read-only file system",
    "erofs",
    "errno 30]",
    "os error 30)",
    "os { code: 30,",
    "readonlyfilesystem",
];
const ENOENT: &[&str] = &[
    "no such file or directory",
    "enoent",
    "errno 2]",
    "os error 2)",
    "nosuchfileexception",
    "os { code: 2,",
    "file not found",
    "does not exist",
];
pub(super) const ECONNREFUSED: &[&str] = &[
    "connection refused",
    "connectionrefused",
    "econnrefused",
    "errno 111]",
    "os error 111)",
    "os { code: 111,",
];
pub(super) const ENETUNREACH: &[&str] = &[
    "network is unreachable",
    "network unreachable",
    "enetunreach",
    "errno 101]",
    "os error 101)",
    "os { code: 101,",
    "curl: (7)",
];
pub(super) const NO_NAME: &[&str] = &[
    "temporary failure in name resolution",
    "eai_again",
    "name or service not known",
    "getaddrinfo failed",
    "getaddrinfo enotfound",
    "unknownhostexception",
    "could not resolve host",
    "curl: (6)",
    "nodename nor servname",
    "failed to lookup address information",
    "server misbehaving",
];

/// Every row.
pub const ROWS: &[Row] = &[
    // What programs go on without.
    Row {
        id: "redis-host-settings",
        about: "advice of redis-server about the host: ignore it",
        words: &[
            "memory overcommit must be enabled",
            "overcommit_memory is set to 0",
            "tcp backlog setting of",
            "transparent huge pages",
        ],
        judge: |_, _| {
            judge::harmless("it is advice about the host, which redis-server reads in /proc")
        },
        ..PLAIN
    },
    Row {
        id: "redis-open-files",
        about: "redis-server serves fewer clients: ignore it, or raise `limits.nofile`",
        words: &[
            "unable to set the max number of files limit",
            "can't set maximum open files",
            "unable to increase the maximum number of open files",
            "current maximum open files is",
        ],
        judge: |_, _| {
            judge::harmless("redis-server serves fewer clients; `limits.nofile` raises the number")
        },
        ..PLAIN
    },
    Row {
        id: "php-jit",
        about: "PHP matches patterns without compiling them: ignore it",
        words: &[
            "allocation of jit memory failed, pcre jit will be disabled",
            "preg_match(): allocation of jit memory failed",
        ],
        judge: |_, _| {
            judge::harmless(
                "PHP matches patterns without it; `sandbox.allow = [\"jit\"]` makes it faster",
            )
        },
        ..PLAIN
    },
    Row {
        id: "user-directive",
        about: "systemd has set the user already: ignore it",
        words: &[
            "the \"user\" directive makes sense only if",
            "'user' directive is ignored when fpm is not running as root",
            "'group' directive is ignored when fpm is not running as root",
        ],
        judge: |_, _| judge::harmless("systemd starts it as the user of the app already"),
        ..PLAIN
    },
    Row {
        id: "java-performance-data",
        about: "Java works without it: ignore it",
        words: &["/tmp/hsperfdata", "cannot use shared memory for hsperfdata"],
        judge: |_, _| judge::harmless("Java works without its performance data"),
        ..PLAIN
    },
    Row {
        id: "cache-directory",
        about: "the program works without a cache: ignore it, or give it `{cache}`",
        words: &[
            "matplotlib created a temporary cache directory",
            "is not a writable directory, matplotlib",
            "could not write pycache",
            "the directory '/nonexistent",
            "fontconfig error: no writable cache directories",
        ],
        judge: |case, _| judge::harmless(&judge::cache_directory(case)),
        ..PLAIN
    },
    Row {
        id: "dotnet-diagnostics",
        about: ".NET works without the sockets of its debugger: ignore it",
        words: &[
            "failed to create the diagnostics",
            "clr-debug-pipe",
            "dotnet-diagnostic",
        ],
        judge: |_, _| judge::harmless("the program works without the sockets of its debugger"),
        ..PLAIN
    },
    Row {
        id: "locale",
        about: "the locale is not installed: ignore it, or set `LC_ALL`",
        words: &[
            "cannot change locale",
            "can't set the locale",
            "setting locale failed",
        ],
        judge: |_, _| {
            judge::harmless(
                "the program uses the locale `C`; `env.LC_ALL = \"C.UTF-8\"` silences it",
            )
        },
        ..PLAIN
    },
    // What the release lacks.
    Row {
        id: "missing-module",
        about: "the release lacks a part of the program; the sandbox is not the cause",
        words: &[
            "modulenotfounderror:",
            "importerror:",
            "cannot find module '",
            "cannot find package '",
            "err_module_not_found",
            "cannot load such file -- ",
            "classnotfoundexception",
            "could not find or load main class",
            "noclassdeffounderror",
            "failed opening required",
            "unable to access jarfile",
        ],
        judge: judge::missing_module,
        ..PLAIN
    },
    Row {
        id: "missing-variable",
        about: "the environment lacks a variable: set it in `env` or in `/etc/<app>/env`",
        words: &["keyerror: '"],
        and: &["os.environ", "environ[", "in __getitem__"],
        judge: judge::missing_variable,
        ..PLAIN
    },
    Row {
        id: "missing-library",
        about: "the host lacks a library, or the sandbox hides it",
        words: &[
            "error while loading shared libraries",
            "cannot open shared object file",
        ],
        judge: judge::missing_library,
        ..PLAIN
    },
    Row {
        id: "gunicorn-20",
        about: "`runtime = \"gunicorn-20\"`",
        words: EPERM,
        and: &[
            "in set_owner_process",
            "util.chown",
            "os.setgroups",
            "worker_int",
            "gunicorn/workers/workertmp.py",
            "gunicorn/workers/base.py",
        ],
        judge: judge::gunicorn_20,
        ..PLAIN
    },
    Row {
        id: "worker-boot",
        about: "the application cannot be loaded, or `runtime = \"gunicorn-20\"` is missing",
        words: &["worker failed to boot"],
        judge: judge::worker_boot,
        ..PLAIN
    },
    // Sockets and the network.
    Row {
        id: "netlink",
        about: "listing network interfaces needs `netlink`",
        words: EAFNOSUPPORT,
        and: &[
            "getifaddrs",
            "netlink",
            "networkinterfaces",
            "uv_interface_addresses",
        ],
        judge: judge::netlink,
        ..PLAIN
    },
    Row {
        id: "netlink",
        about: "listing network interfaces needs `netlink`",
        words: &[
            "uv_interface_addresses returned",
            "netlinkrib:",
            "cannot open netlink socket",
        ],
        judge: judge::netlink,
        ..PLAIN
    },
    Row {
        id: "packet-sockets",
        about: "packet capture needs `raw-net`",
        words: EAFNOSUPPORT,
        and: &["af_packet", "pcap", "raw socket", "packet socket"],
        judge: judge::packet_sockets,
        ..PLAIN
    },
    // PHP does not say which error it was.
    Row {
        id: "address-family",
        about: "a server: `socket = \"proxy\"`, or the socket that systemd passes; a client: `loopback` or `outbound`",
        words: &["(unknown error)"],
        and: &["unable to connect to tcp://"],
        judge: judge::address_family,
        ..PLAIN
    },
    Row {
        id: "address-family",
        about: "a server: `socket = \"proxy\"`, or the socket that systemd passes; a client: `loopback` or `outbound`",
        words: EAFNOSUPPORT,
        judge: judge::address_family,
        ..PLAIN
    },
    Row {
        id: "low-port",
        about: "a port below 1024: let systemd open it, or `low-port`",
        words: EACCES,
        and: &[
            "bind",
            "listen eacces",
            "listen tcp",
            "can't listen on",
            "could not listen",
            "listening",
        ],
        judge: judge::low_port,
        ..PLAIN
    },
    Row {
        id: "unlisted-port",
        about: "a port that `listen` does not name",
        words: EPERM,
        and: &["bind"],
        judge: judge::unlisted_port,
        ..PLAIN
    },
    Row {
        id: "address-filter",
        about: "an address that `outbound` does not list",
        words: EPERM,
        and: judge::SENDS,
        judge: judge::address_filter,
        ..PLAIN
    },
    Row {
        id: "no-network",
        about: "the service has no network: `loopback` or `outbound`",
        words: ENETUNREACH,
        judge: judge::no_network,
        ..PLAIN
    },
    Row {
        id: "name-resolution",
        about: "the address of the DNS server is missing in `outbound`, or the service has no network",
        words: NO_NAME,
        judge: judge::name_resolution,
        ..PLAIN
    },
    Row {
        id: "system-bus",
        about: "`system-bus`",
        words: &[
            "failed to connect to bus",
            "failed to connect to system bus",
            "connect to system message bus",
            "system_bus_socket",
        ],
        judge: judge::system_bus,
        ..PLAIN
    },
    // Memory that is writable and executable.
    Row {
        id: "node-memory",
        about: "Node.js needs `runtime = \"node\"`; it does not lack memory",
        words: &[
            "fatal javascript out of memory",
            "fatal javascript oom",
            "fatal process out of memory",
            "failed to reserve virtual memory for coderange",
            "check failed: setpermissions",
            "unreachable code",
        ],
        judge: judge::javascript,
        ..PLAIN
    },
    Row {
        id: "jit",
        about: "memory that is writable and executable: `jit`, or the `runtime` of the program",
        words: &[
            "mark memory page as executable",
            "failed to create coreclr",
            "cannot allocate executable memory",
            "cannot allocate write+execute memory",
            "could not allocate executable memory",
            "failed to allocate mcode memory",
            "runtime code generation failed",
            "failed to make code executable",
            "couldn't make jit page executable",
            "failed to allocate executable memory",
            "failed to protect memory",
            "mprotect failed",
        ],
        judge: judge::jit,
        ..PLAIN
    },
    Row {
        id: "signal-trap",
        about: "Node.js needs `runtime = \"node\"`",
        end: Some(Ended::Killed(5)),
        judge: judge::javascript,
        ..PLAIN
    },
    // Files.
    Row {
        id: "proc-files",
        about: "files of the kernel in /proc: `proc-files`",
        words: &[
            "/proc/meminfo",
            "/proc/cpuinfo",
            "/proc/stat",
            "/proc/loadavg",
            "/proc/sys/",
            "/proc/uptime",
            "/proc/vmstat",
            "/proc/diskstats",
            "/proc/net/dev",
            "/proc/version",
            "/proc/filesystems",
            "/proc/mounts",
            "/proc/swaps",
        ],
        judge: judge::proc_files,
        ..PLAIN
    },
    Row {
        id: "executable-in-state",
        about: "a program in a directory that the service can write: put it into the release, or `exec-writable`",
        words: EACCES,
        judge: judge::executable_in_state,
        ..PLAIN
    },
    Row {
        id: "library-in-state",
        about: "a library in a directory that the service can write: put it into the release, or `exec-writable`",
        words: &["failed to map segment from shared object"],
        judge: judge::library_in_state,
        ..PLAIN
    },
    Row {
        id: "read-only",
        about: "a path outside the directories of the service: write below `{state}`, or `read-write`",
        words: EROFS,
        judge: judge::read_only,
        ..PLAIN
    },
    Row {
        id: "hidden-path",
        about: "a path that exists on the host and that the sandbox hides: `read-only`, `read-write`, `devices`, `home`",
        words: ENOENT,
        judge: judge::hidden_path,
        ..PLAIN
    },
    Row {
        id: "hidden-path",
        about: "a path that exists on the host and that the sandbox hides: `read-only`, `read-write`, `devices`, `home`",
        words: EACCES,
        judge: judge::hidden_path,
        ..PLAIN
    },
    // System calls.
    Row {
        id: "user-change",
        about: "changing users: `setuid-self`",
        words: EPERM,
        and: &[
            "chown",
            "setuid",
            "setgid",
            "setgroups",
            "initgroups",
            "set_owner",
            "drop privileges",
            "dropping privileges",
        ],
        judge: |case, _| {
            judge::exception(
                case,
                "setuid-self",
                "changing its user and its group",
                "SystemCallFilter",
            )
        },
        ..PLAIN
    },
    Row {
        id: "priority",
        about: "`nice`",
        words: EPERM,
        and: &[
            "setpriority",
            "os.nice",
            "sched_set",
            "ioprio",
            "nice(",
            "renice",
            "real-time",
            "realtime",
            "scheduling policy",
        ],
        judge: |case, _| {
            judge::exception(case, "nice", "changing its priority", "SystemCallFilter")
        },
        ..PLAIN
    },
    Row {
        id: "io-uring",
        about: "`io-uring`",
        words: EPERM,
        and: &["io_uring", "io-uring", "iouring"],
        judge: |case, _| judge::exception(case, "io-uring", "io_uring(7)", "SystemCallFilter"),
        ..PLAIN
    },
    Row {
        id: "userfaultfd",
        about: "`userfaultfd`",
        words: EPERM,
        and: &["userfaultfd"],
        judge: |case, _| {
            judge::exception(case, "userfaultfd", "userfaultfd(2)", "SystemCallFilter")
        },
        ..PLAIN
    },
    Row {
        id: "keyring",
        about: "`keyring`",
        words: EPERM,
        and: &["keyctl", "add_key", "keyring"],
        judge: |case, _| {
            judge::exception(
                case,
                "keyring",
                "the keys of the kernel",
                "SystemCallFilter",
            )
        },
        ..PLAIN
    },
    Row {
        id: "raw-sockets",
        about: "`raw-net`",
        words: EPERM,
        and: &["raw socket", "icmp", "sock_raw", "ping:"],
        judge: |case, _| judge::exception(case, "raw-net", "raw sockets", "CapabilityBoundingSet"),
        ..PLAIN
    },
    Row {
        id: "net-admin",
        about: "`net-admin`",
        words: EPERM,
        and: &[
            "rtnetlink",
            "siocsif",
            "tunsetiff",
            "iptables",
            "nf_tables",
            "nftables",
        ],
        judge: |case, _| {
            judge::exception(
                case,
                "net-admin",
                "configuring the network",
                "CapabilityBoundingSet",
            )
        },
        ..PLAIN
    },
    Row {
        id: "locked-memory",
        about: "`CAP_IPC_LOCK` in `capabilities`",
        words: &[
            "operation not permitted",
            "cannot allocate memory",
            "enomem",
            "eperm",
        ],
        and: &["mlock", "lock memory", "locked memory"],
        judge: |case, _| judge::capability(case, "CAP_IPC_LOCK", "locking that much memory"),
        ..PLAIN
    },
    Row {
        id: "clock",
        about: "`ProtectClock` in `directives`",
        words: EPERM,
        and: &[
            "settimeofday",
            "clock_settime",
            "adjtimex",
            "set the clock",
            "set system clock",
        ],
        judge: |case, _| judge::directive(case, "ProtectClock", "no", "setting the clock"),
        ..PLAIN
    },
    Row {
        id: "namespaces",
        about: "`RestrictNamespaces` in `directives`",
        words: EPERM,
        and: &[
            "unshare",
            "clone(",
            "namespace",
            "bwrap",
            "bubblewrap",
            "no usable sandbox",
            "zygote",
        ],
        judge: |case, _| {
            judge::directive(
                case,
                "RestrictNamespaces",
                "user mnt pid net",
                "making namespaces of its own",
            )
        },
        ..PLAIN
    },
    Row {
        id: "not-permitted",
        about: "some system call: `doctor --trace` names it",
        words: EPERM,
        judge: judge::not_permitted,
        ..PLAIN
    },
    Row {
        id: "signal-system-call",
        about: "some system call: `doctor --trace` names it",
        end: Some(Ended::Killed(31)),
        judge: judge::system_call_signal,
        ..PLAIN
    },
    // Limits.
    Row {
        id: "tasks",
        about: "`limits.tasks-max`",
        words: &[
            "can't start new thread",
            "unable to create native thread",
            "pthread_create failed",
            "failed to spawn thread",
            "can't create thread",
            "fork: retry",
            "fork: resource temporarily unavailable",
            "fork failed: resource temporarily unavailable",
            "unable to fork",
        ],
        judge: judge::tasks,
        ..PLAIN
    },
    Row {
        id: "open-files",
        about: "`limits.nofile`",
        words: &["too many open files", "emfile", "errno 24]", "os error 24)"],
        judge: |case, _| {
            judge::limit(
                case,
                "limits.nofile = 65536",
                "it has more files and connections open than `limits.nofile` allows",
            )
        },
        ..PLAIN
    },
    // What systemd writes.
    Row {
        id: "ready-from-child",
        about: "the main process must send READY=1: `exec` in the wrapper",
        words: &["reception only permitted for main pid"],
        of_manager: true,
        judge: |_, _| {
            judge::not_the_sandbox(
                Sureness::Certain,
                "a child of the main process sent READY=1, and systemd accepts it from the main process alone: write the server itself as `exec`, or `exec` before it in the wrapper",
            )
        },
        ..PLAIN
    },
    Row {
        id: MOUNT,
        about: "a path of the manifest that does not exist on this host",
        words: &["failed to set up mount namespacing:"],
        of_manager: true,
        judge: judge::mount,
        ..PLAIN
    },
];
