//! Services that systemd restarts again and again.

use crate::demo::demo;
use crate::machine::{Machine, until};

tests![
    Quick:
    a_service_that_restarts_again_and_again_is_reported,
    a_service_between_two_runs_is_reported_once_and_with_its_end,
];

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
        .says("; it was killed (SIGKILL) by a person or a program, and not for memory")
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

/// The service ends at once, so that the doctor sees processes that have ended when it looks at them.
fn a_service_between_two_runs_is_reported_once_and_with_its_end(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    demo("2.0").deploy_ok(machine);
    machine.write("/etc/demo/env", "A=1\n", 0o600);
    let drop_in = "[Service]\nType=exec\nExecStart=\nExecStart=/bin/sh -c 'sleep 0.1; exit 3'\n\
                   RestartSec=200ms\n[Unit]\nStartLimitIntervalSec=0\n";
    machine.write(
        "/etc/systemd/system/demo-worker.service.d/loop.conf",
        drop_in,
        0o644,
    );
    machine.ok(&format!(
        "systemctl daemon-reload; systemctl restart {WORKER}"
    ));
    until("systemd has restarted it", || restarts(machine) >= 4);
    machine.ok("journalctl --sync");
    for _ in 0..8 {
        let doctor = machine.robotctl("doctor").exits(1);
        let text = &doctor.stdout;
        let own: Vec<&str> = text
            .lines()
            .filter(|line| line.contains(": `demo-worker.service`"))
            .collect();
        assert!(
            own.iter()
                .any(|line| line.contains("; it ended with exit status 3 (exit-code)")),
            "{doctor}"
        );
        assert!(
            text.contains("hint: or restore the previous release, 1.0-"),
            "{doctor}"
        );
        for absent in [
            "settings of `demo-worker",
            "if it should run",
            "hidden",
            "is activating",
        ] {
            assert!(!text.contains(absent), "{absent}: {doctor}");
        }
    }
    // A start that was refused too often is possible again with the commands that the doctor prints.
    let limit = drop_in.replace("IntervalSec=0", "IntervalSec=1h\nStartLimitBurst=2");
    machine.write(
        "/etc/systemd/system/demo-worker.service.d/loop.conf",
        &limit,
        0o644,
    );
    machine.ok("systemctl daemon-reload");
    until("systemd has given up", || {
        machine.property(WORKER, "ActiveState") == "failed"
    });
    let doctor = machine.robotctl("doctor").exits(1);
    machine.ok("rm -r /etc/systemd/system/demo-worker.service.d; systemctl daemon-reload");
    let commands = [
        "then let systemd start it again: sudo ",
        "and start it: sudo ",
    ]
    .map(|hint| {
        let (_, rest) = doctor
            .stdout
            .split_once(hint)
            .unwrap_or_else(|| panic!("{doctor}"));
        rest.lines().next().unwrap_or_default().to_owned()
    });
    for command in commands {
        machine.ok(&command);
    }
    assert_eq!(machine.property(WORKER, "ActiveState"), "active");
}
