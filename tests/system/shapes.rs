//! Every shape of service works in its default sandbox and scores at its floor.
//!
//! The score is that of systemd for the loaded unit. The work is in `shapes/app.py`. The table in
//! the report holds the measured values.

use crate::deploy::exposure;
use crate::machine::{Machine, until};
use std::collections::BTreeMap;
use std::path::Path;

tests![
    Quick:
    every_shape_works_at_its_floor,
    the_first_request_starts_a_stopped_service,
    the_sandbox_blocks_what_it_forbids,
    a_hanging_service_is_restarted_by_its_watchdog,
];

/// Service, address, and the start of the answer.
const ANSWERS: &[(&str, &str, &str)] = &[
    ("wsgi", "http://127.0.0.1:8001/", "200 wsgi ok"),
    (
        "wsgi-unix",
        "--unix-socket /run/shapes-wsgi.sock http://x/",
        "200 unix ok",
    ),
    ("asgi", "http://127.0.0.1:8002/", "200 asgi ok"),
    ("node", "http://127.0.0.1:8003/", "200 node ok cpus=true"),
    (
        "node-jitless",
        "http://127.0.0.1:8007/",
        "200 node plain ok",
    ),
    (
        "legacy",
        "http://127.0.0.1:8004/app.py",
        "200 \"\"\"One program",
    ),
    ("own", "http://127.0.0.1:8005/", "200 own ok"),
    ("low", "http://127.0.0.1:80/", "200 own ok"),
    ("several", "http://127.0.0.1:8006/", "200 public"),
    (
        "several",
        "--unix-socket /run/shapes-admin.sock http://x/",
        "200 admin",
    ),
];

/// Service, its floor, and its default score. The score of node is higher than its floor: node
/// needs writable code, netlink and kernel settings.
const FLOORS: &[(&str, &str, &str)] = &[
    ("wsgi", "0.1", "0.1"),
    ("wsgi-unix", "0.1", "0.1"),
    ("asgi", "0.1", "0.1"),
    ("node", "0.1", "0.2"),
    ("node-jitless", "0.1", "0.1"),
    ("legacy", "0.4", "0.4"),
    ("legacy-proxy", "0.4", "0.4"),
    ("own", "0.9", "0.9"),
    ("low", "1.2", "1.2"),
    ("several", "0.1", "0.1"),
    ("worker", "0.1", "0.1"),
    ("simple", "0.1", "0.1"),
    ("forking", "0.1", "0.1"),
    ("job", "0.1", "0.1"),
    ("calm", "0.1", "0.1"),
    ("net", "1.1", "1.1"),
    ("display", "0.4", "0.4"),
];

/// Deploys the fixture on a machine with the servers.
fn deploy(machine: &Machine) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/shapes");
    machine.copy_in(&fixture, "/root/shapes");
    let preset = match machine.suite.as_str() {
        "bookworm" => "runtime = \"gunicorn-20\"",
        _ => "",
    };
    let manifest = machine.read("/root/shapes/robot.toml");
    let manifest = manifest.replace("\nGUNICORN\n", &format!("\n{preset}\n"));
    machine.write("/root/shapes/robot.toml", &manifest, 0o644);
    machine.ok("echo 127.0.0.1 localhost > /etc/hosts && groupadd --system spi");
    machine.ok("mknod --mode 660 /dev/spidev0.0 c 1 7 && chgrp spi /dev/spidev0.0");
    machine
        .robotctl("--manifest /root/shapes/robot.toml deploy --apply")
        .exits(0);
}

