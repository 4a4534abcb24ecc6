//! One robotctl an app.

use crate::demo::{WEB, current, demo};
use crate::machine::{Machine, until};
use std::time::Duration;

tests![
    Quick:
    second_robotctl_is_told_who_works,
    nobody_works_beside_a_hook,
];

fn second_robotctl_is_told_who_works(machine: &Machine) {
    demo("1.0").deployed(machine);
    let mut slow = demo("2.0");
    slow.fault = "slow";
    let mut first = slow.begin(machine);
    // The journal is there: the deploy is under way, and waits for the stand-in.
    until("the deploy begins", Duration::from_secs(20), || {
        machine.exists("/var/lib/robotctl/demo/journal.json")
    });
    let pid = machine.begun();
    let out = machine.robotctl("rollback").exits(5);
    out.says("another `robotctl` works on this app")
        .says(&format!("deploying (pid {pid})"));
    machine.robotctl("remove").exits(5);
    // Reading needs no lock.
    machine
        .robotctl("status")
        .exits(0)
        .says(&format!("a change is under way: deploying (pid {pid})"));
    machine
        .robotctl("doctor")
        .exits(0)
        .says("not looked: all: another `robotctl` changes the app right now");
    // Waiting does: the rollback comes after the deploy.
    machine
        .robotctl("rollback --wait 60")
        .exits(0)
        .says("is live");
    assert!(first.wait().unwrap().success(), "the first deploy");
    assert_eq!(machine.get(WEB), "200 1.0");
    machine.robotctl("history").exits(0).says("2.0-");
    machine.robotctl("doctor").exits(0);
}

/// The switch is not the end: while a hook after it runs, nobody else changes the app.
fn nobody_works_beside_a_hook(machine: &Machine) {
    demo("1.0").deployed(machine);
    let gate = "/var/lib/demo/gate";
    machine.ok(&format!("mkfifo --mode=666 {gate}"));
    let mut second = demo("2.0");
    second.tables = "[hooks]\nafter-switch = [[\"/bin/sh\", \"-c\", \
                     \"touch /var/lib/demo/here && read go < /var/lib/demo/gate\"]]\n";
    let mut first = second.begin(machine);
    until("the hook runs", Duration::from_secs(20), || {
        machine.exists("/var/lib/demo/here")
    });
    let switched = current(machine);
    assert!(switched.starts_with("2.0-"), "{switched}");
    let pid = machine.begun();
    for command in ["rollback", "remove", "prune"] {
        machine
            .robotctl(command)
            .exits(5)
            .says("another `robotctl` works on this app")
            .says(&format!("deploying (pid {pid})"));
    }
    assert_eq!(current(machine), switched);
    machine.ok(&format!("echo > {gate}"));
    assert!(first.wait().unwrap().success(), "the deploy");
    assert_eq!(machine.get(WEB), "200 2.0");
    machine.robotctl("rollback").exits(0);
    assert_eq!(machine.get(WEB), "200 1.0");
}
