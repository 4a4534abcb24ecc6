//! What a plan calls an overlap overlaps, for every relation between the services of an app.
//!
//! No service of the new release starts before the test allows it. Until then, each service that overlaps must
//! answer from the previous release, whatever has to stop and start before it.

use crate::machine::{Machine, until};
use std::collections::BTreeMap;

tests![
    Quick:
    every_overlap_of_a_plan_answers_while_the_next_release_starts,
];

/// Version 2.0 waits before it is ready.
const SERVER: &str = "\
import os, select, socket, sys, time
body = open(os.path.dirname(__file__) + '/VERSION', 'rb').read()
while body == b'2.0' and not os.path.exists('/run/related/go'):
    time.sleep(0.02)
if 'LISTEN_FDS' in os.environ:
    server = socket.socket(fileno=3)
else:
    server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1))
while True:
    select.select([server], [], [])
    try:
        client, _ = server.accept()
    except BlockingIOError:
        continue
    with client:
        client.setblocking(True)
        client.recv(4096)
        client.sendall(b'HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n' + body)
";

const OVERLAP: &str = "overlap: new release";
const RESTART: &str = "restart: new release";
const GAP: &str = "restart: new release; its address refuses connections for a moment";
const MOVED: &str =
    "start: new; an address moves to it from another service, and refuses connections for a moment";

const MOVING: &str = "restart: new release, unit changed";

/// Each service, its port, its keys, and what the plan to the next release says.
const SERVICES: &[(&str, u16, &str, &str)] = &[
    ("base", 18301, "", OVERLAP),
    ("requires", 18302, "requires = [\"base\"]", OVERLAP),
    ("wants", 18303, "wants = [\"base\"]", OVERLAP),
    ("after", 18304, "after = [\"base\"]", OVERLAP),
    (
        "chain",
        18305,
        "requires = [\"requires\"]\nafter = [\"wants\"]",
        OVERLAP,
    ),
    ("queued", 18306, "upgrade = \"restart\"", RESTART),
    ("on-queued", 18307, "requires = [\"queued\"]", OVERLAP),
    ("bound", 18308, "socket = \"direct\"", GAP),
    ("on-bound", 18309, "requires = [\"bound\"]", OVERLAP),
    ("behind", 18310, "socket = \"proxy\"", OVERLAP),
    ("on-behind", 18311, "requires = [\"behind\"]", OVERLAP),
    (
        "other",
        18312,
        "enable = false\nconflicts = [\"after\"]",
        "unchanged: not enabled",
    ),
    ("renamed", 18313, "", MOVED),
    ("moving", 18320, "", MOVING),
    ("on-moving", 18315, "requires = [\"moving\"]", OVERLAP),
    (
        "on-renamed",
        18314,
        "requires = [\"renamed\"]",
        "overlap: new release, unit changed",
    ),
];

fn write(machine: &Machine, version: &str) {
    let mut text = format!("[app]\nname = \"related\"\nversion = \"{version}\"\n");
    for (name, port, keys, _) in SERVICES {
        let (name, keys) = match (*name, version) {
            ("renamed", "1.0") => ("former", (*keys).to_owned()),
            (name, "1.0") => (name, keys.replace("renamed", "former")),
            (name, _) => (name, (*keys).to_owned()),
        };
        // Its address changes.
        let is_moving = name == "moving" && version == "1.0";
        let port = if is_moving { port + 1 } else { *port };
        text.push_str(&format!(
            "[service.{name}]\nexec = [\"/usr/bin/python3\", \"{{current}}/server.py\", \"{port}\"]\n\
             type = \"notify\"\nlisten = [\"127.0.0.1:{port}\"]\npre-check = false\n\
             check = [{{ settle = \"100ms\" }}]\n{keys}\n"
        ));
    }
    machine.write("/root/related/robot.toml", &text, 0o644);
    machine.write("/root/related/server.py", SERVER, 0o644);
    machine.write("/root/related/VERSION", version, 0o644);
}

/// What the plan to the written version does with each service.
fn planned(machine: &Machine) -> BTreeMap<String, String> {
    let plan = machine.robotctl("--manifest /root/related/robot.toml deploy --format json");
    let plan = plan.exits(0).data("plan").remove(0);
    let units = plan["units"].as_array().cloned().unwrap_or_default();
    let says = |unit: &serde_json::Value| {
        let text = format!("{}: {}", unit["action"], unit["why"]).replace('"', "");
        (unit["unit"].as_str().unwrap_or_default().to_owned(), text)
    };
    units.iter().map(says).collect()
}

fn every_overlap_of_a_plan_answers_while_the_next_release_starts(machine: &Machine) {
    let deploy = "--manifest /root/related/robot.toml deploy --apply";
    write(machine, "1.0");
    machine.robotctl(deploy).exits(0);
    write(machine, "2.0");
    let plan = planned(machine);
    for (name, _, _, expected) in SERVICES {
        // The socket of a new service has the address.
        let kind = if *name == "renamed" {
            "socket"
        } else {
            "service"
        };
        let unit = format!("related-{name}.{kind}");
        assert_eq!(
            plan.get(&unit).map(String::as_str),
            Some(*expected),
            "{unit}"
        );
    }
    let argv: Vec<&str> = ["robotctl"].into_iter().chain(deploy.split(' ')).collect();
    let mut apply = machine.spawn(&argv);
    let starting = "systemctl show -P ActiveState related-base.service related-queued.service";
    until("the next release starts", || {
        machine
            .ok(starting)
            .split_whitespace()
            .all(|state| state == "activating")
    });
    let overlapping = || {
        SERVICES
            .iter()
            .filter(|(.., planned)| planned.starts_with("overlap"))
    };
    for (name, port, ..) in overlapping() {
        let answer = machine.get(&format!("http://127.0.0.1:{port}/"));
        assert_eq!(answer, "200 1.0", "{name}, while the next release starts");
    }
    let answer = machine.get("http://127.0.0.1:18308/");
    assert!(
        answer.starts_with("000"),
        "bound, as the plan says: {answer}"
    );
    machine.write("/run/related/go", "", 0o644);
    assert_eq!(apply.wait().unwrap().code(), Some(0));
    for (name, port, ..) in SERVICES.iter().filter(|(name, ..)| *name != "other") {
        let answer = machine.get(&format!("http://127.0.0.1:{port}/"));
        assert_eq!(answer, "200 2.0", "{name}");
    }
    machine.note(&format!(
        "{} services overlap, whatever they require, want and follow",
        overlapping().count()
    ));
}
