use super::{Access, AtPath, Case, Ended, Meaning, ROWS, Seen, Sureness, explain};
use crate::app::App;
use crate::manifest::parse;
use crate::units::Target;
use std::collections::BTreeSet;

/// The manifest of one service.
fn app(service: &str) -> App {
    let exec = if service.contains("exec =") {
        ""
    } else {
        "exec = [\"/usr/bin/w\"]\n"
    };
    let text = format!("[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\n{exec}{service}\n");
    App::from_manifest(&parse(&text).unwrap(), None).unwrap()
}

/// What the service sees: only its release, its directories and `/usr`, unless a key shows it more.
fn look(path: &str, service: &str) -> AtPath {
    let shown = ["host-files", "read-only", "read-write"];
    match path {
        "/var/lib/a/tool" | "/usr/bin/w" => AtPath::Program,
        "/etc/shadow" | "/root/.ssh/id_rsa" | "/run/docker.sock" => AtPath::Hidden(Access::None),
        "/srv/data" | "/srv/a.conf" | "/etc/app.conf" | "/home/ann/x" | "/etc/php/8.2" | "/srv"
        | "/dev/ttyUSB0" | "/tmp/shared" | "/proc/meminfo" => {
            match shown.iter().any(|key| service.contains(key)) {
                true => AtPath::Other,
                false if path == "/srv/data" => AtPath::Hidden(Access::Write),
                false => AtPath::Hidden(Access::Read),
            }
        }
        _ => AtPath::Missing,
    }
}

/// What the lines of a program mean: the id of the row, and the text.
fn explained(service: &str, lines: &str, end: Ended) -> Option<super::Explanation> {
    let app = app(service);
    let case = Case {
        app: &app,
        service: &app.services[0],
        target: Target::Version(252),
        look: &|path| look(path, service),
    };
    let program: Vec<String> = lines.lines().map(str::to_owned).collect();
    let seen = Seen {
        program: &program,
        manager: &[],
        end: Some(end),
        ..Seen::default()
    };
    explain(&case, &seen)
}

const ACTIVATED: &str = "listen = [\"127.0.0.1:8080\"]";
const PROXIED: &str = "listen = [\"127.0.0.1:8080\"]\nsocket = \"proxy\"";
const DIRECT: &str = "listen = [\"127.0.0.1:80\"]\nsocket = \"direct\"";
const CLIENT: &str = "sandbox.allow = [\"loopback\"]";
const NODE: &str = "exec = [\"/usr/bin/node\", \"x.js\"]";

