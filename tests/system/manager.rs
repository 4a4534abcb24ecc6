//! A service manager that does not do what it is told, or fails.

use crate::broken::is_untouched;
use crate::crash::{is_whole, next};
use crate::demo::{UNITS, current, demo, installed, runs};
use crate::machine::{Machine, Out, until};
use std::collections::BTreeMap;
use std::time::Duration;

tests![
    Quick:
    a_restart_that_did_nothing_is_no_success,
    a_service_on_another_release_is_named,
    a_copy_that_does_not_stop_is_found_again,
    a_job_that_fails_and_does_not_stop_tells_both,
];
tests![Slow: a_manager_that_fails_leaves_no_release_half_live];

/// Where commands of ours lie.
pub const PATH: &str = "PATH=/root/shim:$PATH";
const SHIM: &str = "/root/shim/systemctl";
/// How many calls there were since it was emptied: a line each.
const CALLS: &str = "/root/shim/calls";

/// Puts a `systemctl` of ours before the real one: a line of shell that may end it first.
pub fn shim(machine: &Machine, line: &str) {
    let text = format!("#!/bin/sh\n{line}\nexec /usr/bin/systemctl \"$@\"\n");
    machine.write(SHIM, &text, 0o755);
    machine.write(CALLS, "", 0o644);
}

/// Deploys what was written, with the `systemctl` of ours.
pub fn deploy(machine: &Machine) -> Out {
    machine.sh(&format!(
        "{PATH} robotctl --manifest /root/demo/robot.toml deploy --apply"
    ))
}

/// A restart that was reported and never happened is found out: what runs is asked of the kernel.
fn a_restart_that_did_nothing_is_no_success(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let before = installed(machine);
    shim(
        machine,
        "[ \"$*\" = 'restart -- demo-worker.service' ] && echo >> /root/shim/calls && exit 0",
    );
    demo("2.0").write(machine);
    deploy(machine)
        .exits(3)
        .says("`demo-worker.service`: it runs 1.0-")
        .says(&format!("{first} is back and healthy"));
    assert_eq!(machine.read(CALLS), "\n", "it was asked once");
    is_untouched(machine, &first, &before, "after the restart that was none");
}

/// A service that came up on another release than the live one is told by name.
fn a_service_on_another_release_is_named(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let second = demo("2.0").deployed(machine);
    let conf = format!("{UNITS}/demo-worker.service.d/05-execstart.conf");
    let text = machine.read(&conf);
    let current = "BindReadOnlyPaths=/opt/demo/current\n";
    assert!(text.contains(current), "{text}");
    let other = format!("BindReadOnlyPaths=/opt/demo/releases/{first}:/opt/demo/current\n");
    machine.write(&conf, &text.replace(current, &other), 0o644);
    let again = "systemctl daemon-reload && systemctl restart demo-worker.service";
    machine.ok(again);
    assert_eq!(runs(machine, "demo-worker.service"), first);
    let status = machine.robotctl("status").exits(0);
    status.says(&format!("{first}  runs another release than the live one"));
    machine
        .robotctl("doctor")
        .exits(1)
        .says(&format!(
            "`demo-worker.service` runs {first}, it should run {second}"
        ))
        .says("hint: sudo systemctl restart demo-worker.service");
    machine.write(&conf, &text, 0o644);
    machine.ok(again);
    machine.robotctl("doctor").exits(0);
}

/// Which calls are struck: a name, those that count, how long it fails, and every how many-th.
const STRIKES: [(&str, &str, &str, usize); 3] = [
    ("look", "[ \"$1\" = show ]", "-eq", 3),
    ("verb", "[ \"$1\" != show ]", "-eq", 1),
    // Nothing can be ended without it; then `recover` does, later.
    ("ever", "true", "-ge", 6),
];

