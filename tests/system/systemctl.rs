//! A `systemctl` that fails, or that reports success without doing anything.

use crate::crash::{assert_intact, next};
use crate::demo::{UNITS, current, demo, installed, running_release};
use crate::failures::assert_untouched;
use crate::machine::{Machine, Out, until};
use std::collections::BTreeMap;

tests![
    Quick:
    a_restart_without_effect_is_detected,
    a_service_on_another_release_is_reported,
    an_instance_that_does_not_stop_is_found_later,
    a_job_that_fails_and_does_not_stop_reports_both,
];
tests![Slow: a_failing_systemctl_leaves_one_whole_release];

/// A PATH with the replacement first.
pub const PATH: &str = "PATH=/root/shim:$PATH";
const SHIM: &str = "/root/shim/systemctl";
/// One line for each recorded call.
const CALLS: &str = "/root/shim/calls";

/// Installs a replacement of `systemctl`: a line of shell that may exit before the real one is
/// called.
pub fn shim(machine: &Machine, line: &str) {
    let text = format!("#!/bin/sh\n{line}\nexec /usr/bin/systemctl \"$@\"\n");
    machine.write(SHIM, &text, 0o755);
    machine.write(CALLS, "", 0o644);
}

/// Deploys the written version with the replacement of `systemctl`.
pub fn deploy(machine: &Machine) -> Out {
    machine.sh(&format!(
        "{PATH} robotctl --manifest /root/demo/robot.toml deploy --apply"
    ))
}

/// A restart that is reported but never happens is detected: robotctl asks the kernel what runs.
fn a_restart_without_effect_is_detected(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let before = installed(machine);
    shim(
        machine,
        "[ \"$*\" = 'restart -- demo-web.service demo-worker.service' ] && \
         echo >> /root/shim/calls && exec /usr/bin/systemctl restart -- demo-web.service",
    );
    demo("2.0").write(machine);
    deploy(machine)
        .exits(3)
        .says("`demo-worker.service`: it runs 1.0-")
        .says(&format!("{first} was restored and is healthy"));
    assert_eq!(machine.read(CALLS), "\n", "the restart was requested once");
    assert_untouched(machine, &first, &before, "after a restart without effect");
}

/// A service that runs another release than the live one is reported by name.
fn a_service_on_another_release_is_reported(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let second = demo("2.0").deploy_ok(machine);
    let conf = format!("{UNITS}/demo-worker.service.d/05-execstart.conf");
    let text = machine.read(&conf);
    let current = "BindReadOnlyPaths=/opt/demo/current\n";
    assert!(text.contains(current), "{text}");
    let other = format!("BindReadOnlyPaths=/opt/demo/releases/{first}:/opt/demo/current\n");
    machine.write(&conf, &text.replace(current, &other), 0o644);
    let again = "systemctl daemon-reload && systemctl restart demo-worker.service";
    machine.ok(again);
    assert_eq!(running_release(machine, "demo-worker.service"), first);
    let status = machine.robotctl("status").exits(0);
    status.says(&format!("{first}  runs another release than the live one"));
    machine
        .robotctl("doctor")
        .exits(1)
        .says(&format!(
            "`demo-worker.service` runs {first}, it should run {second}"
        ))
        .says("hint: restart it: sudo systemctl restart demo-worker.service");
    machine.write(&conf, &text, 0o644);
    machine.ok(again);
    machine.robotctl("doctor").exits(0);
}

/// Which calls fail: a name, a condition, the shell comparison with the number of the call, and the
/// stride.
const FAILURES: [(&str, &str, &str, usize); 3] = [
    ("show", "[ \"$1\" = show ]", "-eq", 3),
    ("change", "[ \"$1\" != show ]", "-eq", 1),
    // Without systemctl the change cannot be finished; `recover` does that later.
    ("all", "true", "-ge", 6),
];