/// A message of a runtime, the row that explains it, and words of the answer.
const KNOWN: &[(&str, &str, &str, &str)] = &[
    // Sockets for IP, in the words of each runtime.
    (
        "",
        "OSError: [Errno 97] Address family not supported by protocol",
        "address-family",
        "`sandbox.allow = [\"loopback\"]`",
    ),
    (
        ACTIVATED,
        "Error: listen EAFNOSUPPORT: 0.0.0.0:80",
        "address-family",
        "`socket = \"proxy\"`",
    ),
    (
        ACTIVATED,
        "  errno: -97,",
        "address-family",
        "sd_listen_fds(3)",
    ),
    (
        "",
        "listen tcp 127.0.0.1:8080: socket: address family not supported by protocol",
        "address-family",
        "`listen = ",
    ),
    (
        "",
        "dial tcp 127.0.0.1:5432: socket: address family not supported by protocol",
        "address-family",
        "`sandbox.allow = [\"loopback\"]` (exposure 0.1",
    ),
    (
        "",
        "dial tcp 192.0.2.1:443: socket: address family not supported by protocol",
        "address-family",
        "`sandbox.outbound`",
    ),
    (
        "",
        "thread 'main' panicked: Os { code: 97, kind: Uncategorized, message: \"Address family not supported by protocol\" }",
        "address-family",
        "a server: ",
    ),
    (
        "",
        "Could not create server TCP listening socket 127.0.0.1:6379: errno: 97",
        "address-family",
        "`listen = ",
    ),
    (
        "",
        "java.net.SocketException: Protocol family unavailable",
        "address-family",
        "a client: ",
    ),
    (
        "",
        "x.rb:3:in `initialize': Address family not supported by protocol - socket(2) (Errno::EAFNOSUPPORT)",
        "address-family",
        "`sandbox.outbound`",
    ),
    (
        "",
        "PHP Warning: stream_socket_client(): unable to connect to tcp://127.0.0.1:80 (Address family not supported by protocol)",
        "address-family",
        "loopback",
    ),
    (
        "",
        "node: uv_interface_addresses returned Unknown system error 97",
        "netlink",
        "`sandbox.allow = [\"netlink\"]`",
    ),
    (
        NODE,
        "A system error occurred: uv_interface_addresses returned Unknown system error 97",
        "netlink",
        "`runtime = \"node\"`",
    ),
    (
        "",
        "route ip+net: netlinkrib: address family not supported by protocol",
        "netlink",
        "netlink",
    ),
    // Networks.
    (
        "",
        "OSError: [Errno 101] Network is unreachable",
        "no-network",
        "`sandbox.outbound`",
    ),
    (
        PROXIED,
        "connect ENETUNREACH 192.0.2.1:443",
        "no-network",
        "behind a proxy",
    ),
    (
        "",
        "curl: (6) Could not resolve host: example.org",
        "name-resolution",
        "outbound",
    ),
    (
        CLIENT,
        "java.net.UnknownHostException: example.org: Temporary failure in name resolution",
        "name-resolution",
        "/etc/resolv.conf",
    ),
    (
        CLIENT,
        "connect: Operation not permitted",
        "address-filter",
        "`sandbox.outbound`",
    ),
    (
        DIRECT,
        "listen tcp :80: bind: permission denied",
        "low-port",
        "`sandbox.allow = [\"low-port\"]`",
    ),
    (
        DIRECT,
        "Error: listen EACCES: permission denied 127.0.0.1:80",
        "low-port",
        "`socket = \"activate\"`",
    ),
    (
        DIRECT,
        "OSError: [Errno 13] error while attempting to bind on address ('0.0.0.0', 80): permission denied",
        "low-port",
        "`listen`",
    ),
    (
        DIRECT,
        "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
        "low-port",
        "low-port",
    ),
    (
        DIRECT,
        "bind: Operation not permitted",
        "unlisted-port",
        "`sandbox.allow = [\"bind-any\"]`",
    ),
    (
        "",
        "Failed to connect to bus: No such file or directory",
        "system-bus",
        "system-bus",
    ),
    // Memory.
    (
        "",
        "Failed to mark memory page as executable - check if grsecurity/PaX is enabled",
        "jit",
        "`sandbox.allow = [\"jit\"]`",
    ),
    (
        "exec = [\"/usr/bin/java\", \"-jar\", \"x\"]",
        "Failed to mark memory page as executable",
        "jit",
        "`runtime = \"java\"`",
    ),
    (
        "",
        "Failed to create CoreCLR, HRESULT: 0x8007000E",
        "jit",
        "`runtime = \"dotnet\"`",
    ),
    (
        NODE,
        "# Fatal JavaScript out of memory: MemoryChunk allocation failed during deserialization.",
        "node-memory",
        "does not lack memory",
    ),
    (
        "",
        "MemoryError: Cannot allocate write+execute memory for ffi.callback()",
        "jit",
        "\"jit\"",
    ),
    // Files.
    (
        "",
        "couldn't get meminfo: open /proc/meminfo: no such file or directory",
        "proc-files",
        "`sandbox.allow = [\"proc-files\"]`",
    ),
    (
        "",
        "FileNotFoundError: [Errno 2] No such file or directory: '/etc/app.conf'",
        "hidden-path",
        "`sandbox.read-only = [\"/etc/app.conf\"]`",
    ),
    (
        "",
        "open /srv/a.conf: no such file or directory",
        "hidden-path",
        "`sandbox.read-only = [\"/srv/a.conf\"]`",
    ),
    (
        "",
        "PermissionError: [Errno 13] Permission denied: '/home/ann/x'",
        "hidden-path",
        "`sandbox.allow = [\"home\"]`",
    ),
    (
        "",
        "PHP Warning: fopen(/etc/php/8.2): Failed to open stream: No such file or directory in /opt/a/current/x.php",
        "hidden-path",
        "`runtime = \"php\"`",
    ),
    (
        "",
        "OSError: [Errno 30] Read-only file system: '/opt/a/current/x.log'",
        "read-only",
        "`/var/lib/a`",
    ),
    (
        "",
        "open /srv/data/x: read-only file system",
        "read-only",
        "`sandbox.read-write = [\"/srv/data\"]`",
    ),
    (
        "",
        "Os { code: 30, kind: ReadOnlyFilesystem, message: \"Read-only file system\" }",
        "read-only",
        "/opt/a/current",
    ),
    (
        "",
        "fork/exec /var/lib/a/tool: permission denied",
        "executable-in-state",
        "`sandbox.allow = [\"exec-writable\"]`",
    ),
    (
        "",
        "java.lang.UnsatisfiedLinkError: /tmp/x.so: failed to map segment from shared object",
        "library-in-state",
        "exec-writable",
    ),
    (
        "",
        "FileNotFoundError: [Errno 2] No such file or directory: '/srv/data/x'",
        "hidden-path",
        "`sandbox.read-write = [\"/srv/data\"]`",
    ),
    (
        "",
        "Warning: stream_socket_client(): Unable to connect to tcp://127.0.0.1:1 (Unknown error) in x on line 1",
        "address-family",
        "loopback",
    ),
    (
        "",
        "could not open port /dev/ttyUSB0: No such file or directory",
        "hidden-path",
        "list it in `sandbox.devices` in `[service.w]`",
    ),
    (
        "",
        "open /tmp/shared: no such file or directory",
        "hidden-path",
        "it has a directory of its own there",
    ),
    // System calls.
    (
        "",
        "PermissionError: [Errno 1] Operation not permitted\nos.setgroups([])",
        "gunicorn-20",
        "`runtime = \"gunicorn-20\"`",
    ),
    (
        "",
        "Worker failed to boot.",
        "worker-boot",
        "`runtime = \"gunicorn-20\"`",
    ),
    (
        "",
        "os.nice(5)\nPermissionError: [Errno 1] Operation not permitted",
        "priority",
        "`sandbox.allow = [\"nice\"]`",
    ),
    (
        "",
        "io_uring_setup: Operation not permitted",
        "io-uring",
        "io-uring",
    ),
    (
        "",
        "userfaultfd: Operation not permitted",
        "userfaultfd",
        "userfaultfd",
    ),
    (
        "",
        "keyctl_search: Operation not permitted",
        "keyring",
        "keyring",
    ),
    (
        "",
        "ping: socket: Operation not permitted",
        "raw-sockets",
        "raw-net",
    ),
    (
        "",
        "RTNETLINK answers: Operation not permitted",
        "net-admin",
        "net-admin",
    ),
    (
        "",
        "mlockall: Cannot allocate memory",
        "locked-memory",
        "CAP_IPC_LOCK",
    ),
    (
        "",
        "settimeofday: Operation not permitted",
        "clock",
        "`sandbox.directives.ProtectClock = \"no\"`",
    ),
    (
        "",
        "unshare: unshare failed: Operation not permitted",
        "namespaces",
        "RestrictNamespaces",
    ),
    (
        "",
        "chown: changing ownership of 'x': Operation not permitted",
        "user-change",
        "setuid-self",
    ),
    (
        "",
        "x: Operation not permitted",
        "not-permitted",
        "doctor --trace w",
    ),
    (
        "",
        "socket: Address family not supported\naf_packet",
        "packet-sockets",
        "raw-net",
    ),
    // What the release lacks.
    (
        "",
        "ModuleNotFoundError: No module named 'flask'",
        "missing-module",
        "`release.python`",
    ),
    (
        "",
        "Error: Cannot find module 'express'",
        "missing-module",
        "the build",
    ),
    (
        "",
        "x: error while loading shared libraries: libx.so.1: cannot open shared object file",
        "missing-library",
        "`libx.so.1`",
    ),
    (
        "",
        "  File \"<frozen os>\", line 679, in __getitem__\nKeyError: 'GUESTBOOK_FILE'",
        "missing-variable",
        "`GUESTBOOK_FILE`: set it in `env` in `[service.w]`",
    ),
    // Limits and the rest.
    ("", "RuntimeError: can't start new thread", "tasks", "4096"),
    (
        "",
        "accept: too many open files",
        "open-files",
        "limits.nofile",
    ),
    // What programs go on without.
    (
        "",
        "WARNING Memory overcommit must be enabled! add 'vm.overcommit_memory = 1'",
        "redis-host-settings",
        "advice",
    ),
    (
        "",
        "Unable to set the max number of files limit to 10032 (Operation not permitted)",
        "redis-open-files",
        "limits.nofile",
    ),
    (
        "",
        "PHP Warning: preg_match(): Allocation of JIT memory failed, PCRE JIT will be disabled.",
        "php-jit",
        "jit",
    ),
    (
        "",
        "nginx: [warn] the \"user\" directive makes sense only if the master process runs with super-user privileges",
        "user-directive",
        "already",
    ),
    (
        "",
        "OpenJDK warning: /tmp/hsperfdata_a: Permission denied",
        "java-performance-data",
        "works",
    ),
    (
        "",
        "Matplotlib created a temporary cache directory at /tmp/x",
        "cache-directory",
        "/var/cache/a",
    ),
    (
        "",
        "failed to bind clr-debug-pipe: Operation not permitted",
        "dotnet-diagnostics",
        "debugger",
    ),
    (
        "",
        "bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)",
        "locale",
        "C.UTF-8",
    ),
];

