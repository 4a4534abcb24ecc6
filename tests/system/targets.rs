//! Units for other versions than the host's: exact ones for 247, portable ones everywhere.

use crate::machine::{Machine, until};
use crate::shapes::{BITES, bites};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

tests![Quick: portable_units_keep_their_promises_on_every_version];

/// What 247 knows no directive against: `NoExecPaths=` came with 248.
const OLD: &str = "execute from the state, execute from /tmp, execute from /dev/shm, ";

fn portable_units_keep_their_promises_on_every_version(given: &Machine) {
    match given.suite.as_str() {
        "bookworm" => {
            bite(given, "bullseye", "247");
            bite(given, "bullseye", "portable");
            bite(given, "bookworm", "portable");
        }
        suite => bite(given, suite, "portable"),
    }
}

/// Renders outside, installs inside, starts, and reads what the services could do.
fn bite(given: &Machine, suite: &str, target: &str) {
    let machine = Machine::boot(suite);
    let out = std::env::temp_dir().join(format!("{}-{target}", machine.name));
    let app = out.join("app");
    std::fs::create_dir_all(out.join("tree")).unwrap();
    std::fs::create_dir_all(&app).unwrap();
    let manifest = bites().replace("[env]", &format!("target = \"{target}\"\n[env]"));
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
    machine.copy_in(&fixture, "/root/bite");
    machine.ok("cp -a /root/tree/. / && systemd-sysusers && systemd-tmpfiles --create bite.conf");
    machine.ok("cp -r /root/bite /opt/bite/releases/1 && ln -s releases/1 /opt/bite/current");
    machine.ok("echo 127.0.0.1 localhost > /etc/hosts && ip addr add 192.0.2.7/32 dev lo");
    machine.ok("systemd-run --quiet python3 -m http.server 9000");
    machine.ok("systemctl daemon-reload && systemctl start bite.target");
    for (name, _, expected) in BITES {
        let report = format!("/var/lib/bite/{name}.could");
        until(name, Duration::from_secs(10), || machine.exists(&report));
        let mut could = format!("{}, ", machine.read(&report));
        if suite != "trixie" && *name == "loopback" {
            could = could.replace("bind another port, ", "");
        }
        if suite == "bullseye" && *name != "open" {
            could = could.replace(OLD, "");
        }
        assert_eq!(
            could.trim_end_matches(", "),
            *expected,
            "{name} on {suite} for {target}"
        );
    }
    given.note(&format!(
        "{target} on {suite}: {} services hold",
        BITES.len()
    ));
}
