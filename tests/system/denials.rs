//! What `doctor` and a failed deploy say about programs that the sandbox denies something.
//!
//! Each program really runs in its sandbox, and writes what its runtime writes. `doctor` must name the cause, and the
//! keys that it says to write must be enough.

use crate::machine::{Machine, until};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

tests![
    Quick:
    each_denial_is_explained_and_its_advice_helps,
    a_failed_deploy_explains_a_server,
    a_silent_denial_is_traced,
    a_mount_that_does_not_answer_stops_no_command,
];

/// A program that fails in its sandbox.
struct Denial {
    /// The name of its service.
    name: &'static str,
    /// The program and its arguments, as TOML.
    exec: &'static str,
    /// Keys of its service while it fails.
    keys: &'static str,
    /// What `doctor` must say.
    says: &'static str,
    /// The keys that replace `keys`, as `doctor` says them; `None` if the program works without, or if the
    /// release itself is at fault.
    fixed: Option<&'static str>,
}

/// A program without keys.
const fn denial(
    name: &'static str,
    exec: &'static str,
    says: &'static str,
    fixed: &'static str,
) -> Denial {
    Denial {
        name,
        exec,
        keys: "",
        says,
        fixed: Some(fixed),
    }
}

/// A program that fails for a reason that no key of the sandbox changes.
const fn other(name: &'static str, exec: &'static str, says: &'static str) -> Denial {
    Denial {
        name,
        exec,
        keys: "",
        says,
        fixed: None,
    }
}

const LOOPBACK: &str = "sandbox.allow = [\"loopback\"]";
const IP_SOCKETS: &str = "the sandbox denies it sockets for IP (`RestrictAddressFamilies=`)";
const READ_SRV: &str = "sandbox.read-only = [\"/srv/shared/a.conf\"]";
const EXISTS: &str =
    "the sandbox probably denies it `/srv/shared/a.conf`, which exists on this host";
const INTO_RELEASE: &str = "writing into the release (`ProtectSystem=`)";
const NOT_THE_CAUSE: &str = "` is not the cause: ";