#[test]
fn each_message_leads_to_what_allows_it() {
    for (service, lines, id, words) in KNOWN {
        let found = explained(service, &format!("x\n{lines}\ny"), Ended::Exited(1));
        let Some(found) = found else {
            panic!("{lines}: no answer");
        };
        assert_eq!(found.id, *id, "{lines}: {}", found.text);
        assert!(found.text.contains(words), "{lines}: {}", found.text);
    }
}

/// A row without a case would be a guess.
#[test]
fn each_row_has_a_case() {
    let elsewhere = [
        "signal-trap",
        "signal-system-call",
        "ready-from-child",
        "mount",
    ];
    let known: BTreeSet<&str> = KNOWN
        .iter()
        .map(|(_, _, id, _)| *id)
        .chain(elsewhere)
        .collect();
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.id).collect();
    assert_eq!(known, rows);
}

#[test]
fn the_exit_alone_says_enough_for_some() {
    let text = |service: &str, end| explained(service, "", end).map(|found| (found.id, found.text));
    let (id, node) = text(NODE, Ended::Killed(5)).unwrap();
    assert!(
        id == "signal-trap" && node.contains("`runtime = \"node\"`"),
        "{node}"
    );
    let (id, node) = text(NODE, Ended::Killed(31)).unwrap();
    assert!(
        id == "signal-system-call" && node.contains("`runtime = \"node\"`"),
        "{node}"
    );
    let (_, other) = text("", Ended::Killed(31)).unwrap();
    assert!(other.contains("doctor --trace w"), "{other}");
    assert_eq!(text("", Ended::Killed(5)), None, "any program may trap");
    assert_eq!(text("", Ended::Exited(1)), None);
}