fn every_shape_works_at_its_floor(machine: &Machine) {
    deploy(machine);
    let mut answered: BTreeMap<&str, String> = BTreeMap::new();
    for (service, address, expected) in ANSWERS {
        let answer = machine.get(address);
        assert!(answer.starts_with(expected), "{service}: {answer}");
        answered.insert(service, "yes".to_owned());
    }
    for (service, how) in other_services(machine) {
        answered.insert(service, how);
    }
    let scores = machine.robotctl("--manifest /root/shapes/robot.toml --format json score");
    let scores = scores.exits(0).data("score");
    for (service, floor, expected) in FLOORS {
        let unit = format!("shapes-{service}.service");
        let mut all = scores.iter();
        let ours = all.find(|one| one["unit"] == unit.as_str());
        let ours = ours.unwrap_or_else(|| panic!("no score of {unit}"));
        let theirs = exposure(machine, &unit).to_string();
        let works = answered
            .get(service)
            .map_or("yes, through its service", |how| how);
        let score = ours["score"].as_str().unwrap();
        machine.row(
            "shapes",
            &[*service, *floor, score, theirs.as_str(), works].map(str::to_owned),
        );
        assert_eq!(ours["floor"].as_str().unwrap(), *floor, "{unit}");
        assert_eq!(ours["score"].as_str().unwrap(), *expected, "{unit}");
        assert_eq!(theirs, *expected, "{unit}");
    }
    machine
        .robotctl("--manifest /root/shapes/robot.toml score --threshold 0.4")
        .exits(1)
        .says("3 of 17 units score above 0.4");
}

/// Tests the services that do not answer requests.
fn other_services(machine: &Machine) -> Vec<(&'static str, String)> {
    machine.ok("systemctl reload shapes-worker.service");
    let status = || machine.property("shapes-worker.service", "StatusText");
    until("the worker reloads", || status().contains("reloads=1"));
    assert_eq!(machine.property("shapes-worker.service", "NRestarts"), "0");
    machine.ok("systemctl start shapes-job.service");
    let job = "journalctl --no-pager -o cat -u shapes-job.service";
    until("the job prints its result", || {
        machine.ok(job).contains("job ok")
    });
    machine.ok("systemctl start shapes-net.service");
    assert_eq!(
        machine.property("shapes-calm.service", "ActiveState"),
        "inactive"
    );
    let base = |name: &str| machine.exists(&format!("/var/lib/shapes/{name}.db"));
    until("the address is added and deleted", || base("net"));
    machine.ok("systemctl start shapes-calm.service");
    assert_eq!(
        machine.property("shapes-net.service", "ActiveState"),
        "inactive"
    );
    for name in ["simple", "forking", "display"] {
        until(name, || base(name));
        let unit = format!("shapes-{name}.service");
        assert_eq!(machine.property(&unit, "ActiveState"), "active", "{unit}");
        assert_ne!(machine.property(&unit, "MainPID"), "0", "{unit}");
    }
    // Both are shares of the memory of the host: 75 % and 25 %.
    let bytes = |name| machine.property("shapes-wsgi.service", name).parse::<u64>();
    let (memory, swap) = (bytes("MemoryMax").unwrap(), bytes("MemorySwapMax").unwrap());
    assert!((memory / 3).abs_diff(swap) <= 8192, "{memory} {swap}");
    let limits = "MemoryMax,CPUQuotaPerSecUSec,TasksMax,LimitNOFILE,WatchdogUSec";
    assert_eq!(
        machine.ok(&format!(
            "systemctl show -p {limits} shapes-worker.service | sort"
        )),
        "CPUQuotaPerSecUSec=800ms\nLimitNOFILE=512\nMemoryMax=209715200\nTasksMax=20\nWatchdogUSec=30s"
    );
    vec![
        ("worker", "yes: rows, watchdog, reload, limits".into()),
        ("job", "yes: ran from its unit".into()),
        ("net", "yes: `ip addr add`".into()),
        ("calm", "yes: gives way to net".into()),
        ("simple", "yes: rows".into()),
        ("forking", "yes: rows, main process found".into()),
        ("display", "yes: wrote to the device".into()),
    ]
}