/// A connection to a closed port of this host that is refused was allowed.
const DENIALS: &[Denial] = &[
    // Python.
    denial(
        "py-connect",
        r#"["/usr/bin/python3", "{current}/denied.py", "connect"]"#,
        IP_SOCKETS,
        LOOPBACK,
    ),
    denial(
        "py-meminfo",
        r#"["/usr/bin/python3", "{current}/denied.py", "meminfo"]"#,
        "the kernel's files in /proc (`ProcSubset=`)",
        "sandbox.allow = [\"proc-files\"]",
    ),
    denial(
        "py-hidden",
        r#"["/usr/bin/python3", "{current}/denied.py", "read"]"#,
        EXISTS,
        READ_SRV,
    ),
    denial(
        "py-home",
        r#"["/usr/bin/python3", "{current}/denied.py", "read-home"]"#,
        "(`ProtectHome=`)",
        "sandbox.allow = [\"home\"]",
    ),
    denial(
        "py-nice",
        r#"["/usr/bin/python3", "{current}/denied.py", "priority"]"#,
        "changing its priority",
        "sandbox.allow = [\"nice\"]",
    ),
    denial(
        "py-chown",
        r#"["/usr/bin/python3", "{current}/denied.py", "change-owner"]"#,
        "changing its user and its group",
        "sandbox.allow = [\"setuid-self\"]",
    ),
    denial(
        "py-write",
        r#"["/usr/bin/python3", "{current}/denied.py", "write"]"#,
        INTO_RELEASE,
        "env.FILE = \"{state}/state.db\"",
    ),
    denial(
        "py-shared",
        r#"["/usr/bin/python3", "{current}/denied.py", "write-shared"]"#,
        "denies it the directory `/srv/written`",
        "sandbox.read-write = [\"/srv/written\"]",
    ),
    denial(
        "py-exec",
        r#"["/usr/bin/python3", "{current}/denied.py", "run-from-state"]"#,
        "executing files in a directory that it can write (`NoExecPaths=`)",
        "sandbox.allow = [\"exec-writable\"]",
    ),
    denial(
        "py-lookup",
        r#"["/usr/bin/python3", "{current}/denied.py", "look-up"]"#,
        "a network (`PrivateNetwork=`)",
        "sandbox.allow = [\"outbound\"]\nenv.OPEN = \"1\"",
    ),
    denial(
        "py-keyring",
        r#"["/usr/bin/python3", "{current}/denied.py", "add-key"]"#,
        "the keys of the kernel",
        "sandbox.allow = [\"keyring\"]",
    ),
    denial(
        "py-code",
        r#"["/usr/bin/python3", "{current}/denied.py", "write-code"]"#,
        "memory that is writable and executable (`MemoryDenyWriteExecute=`)",
        "sandbox.allow = [\"jit\"]",
    ),
    other(
        "py-import",
        r#"["/usr/bin/python3", "{current}/denied.py", "import"]"#,
        "its log says `ModuleNotFoundError",
    ),
    // Node.
    Denial {
        name: "node-plain",
        exec: r#"["/usr/bin/node", "-e", "0"]"#,
        keys: "",
        says: "it does not lack memory",
        fixed: Some("runtime = \"node\""),
    },
    Denial {
        name: "node-interfaces",
        exec: r#"["/usr/bin/node", "-e", "require('os').networkInterfaces()"]"#,
        keys: "sandbox.allow = [\"jit\", \"pkey\", \"proc-files\"]",
        says: "netlink sockets, with which a program lists the network interfaces",
        fixed: Some("runtime = \"node\""),
    },
    Denial {
        name: "node-connect",
        exec: r#"["/usr/bin/node", "-e", "require('net').connect(1, '127.0.0.1').on('error', e => process.exit(e.code == 'ECONNREFUSED' ? 0 : (console.error(e), 1)))"]"#,
        keys: "runtime = \"node\"",
        says: IP_SOCKETS,
        fixed: Some("runtime = \"node\"\nsandbox.allow = [\"loopback\"]"),
    },
    Denial {
        name: "node-write",
        exec: r#"["/usr/bin/node", "-e", "require('fs').writeFileSync(process.env.FILE || 'x.log', 'x')"]"#,
        keys: "runtime = \"node\"",
        says: INTO_RELEASE,
        fixed: Some("runtime = \"node\"\nenv.FILE = \"{state}/x.log\""),
    },
    Denial {
        name: "node-hidden",
        exec: r#"["/usr/bin/node", "-e", "require('fs').readFileSync('/srv/shared/a.conf')"]"#,
        keys: "runtime = \"node\"",
        says: EXISTS,
        fixed: Some("runtime = \"node\"\nsandbox.read-only = [\"/srv/shared/a.conf\"]"),
    },
    Denial {
        name: "node-module",
        exec: r#"["/usr/bin/node", "-e", "require('express-of-no-release')"]"#,
        keys: "runtime = \"node\"",
        says: "the program did not find a part of itself",
        fixed: None,
    },
    // Ruby.
    denial(
        "rb-connect",
        r#"["/usr/bin/ruby", "-rsocket", "-e", "begin; TCPSocket.new('127.0.0.1', 1); rescue Errno::ECONNREFUSED; end"]"#,
        IP_SOCKETS,
        LOOPBACK,
    ),
    denial(
        "rb-hidden",
        r#"["/usr/bin/ruby", "-e", "File.read('/srv/shared/a.conf')"]"#,
        EXISTS,
        READ_SRV,
    ),
    denial(
        "rb-write",
        r#"["/usr/bin/ruby", "-e", "File.write(ENV['FILE'] || 'x.log', 'x')"]"#,
        INTO_RELEASE,
        "env.FILE = \"{state}/rb.log\"",
    ),
    denial(
        "rb-priority",
        r#"["/usr/bin/ruby", "-e", "Process.setpriority(Process::PRIO_PROCESS, 0, 5)"]"#,
        "changing its priority",
        "sandbox.allow = [\"nice\"]",
    ),
    other(
        "rb-require",
        r#"["/usr/bin/ruby", "-e", "require 'sinatra_of_no_release'"]"#,
        "the program did not find a part of itself",
    ),
    // PHP.
    denial(
        "php-connect",
        r#"["/usr/bin/php", "-r", "$c = stream_socket_client('tcp://127.0.0.1:1', $n, $m); exit($n == 111 ? 0 : 1);"]"#,
        IP_SOCKETS,
        "runtime = \"php\"\nsandbox.allow = [\"loopback\"]",
    ),
    denial(
        "php-hidden",
        r#"["/usr/bin/php", "-r", "exit(file_get_contents('/srv/shared/a.conf') === false ? 1 : 0);"]"#,
        EXISTS,
        READ_SRV,
    ),
    denial(
        "php-write",
        r#"["/usr/bin/php", "-r", "exit(file_put_contents(getenv('FILE') ?: '/opt/denied/current/x.log', 'x') === false ? 1 : 0);"]"#,
        INTO_RELEASE,
        "env.FILE = \"{state}/php.log\"",
    ),
    // Java, whose ahead-of-time image does not start either.
    denial(
        "java-plain",
        r#"["/usr/bin/java", "-version"]"#,
        "memory that is writable and executable (`MemoryDenyWriteExecute=`): in `[service.java-plain]`, write `runtime = \"java\"`",
        "runtime = \"java\"",
    ),
    Denial {
        name: "java-main",
        exec: r#"["/usr/bin/java", "-cp", "{current}", "Nothing"]"#,
        keys: "runtime = \"java\"",
        says: "the program did not find a part of itself",
        fixed: None,
    },
    Denial {
        name: "java-hidden",
        exec: r#"["/usr/bin/keytool", "-list", "-storepass", "secret", "-keystore", "/srv/shared/store"]"#,
        keys: "runtime = \"java\"",
        says: "`/srv/shared/store`, which exists on this host",
        fixed: Some("runtime = \"java\"\nsandbox.read-only = [\"/srv/shared/store\"]"),
    },
    // LuaJIT.
    denial(
        "lua-hidden",
        r#"["/usr/bin/luajit", "-e", "assert(io.open('/srv/shared/a.conf'))"]"#,
        EXISTS,
        "runtime = \"luajit\"\nsandbox.read-only = [\"/srv/shared/a.conf\"]",
    ),
    denial(
        "lua-mcode",
        r#"["/usr/bin/luajit", "-jv", "-e", "local n = 0 for i = 1, 1e7 do n = n + i end if not pcall(require('jit.util').tracemc, 1) or not require('jit.util').tracemc(1) then error('failed to allocate mcode memory') end"]"#,
        "memory that is writable and executable",
        "runtime = \"luajit\"",
    ),
    // Rust.
    denial(
        "rust-connect",
        r#"["{current}/denied", "connect"]"#,
        IP_SOCKETS,
        LOOPBACK,
    ),
    denial(
        "rust-write",
        r#"["{current}/denied", "write"]"#,
        "a relative path is one in `/opt/denied/current`",
        "working-directory = \"{state}\"",
    ),
    denial(
        "rust-read",
        r#"["{current}/denied", "read"]"#,
        EXISTS,
        READ_SRV,
    ),
    // C.
    denial(
        "c-curl",
        r#"["/bin/sh", "-c", "curl -sS http://127.0.0.1:1/ || [ $? = 7 ] && [ $OPEN ]"]"#,
        "the sandbox denies it",
        "env.OPEN = \"1\"\nsandbox.allow = [\"loopback\"]",
    ),
    denial(
        "c-renice",
        r#"["/bin/sh", "-c", "renice -n 5 -p $$"]"#,
        "changing its priority",
        "sandbox.allow = [\"nice\"]",
    ),
    denial(
        "c-bus",
        r#"["/usr/bin/busctl", "--system", "list"]"#,
        "the system bus",
        "sandbox.allow = [\"system-bus\"]",
    ),
    denial(
        "c-unshare",
        r#"["/usr/bin/unshare", "--user", "/bin/true"]"#,
        "making namespaces of its own (`RestrictNamespaces=`)",
        "sandbox.directives.RestrictNamespaces = \"user mnt pid net\"",
    ),
    other(
        "c-library",
        r#"["{current}/linked"]"#,
        "the host lacks the library `libof_no_host.so`",
    ),
    // Go.
    denial(
        "go-listen",
        r#"["/bin/sh", "-c", "timeout 5 /usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:19100; [ $? = 124 ]"]"#,
        IP_SOCKETS,
        "sandbox.allow = [\"loopback\", \"bind-any\"]",
    ),
    // What programs go on without: something else ends them.
    other(
        "ignore-perl",
        r#"["/bin/sh", "-c", "LC_ALL=xx_YY.UTF-8 perl -e 1; exit 1"]"#,
        NOT_THE_CAUSE,
    ),
    other(
        "ignore-bash",
        r#"["/bin/bash", "-c", "LC_ALL=xx_YY.UTF-8; exit 1"]"#,
        NOT_THE_CAUSE,
    ),
    other(
        "ignore-php",
        r#"["/bin/sh", "-c", "php -d display_errors=stderr -r 'preg_match(\"/a+b/\", \"aab\");'; exit 1"]"#,
        NOT_THE_CAUSE,
    ),
    other(
        "ignore-nginx",
        r#"["/bin/sh", "-c", "printf 'user www-data; error_log stderr; pid /tmp/p; events {}' > /tmp/n.conf; nginx -e stderr -t -c /tmp/n.conf; exit 1"]"#,
        NOT_THE_CAUSE,
    ),
    other(
        "ignore-redis",
        r#"["/bin/sh", "-c", "timeout 2 redis-server --port 0 --unixsocket /tmp/r --dir /tmp --maxclients 1000000; exit 1"]"#,
        NOT_THE_CAUSE,
    ),
    other(
        "ignore-cache",
        r#"["/bin/sh", "-c", "echo 'Fontconfig error: No writable cache directories' >&2; exit 1"]"#,
        NOT_THE_CAUSE,
    ),
    // Nothing that the sandbox decides.
    other(
        "no-advice",
        r#"["/bin/sh", "-c", "echo 'ValueError: invalid literal' >&2; exit 1"]"#,
        "has failed: it ended with exit status 1 (exit-code)",
    ),
];

