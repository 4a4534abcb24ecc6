//! First deploys, and repeated deploys of the same release.

use crate::demo::{UNITS, WEB, current, demo, installed, running_release};
use crate::machine::Machine;

tests![Quick: a_first_deploy_is_healthy_and_a_repeat_does_nothing];

fn a_first_deploy_is_healthy_and_a_repeat_does_nothing(machine: &Machine) {
    let demo = demo("1.0");
    demo.write(machine);
    machine.ok("systemctl is-system-running");
    let before = machine
        .ok("find /opt /usr/local /etc /var/lib/robotctl -newer /root/demo 2>/dev/null || true");
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy")
        .exits(0)
        .says("demo-web.service");
    let after = machine
        .ok("find /opt /usr/local /etc /var/lib/robotctl -newer /root/demo 2>/dev/null || true");
    assert_eq!(before, after, "a plan changes nothing");

    let release = demo.deploy_ok(machine);
    assert!(release.starts_with("1.0-"), "{release}");
    assert_eq!(machine.get(WEB), "200 1.0");
    for unit in [
        "demo-web.service",
        "demo-web.socket",
        "demo-worker.service",
        "demo-tidy.service",
        "demo-tidy.timer",
        "demo.target",
    ] {
        assert!(machine.exists(&format!("{UNITS}/{unit}")), "{unit}");
    }
    assert!(machine.exists("/etc/demo/env"));
    assert_eq!(machine.ok("stat -c '%a %U' /var/lib/demo"), "750 demo");
    for unit in [
        "demo-web.service",
        "demo-web.socket",
        "demo-worker.service",
        "demo-tidy.timer",
    ] {
        assert_eq!(machine.property(unit, "ActiveState"), "active", "{unit}");
    }
    assert_eq!(running_release(machine, "demo-web.service"), release);
    machine.robotctl("status").exits(0).says(&release);
    machine
        .robotctl("check")
        .exits(0)
        .says("pass  demo-web.service: GET");
    machine.robotctl("doctor").exits(0).says("demo: healthy");
    assert_valid_and_confined(machine);
    assert_nothing_to_do(machine);
    machine.ok("systemctl start demo-tidy.service");
    machine
        .sh("journalctl -u demo-tidy.service -o cat")
        .says("tidied by 1.0");
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// systemd accepts all units without a warning, and the web service has the exposure of its shape.
fn assert_valid_and_confined(machine: &Machine) {
    machine
        .sh(&format!(
            "systemd-analyze verify --man=no {UNITS}/demo.target {UNITS}/demo-*.{{service,socket,timer}}"
        ))
        .exits(0)
        .prints_nothing();
    let scores: Vec<String> = ["demo-web", "demo-worker", "demo-tidy"]
        .iter()
        .map(|unit| format!("{unit} {}", exposure(machine, &format!("{unit}.service"))))
        .collect();
    machine.note(&format!("exposure: {}", scores.join(", ")));
    // Later versions score `PrivateUsers=` and other directives differently.
    if machine.suite == "bookworm" {
        let web = exposure(machine, "demo-web.service");
        assert!(web <= 0.2, "demo-web.service is exposed by {web}");
    }
}

/// The score of a unit in `systemd-analyze security`.
pub fn exposure(machine: &Machine, unit: &str) -> f32 {
    let table = machine.ok(&format!("systemd-analyze security --no-pager {unit}"));
    let last = table.lines().last().unwrap_or_default();
    let number = last
        .split(": ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no score in `{last}`"))
}

fn assert_nothing_to_do(machine: &Machine) {
    let snapshot = || {
        let invocation = machine.property("demo-web.service", "InvocationID");
        let restarts = machine.property("demo-web.service", "NRestarts");
        (invocation, restarts, installed(machine), current(machine))
    };
    let before = snapshot();
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy --apply")
        .exits(0)
        .says("nothing to do");
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy")
        .exits(0)
        .says("nothing to do");
    assert_eq!(before, snapshot(), "a deploy of the same changes nothing");
}
