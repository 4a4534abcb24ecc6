//! Records that were lost while the app runs: a deploy that fails leaves all running as it was.

use crate::demo::{WEB, demo};
use crate::machine::Machine;

tests![
    Quick:
    nothing_that_ran_is_stopped,
    what_ran_runs_again_however_the_link_is_written,
];

/// The version that the main process of a unit has before it.
fn version(machine: &Machine, unit: &str) -> String {
    let pid = machine.property(unit, "MainPID");
    machine.ok(&format!("cat /proc/{pid}/root/opt/demo/current/VERSION"))
}

/// Loses all that is remembered, and fails to deploy a release that gets as far as its checks.
fn fail_without_records(machine: &Machine, bad: &str) {
    machine.ok("rm -r /var/lib/robotctl/demo");
    let mut bad = demo(bad);
    bad.fault = "sick";
    bad.deploy(machine)
        .exits(4)
        .says("failed, and what was put back is not healthy");
}

#[track_caller]
fn runs_all(machine: &Machine, wanted: &str, when: &str) {
    for unit in [
        "demo.target",
        "demo-web.socket",
        "demo-tidy.timer",
        "demo-web.service",
        "demo-worker.service",
    ] {
        let state = machine.property(unit, "ActiveState");
        assert_eq!(state, "active", "{unit}, {when}");
    }
    for unit in ["demo-web.service", "demo-worker.service"] {
        assert_eq!(version(machine, unit), wanted, "{unit}, {when}");
    }
    assert_eq!(machine.get(WEB), format!("200 {wanted}"), "{when}");
}

/// To start what runs did nothing, so that to stop it would undo nothing.
fn nothing_that_ran_is_stopped(machine: &Machine) {
    demo("1.0").deployed(machine);
    runs_all(machine, "1.0", "at first");
    fail_without_records(machine, "2.0");
    runs_all(machine, "1.0", "without records");
}

fn what_ran_runs_again_however_the_link_is_written(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    machine.ok(&format!(
        "mkdir -p /srv && ln -s /opt/demo /srv/demo && cp -a /opt/demo/releases/{first} /srv/"
    ));
    let dirs = ["releases", "../demo/releases", "/srv/demo/releases", "/srv"];
    for (at, dir) in dirs.iter().enumerate() {
        machine.ok(&format!("ln -sfn {dir}/{first} /opt/demo/current"));
        fail_without_records(machine, &format!("2.{at}"));
        assert_eq!(
            machine.link("/opt/demo/current"),
            format!("{dir}/{first}"),
            "it was put back"
        );
        runs_all(machine, "1.0", dir);
    }
}
