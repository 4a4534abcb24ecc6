//! Units for other systemd versions than the host's: exact ones for 247, portable ones for all.

use crate::machine::{Machine, until};
use crate::shapes::{SANDBOX_PROBES, probe_manifest};
use std::path::Path;
use std::process::Command;

tests![Quick: portable_units_are_confined_on_every_version];

/// What 247 cannot forbid: `NoExecPaths=` came with 248.
const NEEDS_248: &str = "execute from the state, execute from /tmp, ";

fn portable_units_are_confined_on_every_version(given: &Machine) {
    match given.suite.as_str() {
        "bookworm" => {
            probe(given, "bullseye", "247");
            probe(given, "bullseye", "portable");
            probe(given, "bookworm", "portable");
        }
        suite => probe(given, suite, "portable"),
    }
}

/// Renders outside, installs inside, starts the services and reads what they could do.
fn probe(given: &Machine, suite: &str, target: &str) {
    let machine = Machine::boot(suite);
    let out = std::env::temp_dir().join(format!("{}-{target}", machine.name));
    let app = out.join("app");
    std::fs::create_dir_all(out.join("tree")).unwrap();
    std::fs::create_dir_all(&app).unwrap();
    let manifest = probe_manifest().replace("[env]", &format!("target = \"{target}\"\n[env]"));
    std::fs::write(app.join("robot.toml"), manifest).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_robotctl"))
        .args(["--quiet", "generate", "--output"])
        .arg(out.join("tree"))
        .current_dir(&app)
        .status();
    assert!(status.unwrap().success(), "rendering for {target}");
    machine.copy_in(&out.join("tree"), "/root/tree");
    std::fs::remove_dir_all(&out).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/shapes");
    machine.copy_in(&fixture, "/root/probe");
    machine.ok("cp -a /root/tree/. / && systemd-sysusers && systemd-tmpfiles --create probe.conf");
    machine.ok("cp -r /root/probe /opt/probe/releases/1 && ln -s releases/1 /opt/probe/current");
    machine.ok("echo 127.0.0.1 localhost > /etc/hosts && ip addr add 192.0.2.7/32 dev lo");
    machine.ok("systemd-run --quiet python3 -m http.server 9000");
    machine.ok("systemctl daemon-reload && systemctl start probe.target");
    for (name, _, expected) in SANDBOX_PROBES {
        let report = format!("/var/lib/probe/{name}.could");
        until(name, || machine.exists(&report));
        let mut could = format!("{}, ", machine.read(&report));
        if suite != "trixie" && *name == "loopback" {
            could = could.replace("bind another port, ", "");
        }
        if suite == "bullseye" && *name != "open" {
            could = could.replace(NEEDS_248, "");
        }
        assert_eq!(
            could.trim_end_matches(", "),
            *expected,
            "{name} on {suite} for {target}"
        );
    }
    given.note(&format!(
        "{target} on {suite}: {} services are confined",
        SANDBOX_PROBES.len()
    ));
}
