//! Common mistakes of new users, and the messages that they get.

use crate::demo::{WEB, current, demo, installed, occupy_port};
use crate::machine::{Machine, Out, until};

tests![
    Quick:
    a_stopped_service_is_pre_checked_or_reported,
    a_service_with_a_new_user_is_pre_checked,
    a_port_moves_between_socket_modes_and_back,
    a_crash_at_start_is_reported_with_its_output,
    a_crash_is_reported_with_its_output_after_a_restart,
    a_program_that_does_not_listen_gets_a_hint,
    the_cause_of_a_failed_start_is_named,
    a_plan_refuses_what_a_deploy_refuses,
];

/// The socket of a stopped service listens, and the next request would start the service. So its
/// pre-check runs too.
fn a_stopped_service_is_pre_checked_or_reported(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let before = installed(machine);
    // After SIGTERM it ends with success, so only a request starts it again.
    machine.ok("systemctl stop demo-worker.service && systemctl kill demo-web.service");
    until("the service ends", || {
        machine.sh("systemctl is-active -q demo-web.service").code != 0
    });
    let mut bad = demo("2.0");
    bad.fault = "sick";
    bad.deploy(machine)
        .exits(2)
        .says("service `web`: GET")
        .says("returned 503, expected 200");
    assert_eq!(installed(machine), before);
    assert_eq!(current(machine), first);
    let out = demo("2.1").deploy(machine).exits(0);
    let out = out.says("`demo-worker.service` is stopped: its checks were not run");
    assert!(
        !out.stderr.contains("`demo-web.service` is stopped"),
        "{out}"
    );
    for unit in ["demo-web.service", "demo-worker.service"] {
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    let mut without_pre_check = demo("2.2");
    without_pre_check.web = "pre-check = false";
    without_pre_check
        .deploy(machine)
        .exits(0)
        .says("warning: demo: `demo-web.service` is stopped: its checks were not run");
    machine
        .robotctl("rollback")
        .exits(0)
        .says("warning: demo: `demo-web.service` is stopped: its checks were not run");
    assert_eq!(machine.get(WEB), "200 2.1");
}

/// robotctl creates a missing user before the pre-check.
fn a_service_with_a_new_user_is_pre_checked(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let mut bad = demo("2.0");
    bad.fault = "sick";
    bad.web = "user = \"demoweb\"\ngroups = [\"demoextra\"]";
    bad.write(machine);
    let plan = "--manifest /root/demo/robot.toml deploy";
    let out = machine.robotctl(plan).exits(0);
    out.says("creates user demoweb")
        .says("creates group demoextra");
    assert_ne!(machine.sh("getent passwd demoweb").code, 0, "by a plan");
    bad.deploy(machine)
        .exits(2)
        .says("created the user demoweb")
        .says("failed its pre-check, and what is live did not change")
        .says("returned 503, expected 200");
    assert_eq!(current(machine), first);
    let mut good = demo("2.1");
    good.web = bad.web;
    good.deploy_ok(machine);
    assert_eq!(machine.get(WEB), "200 2.1");
    assert_eq!(
        machine.ok("ps -o user= $(systemctl show -P MainPID demo-web.service)"),
        "demoweb"
    );
    // The state directory gets its new owner at the switch, never before.
    let text = good
        .manifest()
        .replace("name = \"demo\"\n", "name = \"demo\"\nuser = \"demoapp\"\n");
    let text = text.replace(good.web, "").replace("2.1", "3.0");
    machine.write("/root/demo/robot.toml", &text, 0o644);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy --apply")
        .exits(0)
        .says("is not pre-checked: `/var/lib/demo` still belongs to demo");
}

/// The unit that opens an address may change, and change back. The old holder stops before the new
/// one starts.
fn a_port_moves_between_socket_modes_and_back(machine: &Machine) {
    let server = "import os, socket\n\
        given = 'LISTEN_FDS' in os.environ\n\
        server = socket.socket(fileno=3) if given else socket.create_server(('127.0.0.1', 18090))\n\
        while True:\n\
        \x20   client, _ = server.accept()\n\
        \x20   client.recv(4096)\n\
        \x20   client.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + open('VERSION', 'rb').read())\n\
        \x20   client.close()\n";
    let deploy = |version: &str, socket: &str| {
        machine.ok("rm -rf /root/hands && mkdir -p /root/hands");
        let manifest = format!(
            "[app]\nname = \"hands\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/web.py\"]\nsocket = \"{socket}\"\n\
             listen = [\"127.0.0.1:18090\"]\nupgrade = \"restart\"\n\
             check = [{{ http = \"/\", within = \"30s\" }}, {{ settle = \"300ms\" }}]\n"
        );
        machine.write("/root/hands/robot.toml", &manifest, 0o644);
        machine.write("/root/hands/web.py", server, 0o644);
        machine.write("/root/hands/VERSION", version, 0o644);
        machine.robotctl("--manifest /root/hands/robot.toml deploy --apply")
    };
    let is_live = |version: &str| {
        let answer = machine.get("http://127.0.0.1:18090");
        assert_eq!(answer, format!("200 {version}"));
        machine.robotctl("--app hands doctor").exits(0);
        assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    };
    deploy("1.0", "direct").exits(0);
    for (version, socket) in [("2.0", "proxy"), ("3.0", "activate")] {
        deploy(version, socket).exits(0).says(
            "rebind `hands-web.socket`: its service had bound the address itself; it refuses connections for a moment",
        );
        is_live(version);
        machine.robotctl("--app hands rollback").exits(0);
        is_live("1.0");
        let sockets = "systemctl list-units --plain --no-legend 'hands*.socket' 'hands*proxy*'";
        assert_eq!(machine.ok(sockets), "");
    }
    // The other direction as a deploy; and a release that fails after the switch releases the port.
    deploy("4.0", "proxy").exits(0);
    deploy("5.0", "direct").exits(0);
    is_live("5.0");
    machine.ok("mkdir -p /etc/systemd/system/hands-web-proxy.service.d && printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > /etc/systemd/system/hands-web-proxy.service.d/50-no.conf");
    deploy("6.0", "proxy")
        .exits(3)
        .says("was restored and is healthy");
    machine.ok("rm -r /etc/systemd/system/hands-web-proxy.service.d && systemctl daemon-reload");
    is_live("5.0");
}

/// Deploys an app with one service, which is a Python script.
fn deploy_python(machine: &Machine, version: &str, keys: &str, code: &str) -> Out {
    machine.ok("rm -rf /root/py && mkdir -p /root/py");
    let manifest = format!(
        "[app]\nname = \"py\"\nversion = \"{version}\"\n[service.web]\n\
         exec = [\"/usr/bin/python3\", \"{{current}}/web.py\"]\n\
         listen = [\"127.0.0.1:18091\"]\n{keys}\n\
         check = [{{ http = \"/\", within = \"1h\" }}, {{ settle = \"300ms\" }}]\n"
    );
    machine.write("/root/py/robot.toml", &manifest, 0o644);
    machine.write("/root/py/web.py", code, 0o644);
    machine.robotctl("--manifest /root/py/robot.toml deploy --apply")
}

const OWN_PORT: &str = "import socket\n\
    server = socket.create_server(('127.0.0.1', 18091))\n\
    while True:\n\
    \x20   client, _ = server.accept()\n\
    \x20   client.recv(4096)\n\
    \x20   client.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n')\n\
    \x20   client.close()\n";

/// A crash at start is reported at once, with the exit status and the output.
fn a_crash_at_start_is_reported_with_its_output(machine: &Machine) {
    let crash = "import sys, time\ntime.sleep(0.5)\nprint('oh dear')\nsys.exit(3)\n";
    let direct = "socket = \"direct\"\nrestart = \"no\"";
    let without_pre_check = "socket = \"direct\"\npre-check = false\nrestart = \"no\"";
    let proxy = "socket = \"proxy\"\npre-check = false\nrestart = \"no\"";
    let ended = |out: Out| {
        assert!(!out.stderr.contains("/proc/"), "{out}");
        out.says("it ended with exit status 3").says("oh dear")
    };
    // One that waited for a process that has ended would hang here.
    ended(deploy_python(machine, "1.0", proxy, crash).exits(3));
    ended(deploy_python(machine, "1.1", without_pre_check, crash).exits(3))
        .says("GET http://127.0.0.1:18091/ failed: it ended");
    deploy_python(machine, "2.0", direct, OWN_PORT).exits(0);
    ended(deploy_python(machine, "2.1", direct, crash).exits(2)).says("failed its pre-check");
    let other = deploy_python(machine, "2.11", direct, crash).exits(2);
    assert!(!other.stderr.contains("pre-check = false"), "{other}");
    // It connects to a program of the host when it starts, which the network of the instance does not have.
    let connects = "import socket\nsocket.create_connection(('127.0.0.1', 22))\n";
    let out = deploy_python(machine, "2.12", direct, connects).exits(2);
    let out = out.says("hint: the pre-check instance of `web` has a network of its own");
    out.says("write `pre-check = false` in `[service.web]`");
    // The last lines are shown, even after much output.
    let wordy =
        "for at in range(30): print('line', at)\nprint('last words')\nraise SystemExit(3)\n";
    let out = deploy_python(machine, "2.15", direct, wordy);
    let out = out.exits(2).says("last words");
    assert!(!out.stderr.contains("line 1\n"), "{out}");
    let instant = "raise SystemExit(3)\n";
    deploy_python(machine, "2.2", direct, instant)
        .exits(2)
        .says("it ended with exit status 3");
    ended(deploy_python(machine, "2.3", without_pre_check, crash).exits(3))
        .says("was restored and is healthy");
    ended(deploy_python(machine, "2.4", proxy, crash).exits(3)).says("was restored and is healthy");
}

/// systemd restarts a program that crashed. The output of the run that crashed is shown, not only that
/// of the run that has just begun.
fn a_crash_is_reported_with_its_output_after_a_restart(machine: &Machine) {
    let crash_once = OWN_PORT.replace(
        "    client.close()\n",
        "    client.close()\n\
        \x20   import os\n\
        \x20   if os.path.exists('/var/lib/py/seen'): continue\n\
        \x20   open('/var/lib/py/seen', 'w').close()\n\
        \x20   print('oh dear', flush=True)\n\
        \x20   os._exit(3)\n",
    );
    let at_once = "socket = \"direct\"\npre-check = false\n\
                   sandbox = { directives = { RestartSec = \"0\" } }";
    deploy_python(machine, "1.0", at_once, &crash_once)
        .exits(3)
        .says("oh dear");
    let restarts = "journalctl --no-pager -o cat -u py-web.service";
    assert!(machine.ok(restarts).contains("Scheduled restart job"));
}

/// A program that runs but does not open its port, or is not allowed to.
fn a_program_that_does_not_listen_gets_a_hint(machine: &Machine) {
    deploy_python(machine, "1.0", "", OWN_PORT)
        .exits(3)
        .says("Address family not supported")
        .says("`socket = \"proxy\"`");
    let elsewhere = OWN_PORT.replace("18091", "18099");
    deploy_python(machine, "1.1", "socket = \"proxy\"", &elsewhere)
        .exits(3)
        .says("nothing accepts connections on 127.0.0.1:18091 after 60s")
        .says("with `socket = \"proxy\"`, the program must bind");
    deploy_python(machine, "1.2", "socket = \"proxy\"", OWN_PORT).exits(0);
    let client = "import socket\nsocket.create_connection(('192.0.2.1', 80))\n";
    deploy_python(machine, "1.3", "socket = \"proxy\"", client)
        .exits(2)
        .says("write `socket = \"activate\"` if it can take over a socket");
}

/// A script with the line ends of another system, a path that is missing, and an address that is not the one in
/// `listen`.
fn the_cause_of_a_failed_start_is_named(machine: &Machine) {
    const LISTENS: &str = "#!/usr/bin/python3\nimport socket, time\n\
                           server = socket.create_server(('127.0.0.1', 18099))\ntime.sleep(1000)\n";
    const DIRECT: &str = "listen = [\"127.0.0.1:18098\"]\nsocket = \"direct\"\nsandbox.allow = [\"bind-any\"]\n\
                          check = [{ tcp = \"127.0.0.1:18098\", within = \"3s\" }]\n";
    for (program, keys, said) in [
        (
            "#!/bin/sh\r\nexec sleep 1000\r\n",
            "",
            "the `#!` line of `/opt/odd/current/web` ends with a carriage return",
        ),
        (
            "#!/bin/sh\nexec sleep 1000\n",
            "sandbox.read-write = [\"/srv/absent\"]\n",
            "systemd could not mount `/srv/absent`, which does not exist on this host",
        ),
        (
            LISTENS,
            DIRECT,
            "the program listens on 127.0.0.1:18099, and `listen` says 127.0.0.1:18098",
        ),
    ] {
        let manifest = format!(
            "[app]\nname = \"odd\"\nversion = \"1.0\"\n[service.web]\nexec = [\"{{current}}/web\"]\n\
             restart = \"no\"\n{keys}"
        );
        machine.write("/root/odd/robot.toml", &manifest, 0o644);
        machine.write("/root/odd/web", program, 0o755);
        let deploy = "--manifest /root/odd/robot.toml deploy --apply";
        machine.robotctl(deploy).exits(3).says(said);
    }
}

/// A plan reports what a deploy would refuse, in the same words, and creates nothing.
fn a_plan_refuses_what_a_deploy_refuses(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let refused = |tables: &'static str, said: &str| {
        let mut bad = demo("2.0");
        bad.tables = tables;
        bad.write(machine);
        for end in ["deploy", "deploy --apply"] {
            let out = machine.robotctl(&format!("--manifest /root/demo/robot.toml {end}"));
            let out = out.exits(2).says(said);
            assert!(!out.stderr.contains("to apply this plan"), "{out}");
        }
    };
    refused(
        "[service.late]\nexec = [\"{current}/app.py\"]\ntype = \"oneshot\"\n\
         timer = { calendar = \"dayly\" }\n",
        "robot.toml:25: systemd rejects the units:",
    );
    refused(
        "[service.worker.sandbox]\ndirectives = { ProtectSytem = \"strict\" }\n",
        "robot.toml:23: systemd rejects the units:",
    );
    refused(
        "[service.late]\nexec = [\"{current}/gone\"]\n",
        "the program `/opt/demo/current/gone` of service `late` does not exist",
    );
    refused(
        "[service.late]\nexec = [\"{current}/VERSION\"]\n",
        "the program `/opt/demo/current/VERSION` of service `late` is not executable",
    );
    refused(
        "[[secret]]\nname = \"API_KEY\"\n",
        "the secret `API_KEY` is missing",
    );
    refused(
        "[service.late]\nexec = [\"{current}/app.py\"]\nlisten = [\"127.0.0.1:8099\"]\n\
         [service.later]\nexec = [\"/nowhere/x\"]\n",
        "the program `/nowhere/x` of service `later`",
    );
    let mut other = occupy_port(machine, "8099");
    refused(
        "[service.late]\nexec = [\"{current}/app.py\"]\nlisten = [\"127.0.0.1:8099\"]\n",
        "127.0.0.1:8099 of service `late` is in use by pid ",
    );
    machine.ok("pkill --exact python3 --newest");
    other.wait().unwrap();
    let mut bad = demo("3.0");
    bad.fault = "sick";
    bad.web = "pre-check = false";
    bad.deploy(machine).exits(3);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy")
        .exits(2)
        .says("failed before")
        .says("--force");
    // A plan does not refuse what robotctl creates itself, and does not create it.
    let mut good = demo("4.0");
    good.tables = "[[secret]]\nname = \"TOKEN\"\ngenerate = \"hex:32\"\n\
        [hooks]\nbefore-switch = [[\"/bin/true\", \"x\"]]\n[release]\nbuild = [[\"/bin/ls\"]]\n";
    good.write(machine);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy")
        .exits(0)
        .says("build          /bin/ls")
        .says("before-switch  /bin/true x")
        .says("to apply this plan");
    assert!(!machine.exists("/etc/demo/credentials/TOKEN"));
}
