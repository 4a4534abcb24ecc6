//! What a killed run left, and what does not go when it is told to.

use crate::demo::{Demo, SECOND, current, demo};
use crate::machine::{Machine, until};
use crate::manager::{PATH, deploy, shim};
use std::time::Duration;

/// The copy of a trial that the tests are about.
const COPY: &str = "demo-second-precheck.service";

/// A version with two services that are tried.
fn two(version: &str) -> Demo {
    let mut two = demo(version);
    two.tables = SECOND;
    two
}

/// Kills a deploy in its trial, once all copies run.
fn killed(machine: &Machine, version: &str) {
    let mut two = two(version);
    two.settle = "60s";
    let mut deploy = two.begin(machine);
    until("the copies run", Duration::from_secs(20), || {
        is_running(machine, COPY)
    });
    machine.ok("pkill --oldest --signal KILL --exact robotctl");
    deploy.wait().unwrap();
}

fn is_running(machine: &Machine, unit: &str) -> bool {
    let line = format!("systemctl is-active --quiet {unit}");
    machine.sh(&line).code == 0
}

/// In nobody's way: neither a deploy nor a rollback fails for it.
pub fn what_does_not_stop_takes_no_release_back(machine: &Machine) {
    let first = two("1.0").deployed(machine);
    killed(machine, "2.0");
    shim(
        machine,
        &format!("[ \"$1\" = stop ] && case \"$*\" in *{COPY}*) exit 1;; esac"),
    );
    demo("3.0").write(machine);
    deploy(machine)
        .exits(0)
        .says("leftovers of a killed run are still there")
        .says("warning: demo: leftovers are still there");
    assert!(current(machine).starts_with("3.0-"), "{}", current(machine));
    let back = format!("{PATH} robotctl --app demo rollback");
    machine.sh(&back).exits(0);
    assert_eq!(current(machine), first);
    assert!(is_running(machine, COPY), "it was stopped all the same");
    machine.robotctl("recover").exits(0);
    assert!(!is_running(machine, COPY), "nothing found it");
    machine.robotctl("doctor").exits(0);
}