const MANIFEST: &str = "/root/denied/robot.toml";

/// Each service is a job that no timer starts soon.
fn manifest(version: &str, keys: impl Fn(&Denial) -> Option<&'static str>) -> String {
    let mut text = format!("[app]\nname = \"denied\"\nversion = \"{version}\"\n");
    for one in DENIALS {
        if let Some(keys) = keys(one) {
            write!(
                text,
                "[service.{}]\nexec = {}\ntimer = {{ calendar = \"2199-01-01\" }}\nenv.STATE = \"{{state}}\"\n{keys}\n",
                one.name, one.exec
            )
            .unwrap();
        }
    }
    text
}

/// Makes the release and the files of the host that it uses.
fn prepare(machine: &Machine) {
    machine.ok(
        "mkdir -p /root/denied /srv/shared /srv/written /home/ann && echo x > /srv/shared/a.conf && \
         echo x > /srv/shared/store && echo x > /home/ann/notes && chmod -R a+rX /srv /home/ann && chmod 1777 /srv/written",
    );
    machine.ok("keytool -genkeypair -keyalg EC -storepass secret -dname CN=x -keystore /srv/shared/new && mv /srv/shared/new /srv/shared/store && chmod 644 /srv/shared/store");
    machine.write(
        "/root/denied/denied.py",
        include_str!("denials/denied.py"),
        0o644,
    );
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/denials/denied.rs");
    let compiled = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ])
        .args([&machine.path("/root/denied/denied"), &source])
        .status();
    assert!(compiled.unwrap().success(), "compiling denied.rs");
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("lib.c"), "int of_no_host(void) { return 0; }\n").unwrap();
    std::fs::write(
        at("main.c"),
        "int of_no_host(void); int main(void) { return of_no_host(); }\n",
    )
    .unwrap();
    let cc = |arguments: &[&std::ffi::OsStr]| {
        assert!(
            Command::new("cc")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    };
    let library = at("libof_no_host.so");
    cc(&[
        "-shared".as_ref(),
        "-Wl,-soname,libof_no_host.so".as_ref(),
        "-o".as_ref(),
        library.as_ref(),
        at("lib.c").as_ref(),
    ]);
    let linked = machine.path("/root/denied/linked");
    cc(&[
        "-o".as_ref(),
        linked.as_ref(),
        at("main.c").as_ref(),
        library.as_ref(),
    ]);
}