#[test]
fn what_is_allowed_is_not_the_cause() {
    for (service, lines) in [
        (
            "sandbox.allow = [\"outbound\"]",
            "OSError: [Errno 97] Address family not supported by protocol",
        ),
        (
            "sandbox.allow = [\"outbound\"]",
            "OSError: [Errno 101] Network is unreachable",
        ),
        (
            "sandbox.allow = [\"outbound\"]",
            "curl: (6) Could not resolve host: x",
        ),
        (
            "sandbox.allow = [\"jit\"]",
            "Failed to mark memory page as executable",
        ),
        (
            "sandbox.read-only = [\"/srv\"]",
            "open /srv/a.conf: no such file or directory",
        ),
        (
            "sandbox.allow = [\"host-files\"]",
            "open /srv/a.conf: no such file or directory",
        ),
        ("", "open /srv/other: no such file or directory"),
        ("", "open /usr/bin/w: permission denied"),
        ("", "process ended with exit code: 1, bye"),
        ("", "ValueError: 101 is not 97"),
        (
            "exec = [\"/usr/bin/node\"]\nruntime = \"node\"",
            "Fatal JavaScript out of memory: heap",
        ),
    ] {
        let found = explained(service, lines, Ended::Exited(1));
        assert_eq!(found, None, "{lines}");
    }
}

