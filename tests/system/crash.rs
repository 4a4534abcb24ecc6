//! SIGKILL and power cuts at many points of a change: recovery always ends with one whole release.
//!
//! strace(1) kills robotctl at the Nth call of one kind, for a sample of the calls of every kind
//! that changes the host. The fault tests, which work offline, kill at every call.

use crate::demo::{WEB, current, demo, installed, running_release};
use crate::machine::Machine;
use std::path::Path;

tests![
    Slow:
    recovery_from_a_killed_upgrade_restores_the_old_release,
    recovery_from_a_killed_rollback_leaves_one_whole_release,
    a_change_cut_by_power_loss_is_recovered_before_services_start,
];
tests![Quick: a_failed_recovery_at_boot_does_not_block_the_boot];

/// Calls that change files or start other programs. Each kind is counted separately.
const CALLS: [&str; 5] = [
    "rename",
    "symlink",
    "unlink",
    "fsync",
    "/^(clone3?|v?fork)$",
];

/// Runs robotctl and kills it at its Nth call of a kind. Returns whether it was killed.
fn killed(machine: &Machine, call: &str, nth: usize, arguments: &str) -> bool {
    let out = machine.sh(&format!(
        "strace -qq -o /dev/null -e trace='{call}' -e inject='{call}:signal=KILL:when={nth}' \
         robotctl {arguments}"
    ));
    match out.code {
        137 | -1 => true,
        0 => false,
        _ => panic!("neither killed nor successful: {out}"),
    }
}

/// Checks that the host has exactly this release: its files and no others, its link, its processes.
pub fn assert_intact(machine: &Machine, release: &str, version: &str, files: &str, when: &str) {
    assert_eq!(current(machine), release, "{when}");
    assert_eq!(installed(machine), files, "{when}");
    assert_eq!(machine.get(WEB), format!("200 {version}"), "{when}");
    let status = machine.robotctl("status").exits(0);
    let running = format!("active (running)     {release}\n");
    let count = status.stdout.matches(&running).count();
    assert_eq!(count, 2, "{when}: {status}");
    let left = machine.ok(
        "systemctl list-units --all --plain --no-legend --type=service,socket '*precheck*' 'demo-extra*'; \
         find /run/systemd/system /etc/systemd/system -name '*demo*' ! -name 'demo*.wants' ! -name 'demo-*-old-.scope.d' ! -lname '*'; \
         find /var/lib/robotctl /opt/demo /etc/demo -name '.*robotctl-*' -o -name '.staging-*' -o -name journal.json",
    );
    assert_eq!(left, "", "{when}");
}

/// The next release, with one more unit and one changed unit, so that files are added, changed and
/// removed.
pub fn next(version: &str) -> crate::demo::Demo {
    let mut next = demo(version);
    next.web = "limits = { tasks-max = 50 }";
    next.tables = "[service.extra]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n";
    next
}

fn recovery_from_a_killed_upgrade_restores_the_old_release(machine: &Machine) {
    let old = demo("1.0").deploy_ok(machine);
    let files = installed(machine);
    // The fault tests kill at every call offline. Here a sample runs on a real systemd.
    let stride = 5;
    let mut points = 0;
    for (kind, call) in CALLS.iter().enumerate() {
        for nth in (1..).step_by(stride) {
            // A new version each time, so that none of its files exist yet.
            next(&format!("2.{kind}.{nth}")).write(machine);
            let when = format!("{call} {nth}");
            if !killed(
                machine,
                call,
                nth,
                "--manifest /root/demo/robot.toml deploy --apply",
            ) {
                break;
            }
            points += 1;
            let out = machine.robotctl("recover").exits(0);
            if current(machine) == old {
                assert_intact(machine, &old, "1.0", &files, &when);
            } else {
                // It was killed after the commit: the whole new release stays.
                let status = machine.robotctl("status").exits(0);
                assert!(!status.stdout.contains("interrupted"), "{when}: {out}");
                machine.robotctl("doctor").exits(0);
                machine.robotctl("rollback").exits(0);
                assert_intact(machine, &old, "1.0", &files, &when);
            }
            machine
                .robotctl("recover")
                .exits(0)
                .says("nothing to recover");
        }
        // The deploy that was not killed is healthy, and so is the rollback.
        machine.robotctl("doctor").exits(0);
        assert_eq!(
            machine.property("demo-extra.service", "ActiveState"),
            "active"
        );
        machine.robotctl("rollback").exits(0);
        assert_intact(machine, &old, "1.0", &files, call);
    }
    machine.note(&format!("upgrade killed at {points} points"));
    assert!(
        points > 30,
        "only {points} points: does strace see the calls?"
    );
    next("3.0").deploy_ok(machine);
    machine.robotctl("doctor").exits(0);
}

fn recovery_from_a_killed_rollback_leaves_one_whole_release(machine: &Machine) {
    let one = demo("1.0").deploy_ok(machine);
    let two = next("2.0").deploy_ok(machine);
    let files = installed(machine);
    let mut points = 0;
    for call in ["rename", "unlink"] {
        for nth in 1.. {
            let when = format!("{call} {nth}");
            if !killed(machine, call, nth, "rollback") {
                break;
            }
            points += 1;
            // Prune may run in a sandbox, so it leaves recovery to other commands and removes
            // nothing.
            machine.robotctl("prune --apply").exits(0);
            machine.robotctl("recover").exits(0);
            if current(machine) == two {
                assert_eq!(installed(machine), files, "{when}");
                assert_eq!(machine.get(WEB), "200 2.0", "{when}");
                assert_eq!(
                    machine.property("demo-extra.service", "ActiveState"),
                    "active",
                    "{when}"
                );
            } else {
                machine.robotctl(&format!("rollback {two}")).exits(0);
            }
            machine.robotctl("doctor").exits(0);
        }
        assert_eq!(current(machine), one);
        machine.robotctl(&format!("rollback {two}")).exits(0);
    }
    machine.note(&format!("rollback killed at {points} points"));
    assert!(
        points > 10,
        "only {points} points: does strace see the calls?"
    );
}

