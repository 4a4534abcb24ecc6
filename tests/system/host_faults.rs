//! Faults of the host: a deploy and a rollback name all of them before anything changes, and none marks a
//! release as failed.

use crate::demo::{WEB, current, demo, installed};
use crate::machine::Machine;

tests![
    Quick:
    faults_of_the_host_are_named_before_anything_changes,
    a_fault_of_the_host_does_not_mark_a_release,
];

/// A fault: its cause, what is said of it, and its end.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "mv /var/lib/demo /srv/demo && ln -s /srv/demo /var/lib/demo",
        "`/var/lib/demo` is a link to `/srv/demo`, and systemd needs a directory there",
        "rm /var/lib/demo && mv /srv/demo /var/lib/demo",
    ),
    (
        "mv /etc/demo/env /etc/demo/kept && mkdir /etc/demo/env",
        "`/etc/demo/env` is a directory, so services get no settings from it",
        "rmdir /etc/demo/env && mv /etc/demo/kept /etc/demo/env",
    ),
    (
        "mount --bind /opt /opt && mount -o remount,bind,noexec /opt",
        "`/opt` is mounted with `noexec`, so `/opt/demo/current/app.py` of service",
        "umount /opt",
    ),
    (
        "chown demo /usr/local/lib/systemd",
        "`/usr/local/lib/systemd` belongs to the user with uid",
        "chown root /usr/local/lib/systemd",
    ),
];

fn faults_of_the_host_are_named_before_anything_changes(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let second = demo("2.0").deploy_ok(machine);
    let before = installed(machine);
    let web = machine.property("demo-web.service", "InvocationID");
    let mut third = demo("3.0");
    third.web = "";
    // No interface has an address for documentation (RFC 5737).
    third.tables = "[service.far]\nexec = [\"{current}/app.py\", \"web\"]\ntype = \"notify\"\n\
                    listen = [\"192.0.2.1:8081\"]\n[service.far.sandbox]\nallow-from = [\"192.0.2.0/24\"]\n";
    for (cause, _, _) in FAULTS {
        machine.ok(cause);
    }
    let refused = third.deploy(machine).exits(2);
    let rolled_back = machine.robotctl("rollback").exits(2);
    for (_, says, _) in FAULTS {
        assert!(
            refused.stderr.contains(says),
            "`{says}` is not in {refused}"
        );
    }
    // A rollback names that without which no service starts. It writes no unit, and services start without
    // settings.
    for (_, says, _) in [FAULTS[0], FAULTS[2]] {
        assert!(
            rolled_back.stderr.contains(says),
            "`{says}` is not in {rolled_back}"
        );
    }
    let refused = refused.says("no interface of this host has the address 192.0.2.1");
    refused.says("hint: ").says("things prevent it: ");
    let doctor = machine.robotctl("doctor").exits(1);
    for (_, says, _) in FAULTS {
        assert!(doctor.stdout.contains(says), "`{says}` is not in {doctor}");
    }
    for (_, _, end) in FAULTS {
        machine.ok(end);
    }
    assert_eq!(current(machine), second);
    assert_eq!(installed(machine), before);
    assert_eq!(machine.property("demo-web.service", "InvocationID"), web);
    // `/etc` matters once something in it changes.
    machine.ok("mount --bind /etc /etc && mount -o remount,bind,ro /etc");
    third.tables = "[service.more]\nexec = [\"{current}/app.py\", \"worker\"]\nuser = \"demo-more\"\nenable = false\n";
    let said = "the file system of `/etc` is read-only";
    third.deploy(machine).exits(2).says(said);
    machine.ok("umount /etc");
    assert_eq!(installed(machine), before);
    machine.robotctl("doctor").exits(0);
    third.tables = "";
    third.deploy_ok(machine);
    assert_eq!(machine.get(WEB), "200 3.0");
}

fn a_fault_of_the_host_does_not_mark_a_release(machine: &Machine) {
    // On a first deploy, the hook runs after the switch has begun.
    let mut first = demo("1.0");
    first.tables =
        "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \"test -e /var/lib/demo/go\"]]\n";
    first
        .deploy(machine)
        .exits(3)
        .says("`hooks.before-switch` failed");
    let check_not_failed = || {
        let list = machine.robotctl("releases").exits(0);
        assert!(!list.stdout.contains("bad"), "{list}");
    };
    check_not_failed();
    machine.ok("mkdir -p /var/lib/demo && touch /var/lib/demo/go && touch /etc/demo/env");
    let first = first.deploy_ok(machine);
    // systemd does not find the user of a drop-in of the administrator.
    let mut second = demo("2.0");
    second.tables =
        "[service.more]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n";
    machine.write(
        "/etc/systemd/system/demo-more.service.d/50-local.conf",
        "[Service]\nUser=absent\nRestart=no\n",
        0o644,
    );
    second
        .deploy(machine)
        .exits(3)
        .says("(217/USER)")
        .says("is not marked as failed: a user or a group is missing")
        .says(&format!("{first} was restored and is healthy"));
    check_not_failed();
    machine.ok("rm -r /etc/systemd/system/demo-more.service.d");
    second.deploy_ok(machine);
}
