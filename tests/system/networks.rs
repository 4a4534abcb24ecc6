//! Whom a service can exchange packets with: `loopback`, the list `outbound`, and `allow-from`.
//!
//! Each test has a service without the filter, to which the same connections succeed.

use crate::deploy::exposure;
use crate::machine::{Machine, until};
use std::path::Path;

tests![
    Quick:
    a_service_reaches_only_the_addresses_that_it_may,
    only_listed_clients_can_connect,
];

/// The addresses of the machine, and a program that answers on all of them.
fn prepare(machine: &Machine) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/networks");
    machine.copy_in(&fixture, "/root/nets");
    machine.ok("echo 127.0.0.1 localhost > /etc/hosts");
    machine.ok("ip addr add 192.0.2.1/32 dev lo && ip addr add 198.51.100.1/32 dev lo");
    machine.ok("systemd-run --quiet python3 -m http.server 9000");
    machine.ok("mkdir --mode 755 /run/database");
    machine.ok(
        "systemd-run --quiet --unit database python3 -c 'import socket, os, time\n\
         server = socket.socket(socket.AF_UNIX)\nserver.bind(\"/run/database/socket\")\n\
         os.chmod(\"/run/database/socket\", 0o777)\nserver.listen(99)\ntime.sleep(9999)'",
    );
    until("the programs answer", || {
        machine.exists("/run/database/socket")
            && machine.get("http://192.0.2.1:9000/").starts_with("200")
    });
}

/// Service, keys, what it reaches, and whether its ports are limited, which systemd enforces from 257.
const CLIENTS: &[(&str, &str, &str, bool)] = &[
    (
        "control",
        "sandbox = { allow = [\"outbound\"], read-only = [\"/run/database\"] }",
        "this host, 192.0.2.1, 198.51.100.1, the unix socket, another port",
        false,
    ),
    ("closed", "", "", false),
    (
        "unix",
        "sandbox = { read-only = [\"/run/database\"] }",
        "the unix socket",
        false,
    ),
    (
        "worker",
        "sandbox = { allow = [\"loopback\"] }",
        "this host",
        true,
    ),
    (
        "activated",
        "listen = [\"127.0.0.1:9002\"]\nsandbox = { allow = [\"loopback\"] }",
        "this host",
        true,
    ),
    (
        "direct",
        "listen = [\"127.0.0.1:9003\"]\nsocket = \"direct\"\nsandbox = { allow = [\"loopback\"] }",
        "this host",
        true,
    ),
    (
        "ports",
        "sandbox = { allow = [\"bind-any\", \"loopback\"] }",
        "this host, another port",
        false,
    ),
    (
        "listed",
        "sandbox = { outbound = [\"192.0.2.0/24\"] }",
        "192.0.2.1",
        true,
    ),
    (
        "both",
        "sandbox = { allow = [\"loopback\"], outbound = [\"198.51.100.1\"] }",
        "this host, 198.51.100.1",
        true,
    ),
    (
        "job",
        "timer = { calendar = \"yearly\" }\nenv = { ONCE = \"1\" }\nsandbox = { allow = [\"loopback\"] }",
        "this host",
        true,
    ),
];

fn clients() -> String {
    let mut manifest = "[app]\nname = \"nets\"\nversion = \"1\"\n".to_owned();
    let exec = |name: &str, port: &str| {
        format!("[\"/usr/bin/python3\", \"{{current}}/reach.py\", \"{{state}}/{name}\"{port}]")
    };
    manifest.push_str(
        "[hooks]\nafter-switch = [[\"/usr/bin/env\", \"ONCE=1\", \"/usr/bin/python3\", \
         \"{current}/reach.py\", \"{state}/hook\"]]\nsandbox = { allow = [\"loopback\"] }\n",
    );
    for (name, keys, _, _) in CLIENTS {
        let port = if *name == "direct" { ", \"9003\"" } else { "" };
        let check = if *name == "job" {
            ""
        } else {
            "pre-check = false\ncheck = [{ settle = \"1s\" }]\n"
        };
        manifest.push_str(&format!(
            "[service.{name}]\nexec = {}\n{check}{keys}\n",
            exec(name, port)
        ));
    }
    manifest
}

fn a_service_reaches_only_the_addresses_that_it_may(machine: &Machine) {
    prepare(machine);
    machine.write("/root/nets/robot.toml", &clients(), 0o644);
    machine
        .robotctl("--manifest /root/nets/robot.toml deploy --apply")
        .exits(0);
    machine.ok("systemctl start nets-job.service");
    let hook = ("hook", "", "this host", true);
    for (name, _, expected, is_limited) in CLIENTS.iter().chain([&hook]) {
        let report = format!("/var/lib/nets/{name}");
        until(name, || machine.exists(&report));
        // Before 257, Debian's systemd accepts `SocketBindDeny=` and ignores it.
        let could = if *is_limited && machine.suite == "bookworm" {
            machine.read(&report).replace(", another port", "")
        } else {
            machine.read(&report)
        };
        assert_eq!(could, *expected, "{name}");
        let shown = if could.is_empty() { "nothing" } else { &could };
        machine.row("networks", &[(*name).to_owned(), shown.to_owned()]);
    }
    scores_are_those_of_systemd(machine);
}

