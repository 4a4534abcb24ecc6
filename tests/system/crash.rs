//! SIGKILL at every point of a change: recovery ends in the old release, never between.
//!
//! strace(1) kills robotctl on entry to the Nth call of one kind; of the calls of every kind that
//! changes the host, some are tried from the first to the last. The offline tests try them all.

use crate::demo::{WEB, current, demo, installed, runs};
use crate::machine::Machine;
use std::path::Path;

tests![
    Slow:
    killed_anywhere_it_ends_in_the_old_release,
    killed_while_rolling_back_it_ends_in_the_release_that_was_live,
    power_cut_in_a_change_is_ended_before_services_start,
];
tests![Quick: a_recovery_that_fails_at_boot_holds_nobody_up];

/// What changes files or starts other programs. The kinds are counted one by one.
const CALLS: [&str; 5] = [
    "rename",
    "symlink",
    "unlink",
    "fsync",
    "/^(clone3?|v?fork)$",
];

/// Runs robotctl and kills it on its Nth call of a kind; true when it was killed.
fn killed(machine: &Machine, call: &str, nth: usize, arguments: &str) -> bool {
    let out = machine.sh(&format!(
        "strace -qq -o /dev/null -e trace='{call}' -e inject='{call}:signal=KILL:when={nth}' \
         robotctl {arguments}"
    ));
    match out.code {
        137 | -1 => true,
        0 => false,
        _ => panic!("neither killed nor done: {out}"),
    }
}

/// The old release, exactly: its files and no others, its link, its processes.
pub fn is_whole(machine: &Machine, release: &str, version: &str, files: &str, when: &str) {
    assert_eq!(current(machine), release, "{when}");
    assert_eq!(installed(machine), files, "{when}");
    assert_eq!(machine.get(WEB), format!("200 {version}"), "{when}");
    let status = machine.robotctl("status").exits(0);
    let running = format!("active (running)     {release}\n");
    let count = status.stdout.matches(&running).count();
    assert_eq!(count, 2, "{when}: {status}");
    let left = machine.ok(
        "systemctl list-units --all --plain --no-legend --type=service,socket '*standin*' '*precheck*' 'demo-extra*'; \
         find /run/systemd/system /etc/systemd/system -name '*demo*' ! -name 'demo*.wants' ! -lname '*'; \
         find /var/lib/robotctl /opt/demo /etc/demo -name '.*robotctl-*' -o -name '.staging-*' -o -name journal.json",
    );
    assert_eq!(left, "", "{when}");
}

/// The release of a try: with a unit more and one changed, so that files come, change and go.
pub fn next(version: &str) -> crate::demo::Demo {
    let mut next = demo(version);
    next.web = "limits = { tasks-max = 50 }";
    next.tables = "[service.extra]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n";
    next
}

fn killed_anywhere_it_ends_in_the_old_release(machine: &Machine) {
    let old = demo("1.0").deployed(machine);
    let files = installed(machine);
    // The fault tests kill at every call offline; here a sample meets a real systemd.
    let stride = 5;
    let mut points = 0;
    for (kind, call) in CALLS.iter().enumerate() {
        for nth in (1..).step_by(stride) {
            // A new version each time: nothing of it is there yet.
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
                is_whole(machine, &old, "1.0", &files, &when);
            } else {
                // Killed after the checks had passed: the new release stands, whole.
                let status = machine.robotctl("status").exits(0);
                assert!(!status.stdout.contains("interrupted"), "{when}: {out}");
                machine.robotctl("doctor").exits(0);
                machine.robotctl("rollback").exits(0);
                is_whole(machine, &old, "1.0", &files, &when);
            }
            machine
                .robotctl("recover")
                .exits(0)
                .says("nothing to recover");
        }
        // The deploy that was not killed is healthy, and so is what comes back.
        machine.robotctl("doctor").exits(0);
        assert_eq!(
            machine.property("demo-extra.service", "ActiveState"),
            "active"
        );
        machine.robotctl("rollback").exits(0);
        is_whole(machine, &old, "1.0", &files, call);
    }
    machine.note(&format!("upgrade killed at {points} points"));
    assert!(points > 30, "only {points} points: is the trace blind?");
    next("3.0").deployed(machine);
    machine.robotctl("doctor").exits(0);
}

