//! Upgrades and rollbacks under load.

use crate::demo::{demo, running_release};
use crate::load::Load;
use crate::machine::Machine;
use std::time::Duration;

tests![
    Quick:
    no_request_is_lost_in_upgrades_and_rollbacks,
    a_service_that_is_ready_too_early_is_waited_for,
];

const CLIENTS: usize = 8;

fn no_request_is_lost_in_upgrades_and_rollbacks(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let mut load = Load::start(machine, "127.0.0.1:8080", &CLIENTS.to_string());
    // The load at rest, to compare with. No event says that there were enough requests.
    std::thread::sleep(Duration::from_secs(2));
    load.phase("changes");
    for version in ["2.0", "3.0", "4.0", "5.0"] {
        let release = demo(version).deploy_ok(machine);
        assert_eq!(running_release(machine, "demo-web.service"), release);
    }
    machine.robotctl("rollback").exits(0);
    machine.robotctl("rollback").exits(0);
    load.phase("after");
    std::thread::sleep(Duration::from_secs(2));
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
            "no answer of {version}: {tallies:?}"
        );
    }
    let only: Vec<&String> = after.bodies.keys().collect();
    assert_eq!(
        only.last().map(|version| version.as_str()),
        Some("3.0"),
        "{tallies:?}"
    );
}

/// Reports that it is ready one second before it accepts, as Gunicorn's workers do. It prints when it
/// begins to accept, and when it receives SIGTERM.
const HASTY: &str = "\
import os, select, signal, socket, time
over = []
def say(what):
    print('@', time.monotonic(), what, flush=True)
def end(*_):
    say('ends')
    over.append(1)
signal.signal(signal.SIGTERM, end)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1))
time.sleep(1)
server = socket.socket(fileno=3)
body = open('VERSION', 'rb').read()
say('accepts')
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

/// The old instance stops only when another process accepts connections, whatever was reported.
fn a_service_that_is_ready_too_early_is_waited_for(machine: &Machine) {
    let deploy = |version: &str| {
        machine.ok("rm -rf /root/hasty && mkdir -p /root/hasty");
        let manifest = format!(
            "[app]\nname = \"hasty\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/web.py\"]\ntype = \"notify\"\n\
             listen = [\"127.0.0.1:18092\"]\npre-check = false\n\
             check = [{{ http = \"/\", contains = \"{version}\", within = \"30s\" }}, {{ settle = \"300ms\" }}]\n"
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
        "an upgrade and a rollback of a service that is ready a second too early: {} of {} requests lost, slowest {} ms",
        all.lost(),
        all.answered,
        all.slowest_ms
    ));
    assert_eq!(all.lost(), 0, "{all:?}");
    // The number of programs that accept, by the clock that all processes share.
    let said = machine.ok(
        "journalctl --sync; journalctl --no-pager -o cat -u 'hasty-*' | grep '^@' | sort -g -k 2",
    );
    let mut accepting = 0;
    for (at, line) in said.lines().enumerate() {
        accepting += if line.ends_with("accepts") { 1 } else { -1 };
        assert!(
            accepting > 0,
            "no program accepts after line {}:\n{said}",
            at + 1
        );
    }
    assert_eq!(
        said.lines().count(),
        5,
        "three programs accepted, two ended:\n{said}"
    );
}
