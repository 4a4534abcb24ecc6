//! Leftovers of a killed run, and units that do not stop.

use crate::demo::{Demo, SECOND, current, demo};
use crate::machine::{Machine, until};
use crate::systemctl::{PATH, deploy, shim};

tests![
    Quick:
    a_leftover_that_does_not_stop_does_not_fail_a_change,
    a_leftover_pre_check_instance_is_not_checked,
    a_leftover_job_is_not_taken_for_a_new_one,
    every_leftover_that_does_not_stop_is_reported,
    a_failed_reload_after_a_job_does_not_fail_a_deploy,
    a_unit_that_had_to_be_killed_is_not_reported_for_ever,
];

/// The pre-check instance that these tests are about.
const INSTANCE: &str = "demo-second-precheck.service";

/// A version with two services that have a pre-check.
fn with_second_service(version: &str) -> Demo {
    let mut two = demo(version);
    two.tables = SECOND;
    two
}

/// Kills a deploy in its pre-check, once all instances run.
fn kill_in_pre_check(machine: &Machine, version: &str) {
    let mut slow = with_second_service(version);
    slow.settle = "1h";
    let mut deploy = slow.start_deploy(machine);
    until("the instances run", || is_running(machine, INSTANCE));
    machine.ok("pkill --oldest --signal KILL --exact robotctl");
    deploy.wait().unwrap();
}

fn is_running(machine: &Machine, unit: &str) -> bool {
    let line = format!("systemctl is-active --quiet {unit}");
    machine.sh(&line).code == 0
}

/// Neither a deploy nor a rollback fails because of it.
fn a_leftover_that_does_not_stop_does_not_fail_a_change(machine: &Machine) {
    let first = with_second_service("1.0").deploy_ok(machine);
    kill_in_pre_check(machine, "2.0");
    shim(
        machine,
        &format!("[ \"$1\" = stop ] && case \"$*\" in *{INSTANCE}*) exit 1;; esac"),
    );
    demo("3.0").write(machine);
    deploy(machine)
        .exits(0)
        .says("leftovers of a killed command are still there")
        .says("warning: demo: leftovers are still there");
    assert!(current(machine).starts_with("3.0-"), "{}", current(machine));
    let back = format!("{PATH} robotctl --app demo rollback");
    machine.sh(&back).exits(0);
    assert_eq!(current(machine), first);
    assert!(is_running(machine, INSTANCE), "it must still run");
    machine
        .robotctl("doctor")
        .exits(1)
        .says(&format!("`{INSTANCE}` was left by a killed command"))
        .says("stop and remove what is left: sudo robotctl --app demo recover");
    machine.robotctl("recover").exits(0);
    assert!(!is_running(machine, INSTANCE), "recovery did not find it");
    machine.robotctl("doctor").exits(0);
}

/// Starting a running unit does nothing, so the pre-check would test another release.
fn a_leftover_pre_check_instance_is_not_checked(machine: &Machine) {
    let first = with_second_service("1.0").deploy_ok(machine);
    kill_in_pre_check(machine, "2.0");
    // Fails once: the clean-up cannot stop it, and the next command can.
    shim(
        machine,
        &format!(
            "[ \"$*\" = 'stop -- {INSTANCE}' ] && [ ! -s /root/shim/calls ] && \
             echo >> /root/shim/calls && exit 1"
        ),
    );
    let mut bad = with_second_service("3.0");
    bad.fault = "no-start";
    bad.web = "pre-check = false";
    bad.write(machine);
    deploy(machine)
        .exits(2)
        .says(&format!("`{INSTANCE}` of an earlier run is still there"))
        .says(&format!("hint: sudo systemctl stop {INSTANCE}"));
    assert!(
        is_running(machine, INSTANCE),
        "it was stopped, and the hint says to stop it"
    );
    assert_eq!(current(machine), first);
    let said = machine.robotctl("releases").exits(0);
    assert!(!said.stdout.contains("bad"), "{said}");
    bad.deploy(machine)
        .exits(2)
        .says("failed its pre-check, and what is live did not change: service `second`");
    assert!(!is_running(machine, INSTANCE), "it still runs");
}