/// Every form of network scores at its floor, and systemd computes the same score.
fn scores_are_those_of_systemd(machine: &Machine) {
    let scores = machine.robotctl("--manifest /root/nets/robot.toml --format json score");
    let scores = scores.exits(0).data("score");
    for (service, expected) in [
        ("closed", "0.1"),
        ("worker", "0.9"),
        ("direct", "0.9"),
        ("listed", "0.9"),
        ("both", "0.9"),
        ("control", "1.0"),
    ] {
        let unit = format!("nets-{service}.service");
        let ours = scores.iter().find(|one| one["unit"] == unit.as_str());
        let ours = ours.unwrap_or_else(|| panic!("no score of {unit}"));
        assert_eq!(ours["score"], expected, "{unit}");
        assert_eq!(ours["floor"], expected, "{unit}");
        assert_eq!(
            format!("{:.1}", exposure(machine, &unit)),
            expected,
            "{unit}"
        );
    }
}

/// Port, `socket`, and whether the program opens the address itself.
const MODES: &[(&str, u16, bool)] = &[
    ("activate", 9010, false),
    ("proxy", 9020, true),
    ("direct", 9030, true),
];

/// For each kind of socket a service with a filter, if there is one, and one without; and one that opens
/// a single address of the machine, which its own checks must reach.
fn servers(version: &str, filter: &str) -> String {
    let mut manifest = format!("[app]\nname = \"nets\"\nversion = \"{version}\"\n");
    let mut service = |name: &str, listen: &str, rest: &str, arguments: &str| {
        manifest.push_str(&format!(
            "[service.{name}]\nexec = [\"/usr/bin/python3\", \"{{current}}/answer.py\"{arguments}]\n\
             listen = [\"{listen}\"]\n{rest}\ncheck = [{{ http = \"/\" }}, {{ settle = \"300ms\" }}]\n"
        ));
    };
    for (mode, port, opens) in MODES {
        for (name, port, filter) in [
            (format!("{mode}-listed"), *port, filter),
            (format!("{mode}-open"), port + 1, ""),
        ] {
            let arguments = match (*opens, *mode) {
                (false, _) => String::new(),
                (true, "proxy") => format!(", \"127.0.0.1\", \"{port}\""),
                (true, _) => format!(", \"0.0.0.0\", \"{port}\""),
            };
            let rest = format!("socket = \"{mode}\"\nupgrade = \"restart\"\n{filter}");
            service(&name, &format!(":{port}"), &rest, &arguments);
        }
    }
    service(
        "own",
        "192.0.2.1:9040",
        "socket = \"direct\"\npre-check = false\nsandbox = { allow-from = [\"203.0.113.7\"] }",
        ", \"192.0.2.1\", \"9040\"",
    );
    manifest
}

/// The answer to a client with this address.
fn ask(machine: &Machine, client: &str, port: u16) -> String {
    machine.get(&format!(
        "--max-time 3 --interface {client} http://192.0.2.1:{port}/"
    ))
}

fn only_listed_clients_can_connect(machine: &Machine) {
    prepare(machine);
    let deploy = |version: &str, filter: &str| {
        machine.write("/root/nets/robot.toml", &servers(version, filter), 0o644);
        machine
            .robotctl("--manifest /root/nets/robot.toml deploy --apply")
            .exits(0);
    };
    deploy("1", "sandbox = { allow-from = [\"192.0.2.0/24\"] }");
    for (mode, port, _) in MODES {
        let other = ask(machine, "198.51.100.1", *port);
        assert!(other.starts_with("000"), "{mode}: {other}");
        assert_eq!(ask(machine, "192.0.2.1", *port), "200 ok", "{mode}");
        let local = machine.get(&format!("http://127.0.0.1:{port}/"));
        assert_eq!(local, "200 ok", "{mode}");
        let open = ask(machine, "198.51.100.1", port + 1);
        assert_eq!(open, "200 ok", "{mode} without a filter");
    }
    let other = ask(machine, "198.51.100.1", 9040);
    assert!(other.starts_with("000"), "own: {other}");
    assert_eq!(ask(machine, "192.0.2.1", 9040), "200 ok", "own");
    // A filter that changes takes effect with the deploy.
    deploy("2", "sandbox = { allow-from = [\"198.51.100.1\"] }");
    for (mode, port, _) in MODES {
        assert_eq!(ask(machine, "198.51.100.1", *port), "200 ok", "{mode}");
        let other = ask(machine, "192.0.2.1", *port);
        assert!(other.starts_with("000"), "{mode}: {other}");
    }
    deploy("3", "");
    for (mode, port, _) in MODES {
        for client in ["192.0.2.1", "198.51.100.1"] {
            assert_eq!(ask(machine, client, *port), "200 ok", "{mode}");
        }
    }
}