#[test]
fn a_cause_is_named_before_what_is_harmless_and_before_a_guess() {
    let lines = "OSError: [Errno 97] Address family not supported by protocol\n\
                 x: Operation not permitted\n\
                 WARNING overcommit_memory is set to 0!";
    let found = explained("", lines, Ended::Exited(1)).unwrap();
    assert_eq!(
        (found.id, found.meaning),
        ("address-family", Meaning::Denied)
    );
    assert_eq!(found.sureness, Sureness::Certain);
    let last = "x: Operation not permitted\nopen /srv/a.conf: no such file or directory\nopen /etc/app.conf: no such file or directory";
    let found = explained("", last, Ended::Exited(1)).unwrap();
    assert!(
        found.text.contains("/etc/app.conf"),
        "the last one: {}",
        found.text
    );
}

#[test]
fn systemd_names_what_it_could_not_mount_and_who_may_report() {
    let app = app("sandbox.read-write = [\"/srv/none\"]");
    let case = Case {
        app: &app,
        service: &app.services[0],
        target: Target::Version(252),
        look: &|path| look(path, ""),
    };
    let of = |line: &str| {
        let manager = [line.to_owned()];
        let seen = Seen {
            manager: &manager,
            ..Seen::default()
        };
        explain(&case, &seen).unwrap()
    };
    let mount = of(
        "a-w.service: Failed to set up mount namespacing: /run/systemd/unit-root/srv/none: No such file or directory",
    );
    assert!(
        mount.id == "mount"
            && mount.text.contains("`/srv/none`")
            && mount.text.contains("[service.w]"),
        "{}",
        mount.text
    );
    let child = of(
        "a-w.service: Got notification message from PID 7, but reception only permitted for main PID 6",
    );
    assert!(
        child.id == "ready-from-child" && child.text.contains("`exec` before it"),
        "{}",
        child.text
    );
}

#[test]
fn a_list_of_exceptions_keeps_what_it_has() {
    let service = "exec = [\"/usr/bin/node\"]\nruntime = \"node\"\nsandbox.allow = [\"home\"]";
    let found = explained(
        service,
        "io_uring_setup: Operation not permitted",
        Ended::Exited(1),
    )
    .unwrap();
    assert!(
        found
            .text
            .contains("in `sandbox` of `[service.w]`, write `allow = [\"home\", \"io-uring\"]`"),
        "{}",
        found.text
    );
}

#[test]
fn the_system_call_that_ended_a_process_is_named() {
    let app = app("");
    let case = Case {
        app: &app,
        service: &app.services[0],
        target: Target::Version(252),
        look: &|_| AtPath::Missing,
    };
    let text = |call| {
        let seen = Seen {
            end: Some(Ended::Killed(31)),
            killing_call: Some(call),
            ..Seen::default()
        };
        explain(&case, &seen).unwrap().text
    };
    let known = text("pkey_alloc");
    assert!(
        known.contains("`pkey_alloc`") && known.contains("[\"pkey\"]"),
        "{known}"
    );
    let other = text("mount");
    assert!(other.contains("SystemCallFilter = \"mount\""), "{other}");
}

/// A service that was taken over writes what it wants into its log.
#[test]
fn no_line_of_a_service_leads_to_what_the_modes_of_the_host_protect() {
    for path in ["/etc/shadow", "/root/.ssh/id_rsa", "/run/docker.sock"] {
        for line in [
            format!("open {path}: no such file or directory"),
            format!("open {path}/x: read-only file system"),
            format!("PermissionError: [Errno 13] Permission denied: '{path}'"),
        ] {
            let Some(found) = explained("", &line, Ended::Exited(1)) else {
                continue;
            };
            assert_ne!(found.sureness, Sureness::Certain, "{}", found.text);
            for key in ["read-only =", "read-write =", "\"home\""] {
                assert!(!found.text.contains(key), "{line}: {}", found.text);
            }
        }
    }
}

#[test]
fn each_of_several_ways_to_allow_something_is_a_line() {
    let line = "OSError: [Errno 97] Address family not supported by protocol";
    let found = explained("exec = [\"/usr/bin/python3\"]", line, Ended::Exited(1)).unwrap();
    let lines: Vec<&str> = found.text.lines().collect();
    assert!(
        lines[0].ends_with("(`RestrictAddressFamilies=`):"),
        "{lines:?}"
    );
    let starts = [
        "  - a server: ",
        "  - a client: for programs on this host, ",
        "  - for known hosts, ",
        "  - for every host, ",
    ];
    assert_eq!(lines.len(), 1 + starts.len(), "{lines:?}");
    for (line, start) in lines.iter().skip(1).zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}
