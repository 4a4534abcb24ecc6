//! Rollback restores code, units, timers and enablement together.

use crate::demo::{UNITS, WEB, current, demo, installed, running_release};
use crate::machine::Machine;
use std::time::Instant;

tests![
    Quick:
    a_rollback_restores_code_units_and_timers,
    rollback_by_name_and_twice,
    a_failed_rollback_restores_the_newer_release,
];

/// A release that adds a service with a socket, another with a timer, and changes a unit.
const MORE: &str = r#"
[service.extra]
exec = ["{current}/app.py", "worker"]
type = "notify"
after = ["web"]

[service.archive]
exec = ["{current}/app.py", "tidy"]
type = "oneshot"
timer = { calendar = "monthly" }
"#;

fn a_rollback_restores_code_units_and_timers(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    machine
        .robotctl("rollback")
        .exits(2)
        .says("has no previous release");
    assert_eq!(current(machine), first);
    let before = installed(machine);

    let mut second = demo("2.0");
    second.tables = MORE;
    second.web = "env = { COLOUR = \"green\" }\nlimits = { tasks-max = 50 }";
    let second = second.deploy_ok(machine);
    assert_eq!(machine.get(WEB), "200 2.0");
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 green");
    assert_eq!(machine.property("demo-web.service", "TasksMax"), "50");
    assert_eq!(
        machine.property("demo-extra.service", "ActiveState"),
        "active"
    );
    assert_eq!(
        machine.property("demo-archive.timer", "ActiveState"),
        "active"
    );
    assert_eq!(
        machine.ok("systemctl is-enabled demo-archive.timer"),
        "enabled"
    );
    assert_eq!(running_release(machine, "demo-web.service"), second);
    machine.robotctl("doctor").exits(0);
    let after = installed(machine);

    machine
        .robotctl("rollback --dry-run")
        .exits(0)
        .says("demo-archive.timer");
    assert_eq!(current(machine), second, "a dry run changes nothing");
    let start = Instant::now();
    machine.robotctl("rollback").exits(0).says(&first);
    machine.note(&format!(
        "rollback with 7 units and checks: {:.2} s",
        start.elapsed().as_secs_f32()
    ));
    assert_eq!(machine.get(WEB), "200 1.0");
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 none");
    assert_eq!(
        installed(machine),
        before,
        "every byte, mode and link must be as before"
    );
    for unit in [
        "demo-extra.service",
        "demo-archive.timer",
        "demo-archive.service",
    ] {
        assert!(!machine.exists(&format!("{UNITS}/{unit}")), "{unit}");
        assert_eq!(machine.property(unit, "LoadState"), "not-found", "{unit}");
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    assert_eq!(running_release(machine, "demo-web.service"), first);
    machine.robotctl("doctor").exits(0);

    // Forward again: the release still exists and is used as it is.
    machine.robotctl(&format!("rollback {second}")).exits(0);
    assert_eq!(machine.get(WEB), "200 2.0");
    assert_eq!(installed(machine), after);
    machine.robotctl("doctor").exits(0);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

fn rollback_by_name_and_twice(machine: &Machine) {
    let one = demo("1.0").deploy_ok(machine);
    let two = demo("2.0").deploy_ok(machine);
    let three = demo("3.0").deploy_ok(machine);
    machine.robotctl("rollback").exits(0);
    assert_eq!(
        (current(machine), machine.get(WEB)),
        (two.clone(), "200 2.0".into())
    );
    machine.robotctl("rollback").exits(0);
    assert_eq!(
        (current(machine), machine.get(WEB)),
        (one.clone(), "200 1.0".into())
    );
    machine
        .robotctl("rollback")
        .exits(2)
        .says("hint: list the releases: robotctl releases");
    assert_eq!(current(machine), one);

    machine.robotctl("rollback 3.0").exits(0);
    assert_eq!(
        (current(machine), machine.get(WEB)),
        (three, "200 3.0".into())
    );
    machine
        .robotctl("rollback 7")
        .exits(2)
        .says("there is no release `7`");
    machine.robotctl(&format!("rollback {two}")).exits(0);
    assert_eq!(machine.get(WEB), "200 2.0");
    machine.robotctl("releases").exits(0).says(&one).says(&two);
    machine.robotctl("history").exits(0).says("is live");
    machine.robotctl("doctor").exits(0);
}

/// A rollback to a release that no longer works restores the newer release.
fn a_failed_rollback_restores_the_newer_release(machine: &Machine) {
    let mut first = demo("1.0");
    first.within = "3s";
    let first = first.deploy_ok(machine);
    let second = demo("2.0").deploy_ok(machine);
    let before = installed(machine);
    // One failure after the switch and one before it. The files are new ones: other releases share the
    // old ones.
    for (damage, why) in [
        (
            "mv fault whole && printf sick > fault",
            "returned 503, expected 200",
        ),
        (
            "rm app.py && echo '#!/absent' > app.py && chmod 755 app.py",
            "did not start",
        ),
    ] {
        machine.ok(&format!("cd /opt/demo/releases/{first} && {damage}"));
        machine
            .robotctl("rollback")
            .exits(3)
            .says(&format!(
                "demo {first} failed, {second} was restored and is healthy"
            ))
            .says(why);
        assert_eq!(current(machine), second, "{damage}");
        assert_eq!(installed(machine), before, "{damage}");
        assert_eq!(machine.get(WEB), "200 2.0", "{damage}");
        for unit in ["demo-web.service", "demo-worker.service"] {
            assert_eq!(running_release(machine, unit), second, "{damage}");
        }
        let beside = "systemctl list-units --all --plain --no-legend --type=service '*precheck*'";
        assert_eq!(machine.ok(beside), "", "{damage}");
        machine.robotctl("doctor").exits(0);
    }
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}