/// Whichever call of the service manager fails, a deploy ends in the old release or the new one.
fn a_manager_that_fails_leaves_no_release_half_live(machine: &Machine) {
    let old = demo("1.0").deployed(machine);
    let files = installed(machine);
    let mut ends = BTreeMap::new();
    for (how, counts, test, stride) in STRIKES {
        for nth in (1..).step_by(stride) {
            let strike = format!(
                "{counts} && echo \"$*\" >> {CALLS} && \
                 [ $(wc -l < {CALLS}) {test} {nth} ] && echo struck >&2 && exit 1"
            );
            shim(machine, &strike);
            next(&format!("2.{how}.{nth}")).write(machine);
            let out = deploy(machine);
            let calls = machine.read(CALLS);
            let Some(call) = calls.lines().nth(nth - 1) else {
                out.exits(0);
                break;
            };
            let when = format!("{how} {nth}: {call}");
            *ends.entry((how, out.code)).or_insert(0) += 1;
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
            is_whole(machine, &old, "1.0", &files, &when);
            machine.robotctl("doctor").exits(0);
        }
        machine.robotctl("rollback").exits(0);
        is_whole(machine, &old, "1.0", &files, how);
    }
    machine.note(&format!("ends of struck deploys: {ends:?}"));
    for end in [
        ("look", 2),
        ("verb", 2),
        ("verb", 3),
        ("ever", 2),
        ("ever", 4),
    ] {
        assert!(ends.contains_key(&end), "{end:?}: {ends:?}");
    }
}

/// What a killed run left is not forgotten when it cannot be stopped: the next command finds it. What
/// can be stopped goes at once.
fn a_copy_that_does_not_stop_is_found_again(machine: &Machine) {
    let with = |version: &str| {
        let mut two = demo(version);
        two.tables = "[service.zoo]\nexec = [\"{current}/app.py\", \"web\"]\ntype = \"notify\"\n\
                      listen = [\"127.0.0.1:8081\"]\n";
        two
    };
    let first = with("1.0").deployed(machine);
    let mut slow = with("2.0");
    slow.settle = "60s";
    let mut deploy = slow.begin(machine);
    let is_running = |unit: &str| machine.sh(&format!("systemctl is-active {unit}")).code == 0;
    let (stays, goes) = ("demo-web-precheck.service", "demo-zoo-precheck.service");
    until("the copies run", Duration::from_secs(20), || {
        is_running(stays) && is_running(goes)
    });
    machine.ok(&format!("kill -s KILL {}", machine.begun()));
    deploy.wait().unwrap();
    // Of its socket, too: a service goes with the one that it requires.
    shim(
        machine,
        "case \"$*\" in 'stop -- demo-web-precheck.'*) exit 1;; esac",
    );
    let left = "ls /run/systemd/system | grep -e -precheck";
    assert!(machine.ok(left).starts_with(stays), "it comes first");
    let recover = "PATH=/root/shim:$PATH robotctl --app demo recover";
    machine
        .sh(recover)
        .exits(4)
        .says("leftovers of a killed run are still there");
    assert!(is_running(stays), "it was stopped all the same");
    assert!(!is_running(goes), "it was left for the other's sake");
    let left = machine.ok(left);
    assert!(
        left.lines()
            .all(|name| name.starts_with("demo-web-precheck.")),
        "{left}"
    );
    machine.robotctl("recover").exits(0);
    assert!(!is_running(stays), "nothing found it");
    assert_eq!(current(machine), first);
    with("2.0").deployed(machine);
    machine.robotctl("doctor").exits(0);
}

/// A job that fails, and whose unit then does not stop: both are told, whatever came first.
fn a_job_that_fails_and_does_not_stop_tells_both(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    // From its stop on, nobody can tell what became of it.
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
             check = [{ command = [\"/bin/sh\", \"-c\", \"echo oh dear >&2; exit 7\"], within = \"1s\" }]\n",
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
        assert_eq!(machine.ok(left), "", "nothing found it");
    }
}