/// A deploy ends in the old or the new release, no matter which call of systemctl fails.
fn a_failing_systemctl_leaves_one_whole_release(machine: &Machine) {
    let old = demo("1.0").deploy_ok(machine);
    let files = installed(machine);
    let mut outcomes = BTreeMap::new();
    for (how, counts, test, stride) in FAILURES {
        for nth in (1..).step_by(stride) {
            let failure = format!(
                "{counts} && echo \"$*\" >> {CALLS} && \
                 [ $(wc -l < {CALLS}) {test} {nth} ] && echo injected >&2 && exit 1"
            );
            shim(machine, &failure);
            next(&format!("2.{how}.{nth}")).write(machine);
            let out = deploy(machine);
            let calls = machine.read(CALLS);
            let Some(call) = calls.lines().nth(nth - 1) else {
                out.exits(0);
                break;
            };
            let when = format!("{how} {nth}: {call}");
            *outcomes.entry((how, out.code)).or_insert(0) += 1;
            match out.code {
                0 => {
                    assert_ne!(current(machine), old, "{when}: {out}");
                    machine.robotctl("doctor").exits(0);
                    machine.robotctl("rollback").exits(0);
                }
                2 | 3 if !out.stderr.contains("sudo robotctl recover") => {}
                2..=4 => drop(machine.robotctl("recover").exits(0)),
                _ => panic!("{when}: {out}"),
            }
            assert_intact(machine, &old, "1.0", &files, &when);
            machine.robotctl("doctor").exits(0);
        }
        machine.robotctl("rollback").exits(0);
        assert_intact(machine, &old, "1.0", &files, how);
    }
    machine.note(&format!("outcomes of deploys with a failure: {outcomes:?}"));
    for outcome in [
        ("show", 2),
        ("change", 2),
        ("change", 3),
        ("all", 2),
        ("all", 4),
    ] {
        assert!(outcomes.contains_key(&outcome), "{outcome:?}: {outcomes:?}");
    }
}

/// A leftover that cannot be stopped is not forgotten: the next command finds it. The other
/// leftovers are stopped at once.
fn an_instance_that_does_not_stop_is_found_later(machine: &Machine) {
    let with = |version: &str| {
        let mut two = demo(version);
        two.tables = "[service.zoo]\nexec = [\"{current}/app.py\", \"web\"]\ntype = \"notify\"\n\
                      listen = [\"127.0.0.1:8081\"]\n";
        two
    };
    let first = with("1.0").deploy_ok(machine);
    let mut slow = with("2.0");
    slow.settle = "1h";
    let mut deploy = slow.start_deploy(machine);
    let is_running = |unit: &str| machine.sh(&format!("systemctl is-active {unit}")).code == 0;
    let (stays, goes) = ("demo-web-precheck.service", "demo-zoo-precheck.service");
    until("the instances run", || {
        is_running(stays) && is_running(goes)
    });
    machine.ok(&format!("kill -s KILL {}", machine.spawned_pid()));
    deploy.wait().unwrap();
    // The socket too, because a service stops together with the socket that it requires.
    shim(
        machine,
        "case \"$*\" in 'stop -- demo-web-precheck.'*) exit 1;; esac",
    );
    let left = "ls /run/systemd/system | grep -e -precheck";
    assert!(
        machine.ok(left).starts_with(stays),
        "the instance that does not stop comes first"
    );
    let recover = "PATH=/root/shim:$PATH robotctl --app demo recover";
    machine
        .sh(recover)
        .exits(4)
        .says("leftovers of a killed command are still there");
    assert!(is_running(stays), "it must still run");
    assert!(
        !is_running(goes),
        "it must be stopped, although the other one is not"
    );
    let left = machine.ok(left);
    assert!(
        left.lines()
            .all(|name| name.starts_with("demo-web-precheck.")),
        "{left}"
    );
    machine.robotctl("recover").exits(0);
    assert!(!is_running(stays), "recovery did not find it");
    assert_eq!(current(machine), first);
    with("2.0").deploy_ok(machine);
    machine.robotctl("doctor").exits(0);
}

/// If a job fails and its unit does not stop, both are reported.
fn a_job_that_fails_and_does_not_stop_reports_both(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    // After the stop, systemctl does not answer for this unit.
    shim(
        machine,
        &format!(
            "case \"$*\" in \
             'stop -- demo-'*-hook.service) echo >> {CALLS}; echo will not >&2; exit 1;; \
             show*-hook.service) [ -s {CALLS} ] && exit 1;; esac"
        ),
    );
    for (tables, code, job) in [
        (
            "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \"echo oh dear >&2; exit 7\"]]\n",
            2,
            "`demo-before-switch-hook.service`",
        ),
        (
            "[service.other]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
             check = [{ command = [\"/bin/sh\", \"-c\", \"echo oh dear >&2; exit 7\"], within = \"4s\" }]\n",
            3,
            "-hook.service`",
        ),
    ] {
        machine.write(CALLS, "", 0o644);
        let mut second = demo("2.0");
        second.tables = tables;
        second.write(machine);
        deploy(machine)
            .exits(code)
            .says("exit status 7")
            .says("oh dear")
            .says(&format!("{job} is still there: "))
            .says("will not");
        assert_eq!(current(machine), first);
        machine.robotctl("recover").exits(0);
        let left = "ls /run/systemd/system | grep -e -hook || true";
        assert_eq!(machine.ok(left), "", "recovery did not find it");
    }
}
