//! What people who are new to it get wrong, and what they are told.

use crate::demo::{WEB, current, demo, installed};
use crate::machine::Machine;

/// A stopped service's socket listens: what the next request would start is tried like the rest.
pub fn a_stopped_service_is_tried_or_named(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let before = installed(machine);
    // A mere SIGTERM ends it well, and so nothing starts it again but a request.
    machine.ok("systemctl stop demo-worker.service && systemctl kill demo-web.service");
    machine
        .ok("timeout 10 sh -c 'while systemctl is-active -q demo-web.service; do sleep 0.1; done'");
    let mut bad = demo("2.0");
    bad.fault = "sick";
    bad.deploy(machine)
        .exits(2)
        .says("service `web`: GET")
        .says("it answers 503");
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
    let mut untried = demo("2.2");
    untried.web = "pre-check = false";
    untried
        .deploy(machine)
        .exits(0)
        .says("warning: `demo-web.service` is stopped: its checks were not run");
    machine
        .robotctl("rollback")
        .exits(0)
        .says("warning: `demo-web.service` is stopped: its checks were not run");
    assert_eq!(machine.get(WEB), "200 2.1");
}

/// A user that is not there yet is made, so that a release with one is tried like any other.
pub fn a_service_of_a_new_user_is_tried(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
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
        .says("made the user demoweb")
        .says("failed its pre-check, nothing was changed")
        .says("it answers 503");
    assert_eq!(current(machine), first);
    let mut good = demo("2.1");
    good.web = bad.web;
    good.deployed(machine);
    assert_eq!(machine.get(WEB), "200 2.1");
    assert_eq!(
        machine.ok("ps -o user= $(systemctl show -P MainPID demo-web.service)"),
        "demoweb"
    );
    // The state goes to the new user with the switch, never before it.
    let text = good
        .manifest()
        .replace("name = \"demo\"\n", "name = \"demo\"\nuser = \"demoapp\"\n");
    let text = text.replace(good.web, "").replace("2.1", "3.0");
    machine.write("/root/demo/robot.toml", &text, 0o644);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy --apply")
        .exits(0)
        .says("is not tried first: `/var/lib/demo` is still demo's");
}

/// Who opens an address may change, and back: the old holder goes before the new one comes.
pub fn a_port_changes_hands_and_comes_back(machine: &Machine) {
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
             check = [{{ http = \"/\", within = \"5s\" }}, {{ settle = \"300ms\" }}]\n"
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
        deploy(version, socket)
            .exits(0)
            .says("rebind `hands-web.socket`: the service bound its address itself: a planned gap");
        is_live(version);
        machine.robotctl("--app hands rollback").exits(0);
        is_live("1.0");
        let sockets = "systemctl list-units --plain --no-legend 'hands*.socket' 'hands*proxy*'";
        assert_eq!(machine.ok(sockets), "");
    }
    // The other way as a deploy; and a release that fails after the switch gives the port back.
    deploy("4.0", "proxy").exits(0);
    deploy("5.0", "direct").exits(0);
    is_live("5.0");
    machine.ok("mkdir -p /etc/systemd/system/hands-web-proxy.service.d && printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > /etc/systemd/system/hands-web-proxy.service.d/50-no.conf");
    deploy("6.0", "proxy").exits(3).says("is back and healthy");
    machine.ok("rm -r /etc/systemd/system/hands-web-proxy.service.d && systemctl daemon-reload");
    is_live("5.0");
}
