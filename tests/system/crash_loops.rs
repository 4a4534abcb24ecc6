//! Services that systemd restarts again and again.

use crate::demo::demo;
use crate::machine::{Machine, until};

tests![Quick: a_service_that_restarts_again_and_again_is_reported];

const WORKER: &str = "demo-worker.service";

fn restarts(machine: &Machine) -> u32 {
    machine.property(WORKER, "NRestarts").parse().unwrap()
}

/// Kills the worker, and waits until systemd has started it again.
fn kill(machine: &Machine) {
    let before = restarts(machine);
    machine.ok(&format!("systemctl kill --signal=KILL {WORKER}"));
    until("systemd restarts it", || {
        restarts(machine) > before && machine.property(WORKER, "ActiveState") == "active"
    });
}

fn a_service_that_restarts_again_and_again_is_reported(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    for _ in 0..2 {
        kill(machine);
    }
    machine.robotctl("doctor").exits(0);
    kill(machine);
    // systemd still calls it active.
    assert_eq!(machine.property(WORKER, "ActiveState"), "active");
    machine.ok("journalctl --sync");
    let exactly = "`demo-worker.service` restarted 3 times by itself within 10 minutes";
    machine
        .robotctl("doctor")
        .exits(1)
        .says(exactly)
        .says("hint: read why it ends: sudo journalctl -u demo-worker.service -n 50");
    machine.robotctl("status").exits(0).says(
        "restarted 3 times by itself within 10 minutes: sudo journalctl -u demo-worker.service",
    );
    // Another user cannot read the systemd journal.
    let as_other = "setpriv --reuid=daemon --regid=daemon --clear-groups robotctl status";
    let seen = machine.sh(as_other).exits(0);
    let seen = seen.says("restarted 3 times by itself, the last time ");
    let seen = seen.says(" ago: sudo journalctl -u demo-worker.service");
    assert!(!seen.stdout.contains("minutes"), "{seen}");
    // The next release did not restart.
    let mut second = demo("2.0");
    second.settle = "";
    second.deploy_ok(machine);
    let doctor = machine.robotctl("doctor").exits(0);
    assert!(!doctor.stdout.contains("restarted"), "{doctor}");
    // A worker without a check may do nothing at all.
    doctor.says("note: service `worker` has no check, so robotctl only knows whether it runs");
}