/// Deploys `version` repeatedly, killed one call later each time, until the host meets the
/// `condition`. The next attempt first recovers from the previous one.
fn kill_until(machine: &Machine, call: &str, version: &str, condition: impl Fn(&Machine) -> bool) {
    for nth in 1.. {
        next(&format!("{version}.{nth}")).write(machine);
        let deploy = "--manifest /root/demo/robot.toml deploy --apply";
        assert!(
            killed(machine, call, nth, deploy),
            "the command never made the call {call}"
        );
        if condition(machine) {
            return;
        }
    }
}

fn step(machine: &Machine) -> String {
    let path = "/var/lib/robotctl/demo/journal.json";
    machine.ok(&format!(
        "grep -o '\"step\": \"[a-z]*\"' {path} 2>/dev/null || true"
    ))
}

/// Whether a change is under way that is committed: the state already belongs to it.
fn is_committed(machine: &Machine) -> bool {
    let field = |file: &str, name: &str| {
        machine.ok(&format!(
            "sed -n 's/^ *\"{name}\": \"\\(.*\\)\".*/\\1/p' /var/lib/robotctl/demo/{file} 2>/dev/null || true"
        ))
    };
    let journal = field("journal.json", "trace_id");
    !journal.is_empty() && journal == field("state.json", "change")
}

/// Enables recovery at boot, as the package does.
fn with_recovery(machine: &Machine) {
    let unit =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/robotctl-recover.service");
    machine.copy_in(&unit, "/usr/lib/systemd/system/");
    machine.ok("systemctl enable --quiet robotctl-recover.service");
}

fn a_change_cut_by_power_loss_is_recovered_before_services_start(machine: &Machine) {
    with_recovery(machine);
    let old = demo("1.0").deploy_ok(machine);
    let files = installed(machine);
    // A power cut without a change: everything starts again.
    machine.cut_power();
    assert_intact(machine, &old, "1.0", &files, "power cut without a change");

    kill_until(machine, "/^(clone3?|v?fork)$", "2.0", |machine| {
        current(machine) != old && step(machine).contains("switching")
    });
    machine.cut_power();
    assert_eq!(
        machine.property("robotctl-recover.service", "Result"),
        "success"
    );
    assert_intact(machine, &old, "1.0", &files, "power cut after the switch");
    assert_eq!(
        machine.ok("systemctl list-units --all --plain --no-legend '*-old-*'"),
        ""
    );
    machine.robotctl("doctor").exits(0);

    kill_until(machine, "unlink", "3.0", is_committed);
    let new = current(machine);
    machine.cut_power();
    assert_eq!(current(machine), new, "it was committed, so it stays");
    assert!(
        machine.get(WEB).starts_with("200 3.0."),
        "{}",
        machine.get(WEB)
    );
    assert_eq!(running_release(machine, "demo-web.service"), new);
    machine.robotctl("doctor").exits(0);
    machine.robotctl("rollback").exits(0);
    assert_intact(
        machine,
        &old,
        "1.0",
        &files,
        "rollback after the recoveries",
    );
}

/// Records the result of the recovery at the end of a boot, and resets it, because a machine with a
/// failed unit does not count as booted.
const NOTES: &str = "[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl show --property=Result UNIT > /root/noted; systemctl reset-failed UNIT'
[Install]
WantedBy=multi-user.target
";

/// A change whose journal cannot be read is not recovered, and blocks nothing else.
fn a_failed_recovery_at_boot_does_not_block_the_boot(machine: &Machine) {
    with_recovery(machine);
    let first = demo("1.0").deploy_ok(machine);
    let (unit, note) = (
        "robotctl-recover.service",
        "/etc/systemd/system/note.service",
    );
    machine.write(note, &NOTES.replace("UNIT", unit), 0o644);
    machine.ok("systemctl enable --quiet note.service");
    let journal = "/var/lib/robotctl/demo/journal.json";
    machine.write(journal, "{ \"step\": \"swit", 0o600);
    machine.cut_power();
    assert_eq!(machine.read("/root/noted"), "Result=exit-code\n");
    assert_eq!(machine.get(WEB), "200 1.0");
    assert_eq!(machine.property(unit, "WantedBy"), "sysinit.target");
    for kind in ["RequiredBy", "RequisiteOf", "BoundBy"] {
        assert_eq!(machine.property(unit, kind), "", "{kind}");
    }
    machine.sh(&format!("systemctl start {unit}")).exits(1);
    assert_eq!(machine.property(unit, "ActiveState"), "failed");
    machine.ok("systemctl restart demo.target demo-web.service");
    assert_eq!(machine.get(WEB), "200 1.0");
    assert_eq!(machine.property("demo.target", "ActiveState"), "active");
    machine
        .robotctl("doctor")
        .exits(1)
        .says(&format!("`{journal}` cannot be read"))
        .says(&format!(": sudo mv {journal} {journal}.damaged\n"));
    machine.ok(&format!("mv {journal} {journal}.damaged"));
    machine.robotctl("doctor").exits(0);
    assert_eq!(running_release(machine, "demo-web.service"), first);
    machine.ok(&format!("systemctl start {unit}"));
}
