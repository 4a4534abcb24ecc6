//! One robotctl an app.

use crate::demo::{WEB, demo};
use crate::machine::{Machine, until};
use std::time::Duration;

pub fn second_robotctl_is_told_who_works(machine: &Machine) {
    demo("1.0").deployed(machine);
    let mut slow = demo("2.0");
    slow.fault = "slow";
    let mut first = slow.begin(machine);
    // The journal is there: the deploy is under way, and waits for the stand-in.
    until("the deploy begins", Duration::from_secs(20), || {
        machine.exists("/var/lib/robotctl/demo/journal.json")
    });
    let pid = machine.ok("pgrep --oldest --exact robotctl");
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
