//! Conditions of services, and the group, the modes and the names that a unit gives them.

use crate::demo::{Demo, WEB, current, demo};
use crate::machine::{Machine, Out};

tests![
    Quick:
    a_unit_has_the_condition_the_group_and_the_name_of_its_manifest,
];

/// The runtime directories, with owner, group and mode.
const SHARED: &str = "demo:demo-ops 2770 /run/demo\ndemo:demo-ops 2770 /run/demo/locks";

/// The demo with a shared directory of locks, whose services start under a condition.
fn shared(version: &str) -> Demo {
    let mut shared = demo(version);
    shared.web = "condition = { path-exists = \"/etc/gate\" }";
    shared.tables = "[service.gated]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
                     condition.path-exists = \"/etc/gate\"\n\
                     [service.plain]\nexec = [\"/bin/sh\", \"-c\", \"echo plain is up; \
                     exec flock {run}/locks/plain sleep infinity\"]\n\
                     restart-sec = \"200ms\"\nstart-limit-interval = \"0s\"\n";
    shared
}

fn deploy(machine: &Machine, demo: &Demo) -> Out {
    demo.write(machine);
    machine.ok(
        "sed -i '/^version/a group = \"demo-ops\"\\nrun-mode = \"2770\"' /root/demo/robot.toml",
    );
    machine.robotctl("--manifest /root/demo/robot.toml deploy --apply")
}

fn a_unit_has_the_condition_the_group_and_the_name_of_its_manifest(machine: &Machine) {
    let skipped = |unit: &str| {
        format!(
            "`{unit}` was not started: its condition is not met: `ConditionPathExists=/etc/gate`"
        )
    };
    let down = ["demo-web.service", "demo-web.socket", "demo-gated.service"];
    let out = deploy(machine, &shared("1.0")).exits(0);
    let out = out.says(&skipped("demo-web.service"));
    out.says(&skipped("demo-gated.service"));
    for unit in down {
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    let status = machine.robotctl("status").exits(0);
    status.says("condition not met, not started: systemctl status demo-gated.service");
    let doctor = machine.robotctl("doctor --app demo").exits(0);
    doctor.says("`demo-gated.service` was not started: its condition is not met");
    let check = machine.robotctl("check --app demo").exits(0);
    check.says("`demo-web.service` was not started, so its checks were not run");
    // A second deploy of the same release has nothing to do.
    let again = machine.robotctl("--manifest /root/demo/robot.toml deploy --apply");
    again.exits(0).says("nothing to do");

    // Modes and groups stay, also when systemd or systemd-tmpfiles creates the directories.
    let modes = || machine.ok("stat -c '%U:%G %a %n' /run/demo /run/demo/locks");
    assert_eq!(modes(), SHARED);
    machine.ok("systemctl restart demo-plain.service");
    assert_eq!(modes(), SHARED);
    machine
        .ok("systemctl stop demo.target && rm -r /run/demo && systemd-tmpfiles --create demo.conf");
    machine.ok("systemctl start demo.target");
    assert_eq!(modes(), SHARED);
    machine.ok("useradd --groups demo-ops ann && useradd bob");
    let locks = |user: &str| {
        let line = "flock --nonblock /run/demo/locks/ann true";
        machine.run(&["runuser", "--user", user, "--", "sh", "-c", line])
    };
    locks("ann").exits(0);
    assert_ne!(locks("bob").code, 0);
    let paths = machine.property("demo-plain.service", "ReadWritePaths");
    assert_eq!(paths, "/var/lib/demo /run/demo");
    machine.ok("journalctl --sync && journalctl -t demo-plain -o cat | grep -x 'plain is up'");
    for (name, value) in [
        ("RestartUSec", "200ms"),
        ("StartLimitIntervalUSec", "0"),
        ("Group", "demo-ops"),
        ("SyslogIdentifier", "demo-plain"),
    ] {
        assert_eq!(
            machine.property("demo-plain.service", name),
            value,
            "{name}"
        );
    }

    // The condition is met, and later it is not.
    machine.ok("touch /etc/gate");
    deploy(machine, &shared("2.0")).exits(0);
    for unit in down {
        assert_eq!(machine.property(unit, "ActiveState"), "active", "{unit}");
    }
    assert_eq!(machine.get(&format!("{WEB}/healthz")), "200 ok");
    machine
        .robotctl("doctor --app demo")
        .exits(0)
        .says("demo: healthy");
    machine.ok("rm /etc/gate");
    let out = deploy(machine, &shared("3.0")).exits(0);
    let out = out.says("`demo-web.service` is not pre-checked: its condition is not met");
    out.says(&skipped("demo-web.service"));
    // Its socket does not start it again and again.
    assert_eq!(
        machine.property("demo-web.socket", "ActiveState"),
        "inactive"
    );
    let live = current(machine);
    assert!(live.starts_with("3.0-"), "{live}");
    // A release that does not start takes the previous one back, whose services stay down.
    let mut bad = shared("4.0");
    bad.tables = "[service.bad]\nexec = [\"/bin/false\"]\n";
    deploy(machine, &bad).exits(3);
    assert_eq!(current(machine), live);
    a_rollback_watches_what_was_down(machine);
}

/// Nothing has shown that a service works that was down in the deploy of its release. A rollback to it watches
/// the service as a deploy would, and finds that it ends.
fn a_rollback_watches_what_was_down(machine: &Machine) {
    let mut late = shared("5.0");
    late.tables = "[service.late]\nexec = [\"/bin/sh\", \"-c\", \"sleep 2; exit 1\"]\n\
                   check = [{ settle = \"3s\" }]\ncondition.path-exists = \"/etc/gate\"\n";
    deploy(machine, &late).exits(0);
    machine.ok("touch /etc/gate");
    deploy(machine, &shared("6.0")).exits(0);
    let live = current(machine);
    let out = machine.robotctl("rollback").exits(3);
    out.says("`demo-late.service`");
    assert_eq!(current(machine), live);
}
