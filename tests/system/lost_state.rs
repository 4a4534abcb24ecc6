//! The state is lost while the app runs: a failed deploy leaves everything running.

use crate::demo::{WEB, demo};
use crate::machine::Machine;

tests![
    Quick:
    a_failed_deploy_without_records_does_not_stop_services,
    every_form_of_the_link_is_restored,
    a_deleted_live_release_has_printed_fixes,
];

/// The version that a unit's main process sees.
fn version(machine: &Machine, unit: &str) -> String {
    let pid = machine.property(unit, "MainPID");
    machine.ok(&format!("cat /proc/{pid}/root/opt/demo/current/VERSION"))
}

/// Deletes the state, and fails to deploy a release that gets as far as its checks.
fn fail_without_records(machine: &Machine, bad: &str) {
    machine.ok("rm -r /var/lib/robotctl/demo");
    let mut bad = demo(bad);
    bad.fault = "sick";
    bad.deploy(machine)
        .exits(4)
        .says("failed, and what was restored is not healthy");
}

#[track_caller]
fn assert_all_run(machine: &Machine, wanted: &str, when: &str) {
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

/// Starting these units did nothing, so reverting must not stop them.
fn a_failed_deploy_without_records_does_not_stop_services(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    assert_all_run(machine, "1.0", "at first");
    fail_without_records(machine, "2.0");
    assert_all_run(machine, "1.0", "without records");
}

fn every_form_of_the_link_is_restored(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
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
            "the link was restored"
        );
        assert_all_run(machine, "1.0", dir);
    }
}

/// The live release is deleted by hand, and the next deploy fails after the switch. What `recover`
/// and the doctor print leads to the previous release, and the next deploy works.
fn a_deleted_live_release_has_printed_fixes(machine: &Machine) {
    let deploy = "--manifest /root/demo/robot.toml deploy --apply";
    for (at, fix) in ["recover", deploy].iter().enumerate() {
        demo(&format!("1.{at}")).deploy_ok(machine);
        let live = demo(&format!("2.{at}")).deploy_ok(machine);
        machine.ok(&format!("rm -r /opt/demo/releases/{live}"));
        let mut bad = demo(&format!("3.{at}"));
        (bad.fault, bad.web) = ("sick", "pre-check = false");
        let missing = format!("the live release {live} is missing");
        bad.deploy(machine).exits(4).says(&missing);
        assert!(
            !machine.exists("/var/lib/robotctl/demo/journal.json"),
            "{fix}"
        );
        // A release that works takes the place of the one that failed.
        demo(&format!("4.{at}")).write(machine);
        machine.robotctl(fix).exits(0);
        let doctor = machine.robotctl("doctor");
        if doctor.code != 0 {
            assert_eq!(*fix, "recover", "{doctor}");
            doctor.says("sudo robotctl --app demo rollback");
            machine.robotctl("--app demo rollback").exits(0);
        }
        machine.robotctl("doctor").exits(0);
        let wanted = if *fix == deploy { "4" } else { "1" };
        assert_all_run(machine, &format!("{wanted}.{at}"), fix);
    }
}
