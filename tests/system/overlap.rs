//! Upgrades and rollbacks under load.

use crate::demo::{demo, runs};
use crate::load::Load;
use crate::machine::Machine;
use std::time::Duration;

tests![
    Quick:
    no_request_is_lost_in_upgrades_and_rollbacks,
    who_says_ready_too_early_is_waited_for,
];

const CLIENTS: usize = 8;

fn no_request_is_lost_in_upgrades_and_rollbacks(machine: &Machine) {
    demo("1.0").deployed(machine);
    let mut load = Load::start(machine, "127.0.0.1:8080", &CLIENTS.to_string());
    // Time at rest, to compare with: nothing announces that enough was asked.
    std::thread::sleep(Duration::from_secs(2));
    load.phase("changes");
    for version in ["2.0", "3.0", "4.0", "5.0"] {
        let release = demo(version).deployed(machine);
        assert_eq!(runs(machine, "demo-web.service"), release);
    }
    machine.robotctl("rollback").exits(0);
    machine.robotctl("rollback").exits(0);
    load.phase("after");
    std::thread::sleep(Duration::from_millis(300));
    let tallies = load.stop();
    let lost: usize = tallies
        .values()
        .flat_map(|tally| tally.failed.values())
        .sum();
    let (rest, changes, after) = (&tallies["rest"], &tallies["changes"], &tallies["after"]);
    machine.note(&format!(
        "4 upgrades and 2 rollbacks under {CLIENTS} clients: {lost} of {} requests lost, slowest {} ms ({} ms at rest)",
        changes.answered, changes.slowest_ms, rest.slowest_ms,
    ));
    assert_eq!(lost, 0, "{tallies:?}");
    for version in ["1.0", "2.0", "3.0", "4.0", "5.0"] {
        assert!(
            changes.bodies.contains_key(version),
            "{version} answered: {tallies:?}"
        );
    }
    let only: Vec<&String> = after.bodies.keys().collect();
    assert_eq!(
        only.last().map(|version| version.as_str()),
        Some("3.0"),
        "{tallies:?}"
    );
    assert!(
        changes.slowest_ms < 1000,
        "clients had to wait: {tallies:?}"
    );
}

/// Says that it is ready and accepts a second later, in the way of Gunicorn's workers.
const HASTY: &str = "\
import os, select, signal, socket, time
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1))
time.sleep(1)
server = socket.socket(fileno=3)
body = open('VERSION', 'rb').read()
while not over:
    if not select.select([server], [], [], 0.1)[0]:
        continue
    try:
        client, _ = server.accept()
    except BlockingIOError:
        continue
    with client:
        client.setblocking(True)
        client.recv(4096)
        client.sendall(b'HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n' + body)
";

/// Nobody is sent away before somebody else waits for connections, whatever was said.
fn who_says_ready_too_early_is_waited_for(machine: &Machine) {
    let deploy = |version: &str| {
        machine.ok("rm -rf /root/hasty && mkdir -p /root/hasty");
        let manifest = format!(
            "[app]\nname = \"hasty\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/web.py\"]\ntype = \"notify\"\n\
             listen = [\"127.0.0.1:18092\"]\n\
             check = [{{ http = \"/\", contains = \"{version}\", within = \"5s\" }}, {{ settle = \"300ms\" }}]\n"
        );
        machine.write("/root/hasty/robot.toml", &manifest, 0o644);
        machine.write("/root/hasty/web.py", HASTY, 0o644);
        machine.write("/root/hasty/VERSION", version, 0o644);
        machine
            .robotctl("--manifest /root/hasty/robot.toml deploy --apply")
            .exits(0);
    };
    deploy("1.0");
    let load = Load::start(machine, "127.0.0.1:18092", "fresh=2");
    deploy("2.0");
    machine.robotctl("--app hasty rollback").exits(0);
    let all = &load.stop()["rest"];
    machine.note(&format!(
        "an upgrade and a rollback of what is ready a second too early: {} of {} requests lost, slowest {} ms",
        all.lost(),
        all.answered,
        all.slowest_ms
    ));
    assert_eq!(all.lost(), 0, "{all:?}");
    assert!(all.slowest_ms < 500, "clients had to wait: {all:?}");
}