/// Starts every service of a manifest, and waits until each has ended.
fn run_all(machine: &Machine, keys: impl Fn(&Denial) -> bool) {
    let units: Vec<String> = DENIALS
        .iter()
        .filter(|one| keys(one))
        .map(|one| format!("denied-{}.service", one.name))
        .collect();
    let units = units.join(" ");
    machine.sh(&format!("systemctl start {units}"));
    until("every job has ended", || {
        let active = machine.sh(&format!("systemctl is-active {units}")).stdout;
        !active
            .lines()
            .any(|state| state == "activating" || state == "active")
    });
}

fn each_denial_is_explained_and_its_advice_helps(machine: &Machine) {
    prepare(machine);
    machine.write(MANIFEST, &manifest("1", |one| Some(one.keys)), 0o644);
    let deploy = format!("--manifest {MANIFEST} deploy --apply");
    machine.robotctl(&deploy).exits(0).says("is live");
    run_all(machine, |_| true);
    let report = machine
        .robotctl("--format json --app denied doctor")
        .exits(1);
    let findings: Vec<Value> = report
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let text = report.stdout.as_str();
    let mut wrong = Vec::new();
    for one in DENIALS {
        let unit = format!("`denied-{}.service` has failed: ", one.name);
        let message = message_with(&findings, &unit);
        let Some(message) = message else {
            let log = machine.ok(&format!("journalctl -o cat -u denied-{}.service", one.name));
            wrong.push(format!("{}: it did not fail:\n{log}", one.name));
            continue;
        };
        let is_silent = one.name == "no-advice" && !message.ends_with(one.says);
        if is_silent || !message.contains(one.says) {
            let log = machine.ok(&format!("journalctl -o cat -u denied-{}.service", one.name));
            wrong.push(format!("{message}\n  and not: {}\n{log}", one.says));
        }
        if let Some(fixed) = one.fixed {
            let advised = fixed
                .lines()
                .any(|key| message.contains(key) || key.starts_with("env.FILE"));
            if !advised
                && !message.contains("(`{state}` in the manifest)")
                && !one.name.starts_with("go-")
            {
                wrong.push(format!("{message}\n  does not say: {fixed}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}\n{}",
        wrong.len(),
        wrong.join("\n"),
        if wrong.is_empty() { text } else { "" }
    );
    println!(
        "{} programs, {} of them to be ignored, 0 wrong answers",
        DENIALS.len(),
        6
    );

    machine.write(MANIFEST, &manifest("2", |one| one.fixed), 0o644);
    machine.ok("systemctl reset-failed 'denied-*'");
    machine.robotctl(&deploy).exits(0).says("is live");
    run_all(machine, |one| one.fixed.is_some());
    let failed = machine.ok("systemctl --failed --plain --no-legend");
    let mut logs = String::new();
    for line in failed.lines() {
        let unit = line.split(' ').next().unwrap();
        logs += &machine.ok(&format!("journalctl -o cat -u {unit} | tail -20"));
    }
    assert_eq!(failed, "", "what `doctor` says to write is enough\n{logs}");
}

/// The message of a finding that contains some words, anywhere in the report.
fn message_with(values: &[Value], words: &str) -> Option<String> {
    values.iter().find_map(|value| match value {
        Value::String(text) => text.contains(words).then(|| text.clone()),
        Value::Array(list) => message_with(list, words),
        Value::Object(map) => message_with(&map.values().cloned().collect::<Vec<_>>(), words),
        _ => None,
    })
}

/// Servers that open their address themselves, although systemd has opened it for them.
const SERVERS: &[(&str, &str)] = &[
    (
        r#"["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "18099"]"#,
        "check = [{ http = \"/\", within = \"20s\" }]",
    ),
    (
        r#"["/usr/bin/node", "-e", "require('http').createServer((q, a) => a.end('x')).listen(18099, '127.0.0.1')"]"#,
        "runtime = \"node\"\ncheck = [{ http = \"/\", within = \"20s\" }]",
    ),
    (
        r#"["/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", "18099", "--dir", "/tmp", "--supervised", "systemd"]"#,
        "type = \"notify\"",
    ),
];

fn a_failed_deploy_explains_a_server(machine: &Machine) {
    let deploy = |exec: &str, keys: &str| {
        let text = format!(
            "[app]\nname = \"server\"\nversion = \"1\"\n[service.web]\nexec = {exec}\n{keys}\n\
             listen = [\"127.0.0.1:18099\"]\nrestart = \"no\"\n"
        );
        machine.write("/root/server/robot.toml", &text, 0o644);
        machine.robotctl("--manifest /root/server/robot.toml deploy --apply")
    };
    for (exec, keys) in SERVERS {
        let out = deploy(exec, keys);
        assert_ne!(out.code, 0, "{out}");
        out.says("in `[service.web]` write `socket = \"proxy\"`")
            .says("sd_listen_fds(3)");
        deploy(exec, &format!("{keys}\nsocket = \"proxy\""))
            .exits(0)
            .says("is live");
        machine
            .robotctl("--app server remove --purge --apply")
            .exits(0);
    }
}

/// A silent denial: the program hides the error, and only the kernel knows the system call.
fn a_silent_denial_is_traced(machine: &Machine) {
    let program = "import ctypes, os, time\n\
        libc = ctypes.CDLL(None)\n\
        while True:\n\
        \x20   libc.setpriority(0, 0, 5)\n\
        \x20   libc.unshare(0x10000000)\n\
        \x20   libc.chroot(b'/nothing')\n\
        \x20   time.sleep(0.2)\n";
    let deploy = |version: &str, keys: &str| {
        let text = format!(
            "[app]\nname = \"silent\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/silent.py\"]\n{keys}\ncheck = [{{ settle = \"200ms\" }}]\n"
        );
        machine.write("/root/silent/robot.toml", &text, 0o644);
        machine.write("/root/silent/silent.py", program, 0o644);
        machine
            .robotctl("--manifest /root/silent/robot.toml deploy --apply")
            .exits(0)
            .says("is live");
    };
    let trace = "--app silent doctor --trace web --trace-time 2";
    deploy("1", "");
    let pid = machine.property("silent-web.service", "MainPID");
    machine
        .robotctl(trace)
        .exits(1)
        .says("silent: `web` makes 2 system calls that the sandbox denies")
        .says("setpriority: in `[service.web]`, write `sandbox.allow = [\"nice\"]`")
        .says("chroot: no exception allows it");
    assert_eq!(machine.property("silent-web.service", "MainPID"), pid);
    assert_eq!(
        machine.ok("ls /run/systemd/system"),
        "",
        "the second instance is gone"
    );
    // It has no filter, so that it may not stay: not after a signal, nor for ever if robotctl is killed.
    let code = machine.ok(
        "robotctl --app silent doctor --trace web --trace-time 600 >/dev/null 2>&1 & pid=$!; \
         until systemctl is-active -q silent-web-precheck.service; do :; done; \
         systemctl show -P RuntimeMaxUSec silent-web-precheck.service; kill -TERM $pid; wait $pid; echo $?",
    );
    assert_eq!(code, "12min\n130");
    assert_eq!(machine.ok("ls /run/systemd/system"), "");
    deploy(
        "2",
        "sandbox.allow = [\"nice\"]\nsandbox.directives.SystemCallFilter = \"chroot\"",
    );
    machine
        .robotctl(trace)
        .exits(0)
        .says("silent: the sandbox denies `web` no system call that it made");
    machine
        .robotctl("--app silent doctor --trace wbe")
        .exits(2)
        .says("`silent` has no service `wbe`")
        .says("do you mean `web`?");
    a_first_deploy_that_failed_is_traced(machine);
}

/// After a first deploy that failed, no release is live. The trace runs the release that was staged last.
fn a_first_deploy_that_failed_is_traced(machine: &Machine) {
    machine
        .robotctl("--app silent remove --purge --apply")
        .exits(0);
    let program = "import ctypes, os\n\
        open(os.environ['STATE_DIRECTORY'] + '/x', 'w').close()\n\
        ctypes.CDLL(None).chroot(b'/nothing')\n\
        raise SystemExit(3)\n";
    machine.write("/root/silent/silent.py", program, 0o644);
    machine.ok("sed -i /SystemCallFilter/d /root/silent/robot.toml");
    machine
        .robotctl("--manifest /root/silent/robot.toml deploy --apply")
        .exits(3);
    machine
        .robotctl("--app silent doctor --trace web")
        .exits(1)
        .says("chroot: no exception allows it")
        .says("note: no release is live; this was the last one, 2-")
        .says("the second instance ended by itself: it ended with exit status 3");
    machine.ok("! test -e /opt/silent/current && ! ls /run/systemd/system/* 2>/dev/null");
}

/// A mount does not answer, such as that of a server that is down: a service names a path on it, it lies below the state
/// of an app, or it holds the state. Here, an automounter that does nothing.
fn a_mount_that_does_not_answer_stops_no_command(machine: &Machine) {
    let automounter = "import ctypes, os, sys\n\
        reading, writing = os.pipe()\n\
        options = f'fd={writing},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct'.encode()\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        if libc.mount(b'none', sys.argv[1].encode(), b'autofs', 0, options):\n\
        \x20   raise OSError(ctypes.get_errno(), 'mount')\n\
        while os.read(reading, 4096):\n\
        \x20   pass\n";
    machine.write("/root/automounter.py", automounter, 0o644);
    let mount = |name: &str, point: &str| {
        machine.ok(&format!(
            "mkdir -p {point} && systemd-run --quiet --unit={name} python3 /root/automounter.py {point}"
        ));
        until("the automounter has mounted", || {
            let mounted = format!("grep -q ' {point} .* - autofs' /proc/self/mountinfo");
            machine.sh(&mounted).code == 0
        });
    };
    mount("automounter", "/srv/unanswered");
    machine.ok("ln -sfn /srv/unanswered/dir /srv/link");
    let program = "import sys\n\
        print('open /srv/link/x: No such file or directory')\n\
        print('open /srv/unanswered/x: No such file or directory')\n\
        sys.exit(1)\n";
    machine.write("/root/far/far.py", program, 0o644);
    let text = "[app]\nname = \"far\"\nversion = \"1\"\n[service.job]\n\
                exec = [\"/usr/bin/python3\", \"{current}/far.py\"]\n\
                timer = { calendar = \"2199-01-01\" }\n";
    machine.write("/root/far/robot.toml", text, 0o644);
    machine
        .robotctl("--manifest /root/far/robot.toml deploy --apply")
        .exits(0);
    machine.sh("systemctl start far-job.service");
    mount("automounter-below", "/var/lib/far/mount");
    let asked = |command: &str| machine.sh(&format!("timeout --signal KILL 20 robotctl {command}"));
    let doctor = asked("--app far doctor");
    doctor.exits(1).says("`far-job.service` has failed");
    machine.ok("systemctl stop automounter-below && umount /var/lib/far/mount");
    mount("automounter-state", "/var/lib/far");
    for command in ["--app far doctor", "--manifest /root/far/robot.toml deploy"] {
        asked(command)
            .exits(2)
            .says("the file system of `/var/lib/far` does not answer");
    }
    machine.ok("systemctl stop automounter-state && umount /var/lib/far");
    machine
        .robotctl("--app far remove --purge --apply")
        .exits(0);
    machine.ok(
        "systemctl stop automounter && umount /srv/unanswered && rm -r /srv/unanswered /srv/link",
    );
}
