//! Rollback: code, units, timers and enablement come back together.

use crate::demo::{UNITS, WEB, current, demo, installed, runs};
use crate::machine::Machine;
use std::time::Instant;

tests![
    Quick:
    rollback_brings_back_code_units_and_timers,
    rollback_by_name_and_twice,
    a_rollback_that_fails_ends_where_it_began,
];

/// A release that adds a service with a socket, another with a timer, and changes a unit.
const MORE: &str = r#"
[service.extra]
exec = ["{current}/app.py", "worker"]
type = "notify"
after = ["web"]

[service.sweep]
exec = ["{current}/app.py", "tidy"]
type = "oneshot"
timer = { calendar = "monthly" }
"#;

fn rollback_brings_back_code_units_and_timers(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    machine
        .robotctl("rollback")
        .exits(2)
        .says("there is no release before");
    assert_eq!(current(machine), first);
    let before = installed(machine);

    let mut second = demo("2.0");
    second.tables = MORE;
    second.web = "env = { COLOUR = \"green\" }\nlimits = { tasks-max = 50 }";
    let second = second.deployed(machine);
    assert_eq!(machine.get(WEB), "200 2.0");
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 green");
    assert_eq!(machine.property("demo-web.service", "TasksMax"), "50");
    assert_eq!(
        machine.property("demo-extra.service", "ActiveState"),
        "active"
    );
    assert_eq!(
        machine.property("demo-sweep.timer", "ActiveState"),
        "active"
    );
    assert_eq!(
        machine.ok("systemctl is-enabled demo-sweep.timer"),
        "enabled"
    );
    assert_eq!(runs(machine, "demo-web.service"), second);
    machine.robotctl("doctor").exits(0);
    let after = installed(machine);

    machine
        .robotctl("rollback --dry-run")
        .exits(0)
        .says("demo-sweep.timer");
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
        "every byte, mode and link is as before"
    );
    for unit in [
        "demo-extra.service",
        "demo-sweep.timer",
        "demo-sweep.service",
    ] {
        assert!(!machine.exists(&format!("{UNITS}/{unit}")), "{unit}");
        assert_eq!(machine.property(unit, "LoadState"), "not-found", "{unit}");
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    assert_eq!(runs(machine, "demo-web.service"), first);
    machine.robotctl("doctor").exits(0);

    // Forward again: the release is still there, and is taken as it is.
    machine.robotctl(&format!("rollback {second}")).exits(0);
    assert_eq!(machine.get(WEB), "200 2.0");
    assert_eq!(installed(machine), after);
    machine.robotctl("doctor").exits(0);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

fn rollback_by_name_and_twice(machine: &Machine) {
    let one = demo("1.0").deployed(machine);
    let two = demo("2.0").deployed(machine);
    let three = demo("3.0").deployed(machine);
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
        .says("hint: `sudo robotctl releases`");
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

/// A rollback to a release that no longer works ends where it began.
fn a_rollback_that_fails_ends_where_it_began(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let second = demo("2.0").deployed(machine);
    let before = installed(machine);
    // Seen after the switch, and before it. Other releases have the same files under their own names.
    for (damage, why) in [
        ("mv fault whole && printf sick > fault", "it answers 503"),
        ("rm app.py", "did not start"),
    ] {
        machine.ok(&format!("cd /opt/demo/releases/{first} && {damage}"));
        machine
            .robotctl("rollback")
            .exits(3)
            .says(&format!(
                "demo {first} failed, {second} is back and healthy"
            ))
            .says(why);
        assert_eq!(current(machine), second, "{damage}");
        assert_eq!(installed(machine), before, "{damage}");
        assert_eq!(machine.get(WEB), "200 2.0", "{damage}");
        for unit in ["demo-web.service", "demo-worker.service"] {
            assert_eq!(runs(machine, unit), second, "{damage}");
        }
        let beside = "systemctl list-units --all --plain --no-legend --type=service '*standin*'";
        assert_eq!(machine.ok(beside), "", "{damage}");
        machine.robotctl("doctor").exits(0);
    }
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}
