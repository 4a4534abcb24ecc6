//! What a killed run left, and what does not go when it is told to.

use crate::demo::{Demo, SECOND, current, demo};
use crate::machine::{Machine, until};
use crate::manager::{PATH, deploy, shim};
use std::time::Duration;

tests![
    Quick:
    what_does_not_stop_takes_no_release_back,
    what_an_earlier_trial_left_is_not_tried,
    a_job_of_an_earlier_run_is_not_waited_for,
    all_that_does_not_stop_is_told,
    a_job_that_was_taken_away_is_not_said_to_be_there,
];

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
fn what_does_not_stop_takes_no_release_back(machine: &Machine) {
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

/// Who is told to start what runs does nothing, and would look at another release.
fn what_an_earlier_trial_left_is_not_tried(machine: &Machine) {
    let first = two("1.0").deployed(machine);
    killed(machine, "2.0");
    // Once: what is still there when it is swept can be taken away after the trial.
    shim(
        machine,
        &format!(
            "[ \"$*\" = 'stop -- {COPY}' ] && [ ! -s /root/shim/calls ] && \
             echo >> /root/shim/calls && exit 1"
        ),
    );
    let mut bad = two("3.0");
    bad.fault = "no-start";
    bad.web = "pre-check = false";
    bad.write(machine);
    deploy(machine)
        .exits(2)
        .says(&format!("`{COPY}` of an earlier run is still there"))
        .says(&format!("hint: sudo systemctl stop {COPY}"));
    assert_eq!(current(machine), first);
    let said = machine.robotctl("releases").exits(0);
    assert!(!said.stdout.contains("bad"), "{said}");
    bad.deploy(machine)
        .exits(2)
        .says("failed its pre-check, nothing was changed: service `second`");
    assert!(!is_running(machine, COPY), "it is still there");
}

/// Nor is a job that a killed run began taken for one of this run.
fn a_job_of_an_earlier_run_is_not_waited_for(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let job = "demo-before-switch-hook.service";
    let hooked = |version: &str, tables: &'static str| {
        let mut hooked = demo(version);
        hooked.tables = tables;
        hooked
    };
    let wait = "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \
                \"until [ -e /var/lib/demo/go ]; do sleep 0.1; done\"]]\n";
    let mut begun = hooked("2.0", wait).begin(machine);
    until("the hook runs", Duration::from_secs(20), || {
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

fn all_that_does_not_stop_is_told(machine: &Machine) {
    two("1.0").deployed(machine);
    killed(machine, "2.0");
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
        .says(&format!("no: {COPY}"))
        .says(&format!("{staging}/m"));
    machine.ok(&format!("umount {staging}/m"));
    machine.robotctl("recover").exits(0);
    machine.robotctl("doctor").exits(0);
}

/// That the manager was not told of it afterwards is no fault of the release.
fn a_job_that_was_taken_away_is_not_said_to_be_there(machine: &Machine) {
    demo("1.0").deployed(machine);
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