fn killed_while_rolling_back_it_ends_in_the_release_that_was_live(machine: &Machine) {
    let one = demo("1.0").deployed(machine);
    let two = next("2.0").deployed(machine);
    let files = installed(machine);
    let mut points = 0;
    for call in ["rename", "unlink"] {
        for nth in 1.. {
            let when = format!("{call} {nth}");
            if !killed(machine, call, nth, "rollback") {
                break;
            }
            points += 1;
            // A prune, which may run in a sandbox, leaves it to others and removes nothing.
            machine.robotctl("prune").exits(0);
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
    assert!(points > 10, "only {points} points: is the trace blind?");
}

/// Deploys `version` again and again, killed at one call later each time, until the host is as
/// `so` says. The next try ends the one before it first.
fn killed_when(machine: &Machine, call: &str, version: &str, so: impl Fn(&Machine) -> bool) {
    for nth in 1.. {
        next(&format!("{version}.{nth}")).write(machine);
        let deploy = "--manifest /root/demo/robot.toml deploy --apply";
        assert!(killed(machine, call, nth, deploy), "never seen: {call}");
        if so(machine) {
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

/// Whether a change is under way whose checks have passed: the state is already its own.
fn is_proven(machine: &Machine) -> bool {
    let field = |file: &str, name: &str| {
        machine.ok(&format!(
            "sed -n 's/^ *\"{name}\": \"\\(.*\\)\".*/\\1/p' /var/lib/robotctl/demo/{file} 2>/dev/null || true"
        ))
    };
    let journal = field("journal.json", "trace_id");
    !journal.is_empty() && journal == field("state.json", "change")
}

/// Has interrupted changes ended at boot, as the package does.
fn with_recovery(machine: &Machine) {
    let unit =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/robotctl-recover.service");
    machine.copy_in(&unit, "/usr/lib/systemd/system/");
    machine.ok("systemctl enable --quiet robotctl-recover.service");
}

fn power_cut_in_a_change_is_ended_before_services_start(machine: &Machine) {
    with_recovery(machine);
    let old = demo("1.0").deployed(machine);
    let files = installed(machine);
    // An unrelated power cut: all is up again.
    machine.cut_power();
    is_whole(machine, &old, "1.0", &files, "power cut at rest");

    killed_when(machine, "/^(clone3?|v?fork)$", "2.0", |machine| {
        current(machine) != old && step(machine).contains("switching")
    });
    machine.cut_power();
    assert_eq!(
        machine.property("robotctl-recover.service", "Result"),
        "success"
    );
    is_whole(machine, &old, "1.0", &files, "power cut after the switch");
    let journal = machine.ok("journalctl -b -o cat -u 'demo-*'");
    assert!(!journal.contains("standin"), "{journal}");
    machine.robotctl("doctor").exits(0);

    killed_when(machine, "unlink", "3.0", is_proven);
    let new = current(machine);
    machine.cut_power();
    assert_eq!(current(machine), new, "the checks had passed: it stands");
    assert!(
        machine.get(WEB).starts_with("200 3.0."),
        "{}",
        machine.get(WEB)
    );
    assert_eq!(runs(machine, "demo-web.service"), new);
    machine.robotctl("doctor").exits(0);
    machine.robotctl("rollback").exits(0);
    is_whole(machine, &old, "1.0", &files, "rollback after all that");
}

/// Notes at the end of a boot how the recovery went, and forgets it: a machine on which a unit has
/// failed does not count as up.
const NOTES: &str = "[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl show --property=Result UNIT > /root/noted; systemctl reset-failed UNIT'
[Install]
WantedBy=multi-user.target
";

/// A change whose journal cannot be read is nobody's to end, and keeps nothing else down.
fn a_recovery_that_fails_at_boot_holds_nobody_up(machine: &Machine) {
    with_recovery(machine);
    let first = demo("1.0").deployed(machine);
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
        .says(&format!("hint: sudo mv {journal} {journal}.damaged"));
    machine.ok(&format!("mv {journal} {journal}.damaged"));
    machine.robotctl("doctor").exits(0);
    assert_eq!(runs(machine, "demo-web.service"), first);
    machine.ok(&format!("systemctl start {unit}"));
}
