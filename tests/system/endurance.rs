//! What many upgrades leave behind, and transfers that take longer than an upgrade.

use crate::machine::{Machine, Out, until};
use crate::upgrades::is_full;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;

tests![
    Slow:
    transfers_under_way_finish,
    many_upgrades_leave_nothing,
];

const MANIFEST: &str = "/root/transfers/robot.toml";

fn deploy(machine: &Machine, version: usize, keys: &str) -> Out {
    let manifest = format!(
        "[app]\nname = \"transfers\"\nversion = \"{version}\"\n[release]\nkeep = 3\n[service.web]\n\
         listen = [\"127.0.0.1:18096\"]\ndrain = \"5min\"\ntype = \"exec\"\npre-check = false\n\
         check = [{{ http = \"/\", within = \"1min\" }}, {{ settle = \"100ms\" }}]\n{keys}\n"
    );
    machine.write(MANIFEST, &manifest, 0o644);
    let server = include_str!("handover/transfers.py");
    machine.write("/root/transfers/transfers.py", server, 0o644);
    machine.robotctl(&format!("--manifest {MANIFEST} deploy --apply"))
}

const ACTIVATED: &str = "exec = [\"/usr/bin/python3\", \"{current}/transfers.py\"]";
const PROXIED: &str =
    "exec = [\"/usr/bin/python3\", \"{current}/transfers.py\", \"18096\"]\nsocket = \"proxy\"";

/// An upload and a download go on through an upgrade, directly and through the proxy.
fn transfers_under_way_finish(machine: &Machine) {
    let (megabytes, seconds) = if is_full() { (500, 60) } else { (50, 5) };
    for (at, keys) in [ACTIVATED, PROXIED].into_iter().enumerate() {
        deploy(machine, 10 * at, keys).exits(0);
        let [port, megabytes_text, seconds] = [18096, megabytes, seconds].map(|n| n.to_string());
        let argv = [
            "python3",
            "/root/transfers/transfers.py",
            "client",
            &port,
            &megabytes_text,
            &seconds,
        ];
        let mut client = machine.spawn_command(&argv);
        let client = client.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let client = client.unwrap();
        let open = "ss --no-header --tcp state established '( dport = :18096 )' | wc -l";
        until("both transfers run", || machine.ok(open) == "2");
        deploy(machine, 10 * at + 1, keys).exits(0);
        assert_eq!(machine.ok(open), "2", "both still run after the upgrade");
        let output = client.wait_with_output().unwrap();
        let got: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(got["stored"], megabytes * 1024 * 1024, "{got}");
        assert_eq!(got["missing"], 0, "{got}");
        let drains = "systemctl list-units --plain --no-legend 'transfers-*-old-*'";
        until("what drains has ended", || machine.ok(drains).is_empty());
        machine.robotctl("remove --app transfers --apply").exits(0);
    }
}

/// What grows if something is left behind.
fn left_behind(machine: &Machine) -> BTreeMap<&'static str, u64> {
    let drains = "systemctl list-units --plain --no-legend 'transfers-*-old-*'";
    until("what drains has ended", || machine.ok(drains).is_empty());
    [
        ("processes", "ls -d /proc/[0-9]* | wc -l"),
        (
            "units",
            "systemctl list-units --all --plain --no-legend | wc -l",
        ),
        (
            "transient units",
            "ls /run/systemd/transient /run/systemd/system | wc -l",
        ),
        ("control groups", "find /sys/fs/cgroup -type d | wc -l"),
        ("files in /tmp", "ls -A /tmp /var/tmp | wc -l"),
        ("mounts", "wc -l < /proc/mounts"),
        ("descriptors of systemd", "ls /proc/1/fd | wc -l"),
        (
            "memory of systemd, KiB",
            "awk '/VmRSS/ {print $2}' /proc/1/status",
        ),
    ]
    .map(|(what, command)| (what, machine.ok(command).parse().unwrap()))
    .into()
}

fn many_upgrades_leave_nothing(machine: &Machine) {
    let (first, last) = if is_full() { (10, 200) } else { (4, 14) };
    let mut before = BTreeMap::new();
    for version in 1..=last {
        deploy(
            machine,
            version,
            if version % 2 == 0 { ACTIVATED } else { PROXIED },
        )
        .exits(0);
        if version == first {
            before = left_behind(machine);
        }
    }
    let after = left_behind(machine);
    let changed = before.iter().zip(after.values());
    let changed: Vec<String> = changed
        .map(|((what, before), after)| format!("{what} {before} -> {after}"))
        .collect();
    machine.note(&format!(
        "upgrades {first} to {last}: {}",
        changed.join(", ")
    ));
    for (what, before) in &before {
        // Allocators and a process that is just ending need some room. A leak is at least one for each
        // upgrade.
        let room = if what.starts_with("memory") { 4096 } else { 3 };
        assert!(after[what] <= before + room, "{what}: {changed:?}");
    }
}
