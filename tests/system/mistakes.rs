//! What people who are new to it get wrong, and what they are told.

use crate::demo::{WEB, current, demo, installed};
use crate::machine::Machine;

/// A stopped service's socket listens: what the next request would start is tried like the rest.
pub fn a_stopped_service_is_tried_or_named(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let before = installed(machine);
    // A mere SIGTERM ends it well, and so nothing starts it again but a request.
    machine.ok("systemctl stop demo-worker.service && systemctl kill demo-web.service");
    machine
        .ok("timeout 10 sh -c 'while systemctl is-active -q demo-web.service; do sleep 0.1; done'");
    let mut bad = demo("2.0");
    bad.fault = "sick";
    bad.deploy(machine)
        .exits(2)
        .says("service `web`: GET")
        .says("it answers 503");
    assert_eq!(installed(machine), before);
    assert_eq!(current(machine), first);
    let out = demo("2.1").deploy(machine).exits(0);
    let out = out.says("`demo-worker.service` is stopped: its checks were not run");
    assert!(
        !out.stderr.contains("`demo-web.service` is stopped"),
        "{out}"
    );
    for unit in ["demo-web.service", "demo-worker.service"] {
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    let mut untried = demo("2.2");
    untried.web = "pre-check = false";
    untried
        .deploy(machine)
        .exits(0)
        .says("warning: `demo-web.service` is stopped: its checks were not run");
    machine
        .robotctl("rollback")
        .exits(0)
        .says("warning: `demo-web.service` is stopped: its checks were not run");
    assert_eq!(machine.get(WEB), "200 2.1");
}
