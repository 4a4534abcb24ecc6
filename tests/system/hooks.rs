//! Hooks of a deploy, the soak after it, and jobs as checks.

use crate::checks::assert_private;
use crate::demo::{current, demo, installed};
use crate::machine::{Machine, until};

tests![
    Quick:
    hooks_run_once_and_can_fail_a_deploy,
    units_that_systemd_has_loaded_are_reloaded,
    a_release_that_crashes_during_the_soak_is_rolled_back,
    jobs_headers_and_json_are_checked,
];

const NOTE: &str = "[hooks]
before-switch = [[\"/bin/sh\", \"-c\", \"echo before $(cat VERSION) $(id -un) $PLACE >> /var/lib/demo/hooks\"]]
after-switch = [[\"/bin/true\"], [\"/bin/sh\", \"-c\", \"echo after $(cat VERSION) >> /var/lib/demo/hooks\"]]
[env]
PLACE = \"here\"
";

const OTHER_HOOK: &str = "[hooks]
before-switch = [[\"/bin/sh\", \"-c\", \"echo other $(cat VERSION) >> /var/lib/demo/hooks\"]]
";

fn hooks_run_once_and_can_fail_a_deploy(machine: &Machine) {
    let with = |version: &str, tables: &'static str| {
        let mut demo = demo(version);
        demo.tables = tables;
        demo
    };
    with("1.0", NOTE).deploy_ok(machine);
    let second = with("2.0", NOTE).deploy_ok(machine);
    with("2.0", NOTE)
        .deploy(machine)
        .exits(0)
        .says("nothing to do");
    let noted = || machine.read("/var/lib/demo/hooks");
    let expected = "before 1.0 demo here\nafter 1.0\nbefore 2.0 demo here\nafter 2.0\n";
    assert_eq!(noted(), expected);

    let before = installed(machine);
    with(
        "3.0",
        "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \"echo no way >&2; exit 7\"]]\n",
    )
    .deploy(machine)
    .exits(2)
    .says("what is live did not change")
    .says("exit status 7")
    .says("no way");
    with(
        "3.1",
        "[hooks]\nbefore-switch = [[\"/bin/sleep\", \"1000\"]]\ntimeout = \"1s\"\n",
    )
    .deploy(machine)
    .exits(2)
    .says("the start or stop timed out");
    with(
        "3.2",
        "[hooks]\nafter-switch = [[\"/bin/sh\", \"-c\", \"echo oh dear >&2; exit 8\"]]\n",
    )
    .deploy(machine)
    .exits(3)
    .says("exit status 8")
    .says("oh dear")
    .says("was restored and is healthy");
    assert_private(machine, "oh dear");
    let said = "`hooks.after-switch` failed: it ended with exit status 8";
    machine.robotctl("releases").exits(0).says(said);
    assert_eq!(installed(machine), before);
    assert_eq!(current(machine), second);
    assert_eq!(
        machine.ok("ls /run/systemd/system | grep -- -hook || true"),
        ""
    );
    machine.robotctl("rollback").exits(0);
    assert_eq!(noted(), expected, "a rollback runs no hooks");
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// A deploy reloads all unit files once, for those in `/etc`. systemd reads transient files in
/// `/run` by itself, unless it has loaded another file of that name.
fn units_that_systemd_has_loaded_are_reloaded(machine: &Machine) {
    let noted = |version: &str, tables: &'static str| {
        let mut demo = demo(version);
        demo.tables = tables;
        demo.deploy_ok(machine)
    };
    let reloads = || {
        let lines =
            "journalctl --sync; journalctl --no-pager -o cat _PID=1 | grep -c '^Reloading[.]'";
        machine.sh(lines).stdout.trim().parse::<u32>().unwrap()
    };
    noted("1.0", "");
    let before = reloads();
    noted("1.1", NOTE);
    assert_eq!(reloads(), before + 1);
    machine.robotctl("check").exits(0);
    assert_eq!(reloads(), before + 1);

    // Another unit refers to it, so systemd keeps it loaded after its file is removed.
    let unit = "[Unit]\nAfter=demo-before-switch-hook.service\n\
                [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
    machine.write("/run/systemd/system/keeper.service", unit, 0o644);
    machine.ok("systemctl start keeper.service");
    for (version, tables) in [("2.0", OTHER_HOOK), ("3.0", NOTE)] {
        noted(version, tables);
    }
    let expected = "before 1.1 demo here\nafter 1.1\nother 2.0\nbefore 3.0 demo here\nafter 3.0\n";
    assert_eq!(machine.read("/var/lib/demo/hooks"), expected);
    assert!(reloads() > before + 3);
}

fn a_release_that_crashes_during_the_soak_is_rolled_back(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let mut second = demo("2.0");
    second.tables = "[release]\nsoak = \"2min\"\n";
    let bad = second.deploy_ok(machine);
    let watch = "systemctl is-active robotctl-soak-demo.service";
    machine.ok(watch);
    crash_twice(machine);
    until("the release is rolled back", || current(machine) == first);
    until("the soak ends", || machine.sh(watch).code != 0);
    let said = machine.robotctl("releases").exits(0).says("bad: ");
    assert!(said.stdout.contains(&bad), "{said}");
    machine.robotctl("doctor").exits(0);

    let mut third = demo("3.0");
    third.tables = "[release]\nsoak = \"1s\"\n";
    let third = third.deploy_ok(machine);
    until("the soak ends", || machine.sh(watch).code != 0);
    assert_eq!(current(machine), third);

    // A rollback that is not possible is in the history: no person was there to see it.
    let mut fourth = demo("4.0");
    fourth.tables = "[release]\nsoak = \"2min\"\n";
    let fourth = fourth.deploy_ok(machine);
    for release in [first, third] {
        machine.ok(&format!("rm -r /opt/demo/releases/{release}"));
    }
    crash_twice(machine);
    until("the soak ends", || machine.sh(watch).code != 0);
    assert_eq!(current(machine), fourth);
    let history = machine.robotctl("history").exits(0);
    history.says("the automatic rollback failed, and you must act");
}

/// Ends the worker twice, each time once it runs.
fn crash_twice(machine: &Machine) {
    for _ in 0..2 {
        let pid = machine.property("demo-worker.service", "MainPID");
        machine.ok("systemctl kill --signal=KILL demo-worker.service");
        until("the worker is back", || {
            let now = machine.property("demo-worker.service", "MainPID");
            now != pid && now != "0"
        });
    }
}

fn jobs_headers_and_json_are_checked(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let mut good = demo("2.0");
    good.tables = "[service.once]\nexec = [\"/bin/true\"]\ntimer = { calendar = \"yearly\" }\ncheck = [{ job = true }]\n";
    let second = good.deploy_ok(machine);
    machine.robotctl("check").exits(0).says("the job succeeds");
    let mut bad = demo("3.0");
    bad.tables = "[service.once]\nexec = [\"/bin/sh\", \"-c\", \"echo cannot >&2; exit 5\"]\ntimer = { calendar = \"yearly\" }\ncheck = [{ job = true }]\n";
    bad.deploy(machine)
        .exits(3)
        .says("exit status 5")
        .says("cannot");
    assert_private(machine, "cannot");
    assert_eq!(current(machine), second);
    let mut header = demo("4.0");
    header.settle = "200ms\" }, { http = \"/healthz\", within = \"1s\", header = { connection = \"open\" } }, { settle = \"200ms";
    header
        .deploy(machine)
        .exits(2)
        .says("its header `connection` is `close`");
    let mut json = demo("5.0");
    json.settle = "200ms\" }, { http = \"/env\", within = \"1s\", json = { \"/colour\" = \"red\" } }, { settle = \"200ms";
    json.deploy(machine).exits(2).says("its body is not JSON");
    machine.robotctl("rollback").exits(0);
    assert_eq!(current(machine), first);
}
