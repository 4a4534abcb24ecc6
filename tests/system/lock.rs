//! One robotctl process at a time may change an app.

use crate::demo::{WEB, current, demo};
use crate::machine::{Machine, until};

tests![
    Quick:
    a_second_robotctl_names_the_lock_holder,
    the_lock_is_held_until_the_hooks_end,
];

fn a_second_robotctl_names_the_lock_holder(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let mut slow = demo("2.0");
    slow.fault = "slow";
    slow.web = "pre-check = false\ntimeout-start = \"10min\"";
    let mut first = slow.start_deploy(machine);
    // The journal exists: the deploy is under way and waits for the service.
    until("the deploy begins", || {
        machine.exists("/var/lib/robotctl/demo/journal.json")
    });
    let pid = machine.spawned_pid();
    let out = machine.robotctl("rollback").exits(5);
    out.says("another `robotctl` is changing `demo`")
        .says(&format!("deploying (pid {pid})"));
    machine.robotctl("remove --apply").exits(5);
    // Read-only commands need no lock.
    machine
        .robotctl("status")
        .exits(0)
        .says(&format!("a change is under way: deploying (pid {pid})"));
    machine
        .robotctl("doctor")
        .exits(0)
        .says("skipped: all: another `robotctl` is changing this app");
    // With `--wait`, the rollback runs after the deploy.
    let mut waiting = machine.spawn(&["robotctl", "rollback", "--wait", "600"]);
    until("the rollback waits", || {
        machine.sh("pgrep --full '[r]obotctl rollback --wait'").code == 0
    });
    machine.ok("touch /var/lib/demo/go");
    assert!(first.wait().unwrap().success(), "the first deploy");
    assert!(waiting.wait().unwrap().success(), "the rollback");
    assert_eq!(machine.get(WEB), "200 1.0");
    machine.robotctl("history").exits(0).says("2.0-");
    machine.robotctl("doctor").exits(0);
}

/// The lock is held after the switch too: while a hook runs, no other command changes the app.
fn the_lock_is_held_until_the_hooks_end(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let gate = "/var/lib/demo/gate";
    machine.ok(&format!("mkfifo --mode=666 {gate}"));
    let mut second = demo("2.0");
    second.tables = "[hooks]\nafter-switch = [[\"/bin/sh\", \"-c\", \
                     \"touch /var/lib/demo/here && read go < /var/lib/demo/gate\"]]\n";
    let mut first = second.start_deploy(machine);
    until("the hook runs", || machine.exists("/var/lib/demo/here"));
    let switched = current(machine);
    assert!(switched.starts_with("2.0-"), "{switched}");
    let pid = machine.spawned_pid();
    for command in ["rollback", "remove --apply", "prune --apply"] {
        machine
            .robotctl(command)
            .exits(5)
            .says("another `robotctl` is changing `demo`")
            .says(&format!("deploying (pid {pid})"));
    }
    assert_eq!(current(machine), switched);
    machine.ok(&format!("echo > {gate}"));
    assert!(first.wait().unwrap().success(), "the deploy");
    assert_eq!(machine.get(WEB), "200 2.0");
    machine.robotctl("rollback").exits(0);
    assert_eq!(machine.get(WEB), "200 1.0");
}
