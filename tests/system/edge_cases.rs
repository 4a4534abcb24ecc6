//! Failed sockets, ignored signals, low memory, changed addresses and other conditions that disturb
//! an upgrade.

use crate::demo::{WEB, current, demo, occupy_port, running_release};
use crate::load::Load;
use crate::machine::{Machine, until};
use std::time::Instant;

tests![
    Quick:
    a_socket_that_failed_in_a_crash_loop_is_reopened,
    a_service_that_ignores_sigterm_is_killed,
    low_memory_turns_off_pre_check_and_overlap,
    a_changed_address_is_rebound_and_rolled_back,
    exchanged_addresses_are_rebound_and_rolled_back,
    a_new_address_that_is_in_use_is_refused,
    a_socket_file_that_the_service_makes_is_kept,
    a_killed_pre_check_leaves_nothing,
    the_process_that_holds_the_port_is_named,
    causes_of_failures_are_named,
];

/// A release that crashes at each start makes its socket fail, under load.
fn a_socket_that_failed_in_a_crash_loop_is_reopened(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let load = Load::start(machine, "127.0.0.1:8080", "4");
    let mut bad = demo("2.0");
    bad.fault = "crash";
    bad.web = "pre-check = false\nupgrade = \"restart\"\nrestart = \"no\"";
    bad.settle = "";
    bad.deploy(machine).exits(3);
    load.stop();
    assert_eq!(machine.get(WEB), "200 1.0");
    assert_eq!(running_release(machine, "demo-web.service"), first);
    assert_eq!(machine.property("demo-web.socket", "ActiveState"), "active");

    // The same by hand: the service and the socket have failed before the next deploy.
    machine.ok("mkdir -p /run/systemd/system/demo-web.service.d && \
        printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\nRestart=no\\n' > /run/systemd/system/demo-web.service.d/99-broken.conf && \
        systemctl daemon-reload && systemctl kill --signal=KILL demo-web.service");
    until("the socket has failed", || {
        machine.sh("curl -s -m 1 http://127.0.0.1:8080/");
        machine.property("demo-web.socket", "ActiveState") == "failed"
    });
    machine
        .ok("rm /run/systemd/system/demo-web.service.d/99-broken.conf && systemctl daemon-reload");
    demo("3.0").deploy_ok(machine);
    assert_eq!(machine.get(WEB), "200 3.0");
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// A service that ignores SIGTERM is killed. It loses the requests that it works on, and no others.
fn a_service_that_ignores_sigterm_is_killed(machine: &Machine) {
    let keys =
        "timeout-stop = \"2s\"\n[service.web.sandbox]\ndirectives = { KillSignal = \"SIGCONT\" }";
    let ignoring = |version: &str| {
        let mut ignoring = demo(version);
        ignoring.web = keys;
        ignoring
    };
    ignoring("1.0").deploy_ok(machine);
    let load = Load::start(machine, "127.0.0.1:8080", "fresh=4");
    let start = Instant::now();
    let second = ignoring("2.0").deploy_ok(machine);
    let took = start.elapsed();
    assert_eq!(running_release(machine, "demo-web.service"), second);
    let tallies = load.stop();
    let all = &tallies["rest"];
    machine.note(&format!(
        "a service that ignores SIGTERM, killed after 2 s: {} of {} requests lost, slowest {} ms, upgrade {:.1} s",
        all.lost(),
        all.answered,
        all.slowest_ms,
        took.as_secs_f32()
    ));
    // The requests that were open when it was killed.
    assert!(all.lost() <= 8, "{all:?}");
}

fn low_memory_turns_off_pre_check_and_overlap(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    machine.ok("sed 's/^MemAvailable:.*/MemAvailable:      20000 kB/' /proc/meminfo > /root/meminfo && mount --bind /root/meminfo /proc/meminfo");
    demo("2.0").write(machine);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy")
        .exits(0)
        .says("no overlap: two releases need");
    let second = demo("2.0").deploy(machine).exits(0);
    second
        .says("is not pre-checked: running the old and the new release at once needs ")
        .says("32.00 MiB must stay free, but only 19.53 MiB are available");
    assert_eq!(machine.get(WEB), "200 2.0");
    machine.ok("umount /proc/meminfo");
    demo("3.0")
        .deploy(machine)
        .exits(0)
        .says("overlap `demo-web.service`: new release");
}

fn a_changed_address_is_rebound_and_rolled_back(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let mut moved = demo("2.0");
    moved.tables = "[environment.x.listen]\nweb = [\"127.0.0.1:1\"]\n";
    let text = moved.manifest().replace("127.0.0.1:8080", "127.0.0.1:8090");
    moved.write(machine);
    machine.write("/root/demo/robot.toml", &text, 0o644);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy --apply")
        .exits(0)
        .says("refuses connections for a moment");
    assert_eq!(machine.get("http://127.0.0.1:8090"), "200 2.0");
    assert!(machine.get(WEB).starts_with("000 "));
    machine.robotctl("rollback").exits(0);
    assert_eq!(current(machine), first);
    assert_eq!(machine.get(WEB), "200 1.0");
    assert!(machine.get("http://127.0.0.1:8090").starts_with("000 "));
}

/// Addresses move between services, in one direction or both, in each socket mode. They move back
/// in a rollback and when a deploy is reverted.
fn exchanged_addresses_are_rebound_and_rolled_back(machine: &Machine) {
    let server = "import os, socket, sys\n\
        name, port = sys.argv[1:]\n\
        given = 'LISTEN_FDS' in os.environ\n\
        server = socket.socket(fileno=3) if given else socket.create_server(('127.0.0.1', int(port)))\n\
        server.setblocking(True)\n\
        while True:\n\
        \x20   client, _ = server.accept()\n\
        \x20   client.recv(4096)\n\
        \x20   client.sendall(f'HTTP/1.0 200 OK\\r\\n\\r\\n{name} '.encode() + open('VERSION', 'rb').read())\n\
        \x20   client.close()\n";
    let deploy = |version: &str, kinds: [&str; 2], ports: [u16; 2], said: &str| {
        let within = if said == version { "30s" } else { "2s" };
        machine.ok("rm -rf /root/turn && mkdir -p /root/turn");
        let service = |name: &str, at: usize| {
            let (kind, port) = (kinds[at], ports[at]);
            format!(
                "[service.{name}]\nsocket = \"{kind}\"\nlisten = [\"127.0.0.1:{port}\"]\n\
                 exec = [\"/usr/bin/python3\", \"{{current}}/web.py\", \"{name}\", \"{port}\"]\n\
                 upgrade = \"restart\"\npre-check = false\n\
                 check = [{{ http = \"/\", contains = \"{name} {said}\", within = \"{within}\" }}, {{ settle = \"300ms\" }}]\n"
            )
        };
        let manifest = format!(
            "[app]\nname = \"turn\"\nversion = \"{version}\"\n{}{}",
            service("left", 0),
            service("right", 1)
        );
        machine.write("/root/turn/robot.toml", &manifest, 0o644);
        machine.write("/root/turn/web.py", server, 0o644);
        machine.write("/root/turn/VERSION", version, 0o644);
        machine.robotctl("--manifest /root/turn/robot.toml deploy --apply")
    };
    let answer = |version: &str, [left, right]: [u16; 2]| {
        for (name, port) in [("left", left), ("right", right)] {
            let url = format!("http://127.0.0.1:{port}");
            assert_eq!(machine.get(&url), format!("200 {name} {version}"));
        }
        machine.robotctl("--app turn doctor").exits(0);
        assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    };
    let before = [18090, 18091];
    let (turned, moved) = ([18091, 18090], [18092, 18090]);
    let (activate, direct) = (["activate", "activate"], ["direct", "direct"]);
    for (old, kinds, after) in [
        (activate, activate, turned),
        (direct, direct, turned),
        (["proxy", "direct"], ["proxy", "direct"], turned),
        (direct, direct, moved),
        (["activate", "direct"], ["activate", "direct"], moved),
        (["activate", "direct"], direct, moved),
    ] {
        deploy("1.0", old, before, "1.0").exits(0);
        answer("1.0", before);
        deploy("2.0", kinds, after, "2.0").exits(0);
        answer("2.0", after);
        machine.robotctl("--app turn rollback").exits(0);
        answer("1.0", before);
        deploy("3.0", kinds, after, "wrong text")
            .exits(3)
            .says("was restored and is healthy");
        answer("1.0", before);
        machine
            .robotctl("--app turn remove --purge --apply")
            .exits(0);
    }
}

/// A new address that another process holds is refused, even if the service that asks for it runs.
fn a_new_address_that_is_in_use_is_refused(machine: &Machine) {
    let mut first = demo("1.0");
    first.write(machine);
    let moved = |text: String| text.replace("127.0.0.1:8080", "127.0.0.1:8090");
    machine.write("/root/demo/robot.toml", &moved(first.manifest()), 0o644);
    let deploy = "--manifest /root/demo/robot.toml deploy --apply";
    machine.robotctl(deploy).exits(0);
    let web = machine.property("demo-web.service", "InvocationID");
    let mut other = occupy_port(machine, "8080");
    first.version = "2.0".into();
    first
        .deploy(machine)
        .exits(2)
        .says("127.0.0.1:8080 of service `web` is in use by pid ");
    assert_eq!(machine.get("http://127.0.0.1:8090"), "200 1.0");
    assert_eq!(machine.property("demo-web.service", "InvocationID"), web);
    machine.ok("pkill --exact python3 --newest");
    other.wait().unwrap();
}

/// A service that makes its socket file itself keeps the file during a deploy.
fn a_socket_file_that_the_service_makes_is_kept(machine: &Machine) {
    let server = "import os, socketserver\n\
        from http.server import BaseHTTPRequestHandler\n\
        class Handler(BaseHTTPRequestHandler):\n\
        \x20   def do_GET(self):\n\
        \x20       self.send_response(200 if self.path == '/' or os.path.exists('fine') else 503)\n\
        \x20       self.end_headers()\n\
        \x20       self.wfile.write(open('VERSION', 'rb').read())\n\
        \x20   def address_string(self): return ''\n\
        path = '/var/lib/own/own.sock'\n\
        if os.path.exists(path): os.unlink(path)\n\
        socketserver.UnixStreamServer(path, Handler).serve_forever()\n";
    let deploy = |version: &str, fine: bool| {
        machine.ok("rm -rf /root/own && mkdir -p /root/own");
        let within = if fine { "30s" } else { "3s" };
        let manifest = format!(
            "[app]\nname = \"own\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/own.py\"]\nsocket = \"direct\"\n\
             listen = [\"unix:{{state}}/own.sock\"]\n\
             check = [{{ http = \"/healthz\", within = \"{within}\" }}, {{ settle = \"300ms\" }}]\n"
        );
        machine.write("/root/own/robot.toml", &manifest, 0o644);
        machine.write("/root/own/own.py", server, 0o644);
        machine.write("/root/own/VERSION", version, 0o644);
        if fine {
            machine.write("/root/own/fine", "", 0o644);
        }
        machine.robotctl("--manifest /root/own/robot.toml deploy --apply")
    };
    let answer = || machine.ok("curl -s --unix-socket /var/lib/own/own.sock http://own/");
    deploy("1.0", true).exits(0);
    assert_eq!(answer(), "1.0");
    // It has no pre-check, so the broken release is found after the switch and rolled back.
    deploy("2.0", false)
        .exits(3)
        .says("was restored and is healthy");
    assert_eq!(answer(), "1.0");
    deploy("3.0", true).exits(0);
    assert_eq!(answer(), "3.0");
}

fn a_killed_pre_check_leaves_nothing(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let mut next = demo("2.0");
    next.settle = "1h";
    let mut child = next.start_deploy(machine);
    let instance = "systemctl is-active demo-web-precheck.service";
    until("the copy runs", || machine.sh(instance).code == 0);
    machine.ok(&format!("kill -s KILL {}", machine.spawned_pid()));
    child.wait().unwrap();
    machine.ok(instance);
    machine.robotctl("recover").exits(0);
    assert_ne!(machine.sh(instance).code, 0);
    assert_eq!(machine.ok("ls /run/systemd/system | grep demo || true"), "");
    assert_eq!(
        machine.ok("systemctl list-units --all --plain --no-legend '*precheck*'"),
        ""
    );
    assert_eq!(machine.ok("pgrep -u demo | wc -l"), "2", "web and worker");
    assert_eq!(current(machine), first);
}

fn the_process_that_holds_the_port_is_named(machine: &Machine) {
    let mut other = occupy_port(machine, "8080");
    demo("1.0")
        .deploy(machine)
        .exits(2)
        .says("127.0.0.1:8080 of service `web` is in use by pid ")
        .says("(`python3`)");
    machine.ok("pkill --exact python3");
    other.wait().unwrap();
    demo("1.0").deploy_ok(machine);
}

/// robotctl explains why a service ended, and what to do.
fn causes_of_failures_are_named(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    for (version, tables, said) in [
        (
            "2.0",
            "[service.worker.sandbox]\ndirectives = { SystemCallErrorNumber = \"kill\", SystemCallFilter = \"~socket\" }\n",
            "the sandbox denies it the system call `socket` (SIGSYS)",
        ),
        (
            "2.1",
            "[service.worker.sandbox]\ndirectives = { SetCredentialEncrypted = \"key:Zm9vYmFy\" }\n",
            "243/CREDENTIALS",
        ),
        (
            "2.2",
            "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\nwatchdog = \"1s\"\nrestart = \"no\"\n",
            "watchdog",
        ),
        (
            "2.3",
            "[service.late]\nexec = [\"/bin/sh\", \"-c\", \"kill -KILL $$\"]\ntype = \"notify\"\nrestart = \"no\"\n",
            "it was killed (SIGKILL) by a person or a program, and not for memory",
        ),
        (
            "2.4",
            "[service.late]\nexec = [\"/bin/sleep\", \"1000\"]\ntype = \"notify\"\ntimeout-start = \"2s\"\nrestart = \"no\"\n",
            "the start or stop timed out",
        ),
        (
            "2.5",
            "[service.late]\nexec = [\"/usr/bin/python3\", \"-m\", \"http.server\", \"--bind\", \"127.0.0.1\", \"81\"]\nlisten = [\"127.0.0.1:81\"]\nsocket = \"direct\"\npre-check = false\nrestart = \"no\"\n",
            "let systemd open it, with its address in `listen` and `socket = \"activate\"` or `\"proxy\"`; or in `[service.late]`, write `sandbox.allow = [\"low-port\"]`",
        ),
    ] {
        let mut bad = demo(version);
        bad.tables = tables;
        bad.settle = "";
        bad.deploy(machine)
            .exits(3)
            .says(said)
            .says("was restored and is healthy");
        assert_eq!(current(machine), first, "{said}");
    }
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}