/// A job that a killed run started is not taken for a job of this run.
fn a_leftover_job_is_not_taken_for_a_new_one(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let job = "demo-before-switch-hook.service";
    let hooked = |version: &str, tables: &'static str| {
        let mut hooked = demo(version);
        hooked.tables = tables;
        hooked
    };
    let wait = "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \
                \"until [ -e /var/lib/demo/go ]; do sleep 0.1; done\"]]\n";
    let mut begun = hooked("2.0", wait).start_deploy(machine);
    until("the hook runs", || {
        machine.property(job, "ExecMainPID") != "0"
    });
    machine.ok("pkill --oldest --signal KILL --exact robotctl");
    begun.wait().unwrap();
    shim(
        machine,
        &format!(
            "[ \"$*\" = 'stop -- {job}' ] && [ ! -s /root/shim/calls ] && \
             echo >> /root/shim/calls && exit 1\n\
             [ \"$*\" = 'start -- {job}' ] && touch /var/lib/demo/go"
        ),
    );
    let fails = "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \"exit 7\"]]\n";
    hooked("3.0", fails).write(machine);
    deploy(machine)
        .exits(2)
        .says(&format!("`{job}` of an earlier run is still there"));
    assert_eq!(current(machine), first);
    deploy(machine).exits(2).says("exit status 7");
    assert_eq!(current(machine), first);
}

fn every_leftover_that_does_not_stop_is_reported(machine: &Machine) {
    with_second_service("1.0").deploy_ok(machine);
    kill_in_pre_check(machine, "2.0");
    let staging = "/opt/demo/releases/.staging-old";
    machine.ok(&format!(
        "mkdir -p {staging}/m && mount -t tmpfs none {staging}/m"
    ));
    shim(
        machine,
        "[ \"$1\" = stop ] && echo \"no: $3\" >&2 && exit 1",
    );
    machine
        .sh(&format!("{PATH} robotctl --app demo recover"))
        .exits(4)
        .says("no: demo-web-precheck.service")
        .says(&format!("no: {INSTANCE}"))
        .says(&format!("{staging}/m"));
    machine.ok(&format!("umount {staging}/m"));
    machine.robotctl("recover").exits(0);
    machine.robotctl("doctor").exits(0);
}

/// A failed reload after the job does not make the deploy fail.
fn a_failed_reload_after_a_job_does_not_fail_a_deploy(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let mut second = demo("2.0");
    second.tables =
        "[hooks]\nafter-switch = [[\"/bin/sh\", \"-c\", \"echo > /var/lib/demo/ran\"]]\n";
    second.write(machine);
    shim(
        machine,
        "[ \"$1\" = daemon-reload ] && [ -e /var/lib/demo/ran ] && \
         [ ! -e /run/systemd/system/demo-after-switch-hook.service ] && exit 1",
    );
    deploy(machine).exits(0);
    assert!(current(machine).starts_with("2.0-"), "{}", current(machine));
    machine.ok("test -e /var/lib/demo/ran");
}

/// systemd lists a unit that had to be killed as failed until its failure is cleared.
fn a_unit_that_had_to_be_killed_is_not_reported_for_ever(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let failed = || machine.ok("systemctl --failed --plain --no-legend");
    let job = "demo-before-switch-hook.service";
    let mut stubborn = demo("2.0");
    stubborn.tables = "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \
                       \"trap '' TERM; touch /var/lib/demo/begun; while :; do sleep 0.1; done\"]]\n";
    let mut begun = stubborn.start_deploy(machine);
    until("the hook runs", || machine.exists("/var/lib/demo/begun"));
    machine.ok("pkill --oldest --signal KILL --exact robotctl");
    begun.wait().unwrap();
    // systemd kills it in the end.
    machine.ok(&format!(
        "mkdir -p /run/systemd/system/{job}.d && \
         printf '[Service]\\nTimeoutStopSec=100ms\\n' > /run/systemd/system/{job}.d/90-test.conf && \
         systemctl daemon-reload && systemctl stop {job}; rm -r /run/systemd/system/{job}.d/90-test.conf"
    ));
    assert!(failed().contains(job), "{}", failed());
    machine.robotctl("recover").exits(0);
    assert_eq!(failed(), "");
    // A unit without a file, as an earlier robotctl left it, and a scope of the previous release.
    machine.ok(
        "systemd-run --quiet --unit=demo-web-precheck.service false; \
         systemd-run --quiet --unit=demo-worker-old-1a2b3c4d-after.service false; \
         systemd-run --quiet --unit=other-web-precheck.service false; true",
    );
    until("they fail", || failed().lines().count() == 3);
    let doctor = machine.robotctl("doctor").exits(0);
    assert!(!doctor.stdout.contains("precheck"), "{doctor}");
    machine
        .robotctl("--app demo remove --purge --apply")
        .exits(0);
    let left = failed();
    assert!(
        left.contains("other-web-precheck") && left.lines().count() == 1,
        "{left}"
    );
}