fn the_first_request_starts_a_stopped_service(machine: &Machine) {
    deploy(machine);
    for (service, address, expected) in ANSWERS {
        if ["own", "low"].contains(service) {
            continue;
        }
        let proxy = if *service == "legacy" {
            "shapes-legacy-proxy.service"
        } else {
            ""
        };
        machine
            .sh(&format!("systemctl stop {proxy} shapes-{service}.service"))
            .exits(0);
        let answer = machine.get(address);
        assert!(answer.starts_with(expected), "{service}: {answer}");
    }
    machine.ok("systemctl stop shapes.target shapes.slice");
    let running = "systemctl list-units --plain --legend=no 'shapes*' | cat";
    until("the target stops all services", || {
        machine.ok(running).is_empty()
    });
    for socket in ["/run/shapes-wsgi.sock", "/run/shapes-admin.sock"] {
        assert!(!machine.exists(socket), "{socket} is left");
    }
    machine.ok("systemctl start shapes.target");
    for (service, address, expected) in ANSWERS {
        until(service, || machine.get(address).starts_with(expected));
    }
    let failed = machine.ok("systemctl --failed --plain --legend=no");
    assert_eq!(failed, "", "{failed}");
}

/// Services that try everything that a sandbox can forbid: name, keys, what succeeds.
pub const SANDBOX_PROBES: &[(&str, &str, &str)] = &[
    ("closed", "", "control"),
    (
        "loopback",
        "listen = [\"127.0.0.1:9001\"]\nsocket = \"direct\"",
        "control, reach a port of this host",
    ),
    (
        "visible",
        "sandbox = { allow = [\"host-files\"] }",
        "control, see the host's /etc",
    ),
    (
        "open",
        "sandbox = { allow = [\"outbound\", \"jit\", \"exec-writable\", \"netlink\", \"proc-files\"] }",
        "control, read kernel settings, execute from the state, execute from /tmp, \
         execute from /dev/shm, map writable code, open netlink, bind another port, reach a port of this host, \
         reach another address",
    ),
];

/// The manifest of these services.
pub fn probe_manifest() -> String {
    let mut manifest =
        "[app]\nname = \"probe\"\nversion = \"1\"\n[env]\nSTATE = \"{state}\"\n".to_owned();
    for (name, keys, _) in SANDBOX_PROBES {
        manifest.push_str(&format!(
            "[service.{name}]\nexec = [\"/usr/bin/python3\", \"{{current}}/app.py\", \"probe\", \
             \"{name}\"]\npre-check = false\n{keys}\n"
        ));
    }
    manifest
}

/// The kernel enforces the sandbox: nothing that it forbids succeeds from inside.
fn the_sandbox_blocks_what_it_forbids(machine: &Machine) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/shapes");
    machine.copy_in(&fixture, "/root/probe");
    machine.write("/root/probe/robot.toml", &probe_manifest(), 0o644);
    machine.ok("echo 127.0.0.1 localhost > /etc/hosts && ip addr add 192.0.2.7/32 dev lo");
    machine.ok("systemd-run --quiet python3 -m http.server 9000");
    machine
        .robotctl("--manifest /root/probe/robot.toml deploy --apply")
        .exits(0);
    for (name, _, expected) in SANDBOX_PROBES {
        let report = format!("/var/lib/probe/{name}.could");
        until(name, || machine.exists(&report));
        let could = machine.read(&report);
        // Before 257, Debian's systemd accepts `SocketBindDeny=` and ignores it.
        let could = match machine.suite.as_str() {
            "bookworm" if *name == "loopback" => could.replace("bind another port, ", ""),
            _ => could,
        };
        assert_eq!(could, *expected, "{name}");
    }
}

fn a_hanging_service_is_restarted_by_its_watchdog(machine: &Machine) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/shapes");
    machine.copy_in(&fixture, "/root/hang");
    machine.write(
        "/root/hang/robot.toml",
        "[app]\nname = \"hang\"\nversion = \"1\"\n[env]\nSTATE = \"{state}\"\n[service.main]\n\
         exec = [\"/usr/bin/python3\", \"{current}/app.py\", \"hang\"]\ntype = \"notify\"\n\
         watchdog = \"1s\"\nenable = false\n",
        0o644,
    );
    machine
        .robotctl("--manifest /root/hang/robot.toml deploy --apply")
        .exits(0);
    machine.ok("systemctl start hang-main.service");
    until("the watchdog restarts it", || {
        machine.property("hang-main.service", "NRestarts") != "0"
    });
}
