//! Taking the app away.

use crate::demo::{WEB, current, demo, runs};
use crate::machine::{Machine, until};
use std::time::Duration;

tests![
    Quick:
    remove_and_purge_leave_nothing,
    what_is_mounted_or_deep_is_dealt_with,
    prune_that_sees_no_processes_removes_nothing,
    prune_leaves_the_release_of_a_job_under_way,
];
tests![Slow: prune_leaves_what_a_process_uses];

fn remove_and_purge_leave_nothing(machine: &Machine) {
    let nothing_runs = || {
        assert_eq!(
            machine.ok("find /usr/local/lib /etc/systemd -name '*demo*'"),
            ""
        );
        assert_eq!(
            machine.ok("systemctl list-units --all --plain --no-legend 'demo*'"),
            ""
        );
        assert_eq!(machine.ok("pgrep -u demo || true"), "");
        assert!(!machine.exists("/opt/demo"));
        assert!(machine.get(WEB).starts_with("000 "));
        assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    };
    demo("1.0").deployed(machine);
    demo("2.0").deployed(machine);
    machine.ok("echo precious > /var/lib/demo/data && echo COLOUR=mine > /etc/demo/env");
    machine.robotctl("remove").exits(0).says("are still there");
    nothing_runs();
    assert_eq!(machine.read("/var/lib/demo/data"), "precious\n");
    assert!(machine.exists("/etc/demo/env"));
    machine
        .robotctl("status")
        .exits(2)
        .says("no app is deployed");

    demo("3.0").deployed(machine);
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 mine");
    machine.robotctl("doctor").exits(0);
    machine.robotctl("remove --purge").exits(0);
    nothing_runs();
    for path in [
        "/var/lib/demo",
        "/etc/demo",
        "/run/demo",
        "/var/lib/robotctl/demo",
    ] {
        assert!(!machine.exists(path), "{path}");
    }
    demo("4.0").deployed(machine);
    machine.robotctl("doctor").exits(0);
}

/// Purging empties no file system that is mounted below, and is not kept up by what a service made.
fn what_is_mounted_or_deep_is_dealt_with(machine: &Machine) {
    demo("1.0").deployed(machine);
    machine
        .ok("mkdir '/var/lib/demo/with space' /root/precious && echo data > /root/precious/file");
    machine.ok("mount --bind /root/precious '/var/lib/demo/with space'");
    machine
        .robotctl("remove --purge")
        .exits(2)
        .says("`/var/lib/demo/with space` is mounted, and would be emptied")
        .says("hint: sudo umount");
    assert_eq!(machine.read("/root/precious/file"), "data\n");
    assert_eq!(machine.get(WEB), "200 1.0");
    machine.ok("umount '/var/lib/demo/with space'");
    let dig = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\n";
    machine.write("/root/dig.py", dig, 0o644);
    machine.ok("cd /var/lib/demo && python3 /root/dig.py");
    machine
        .sh("ulimit -n 1024 && robotctl remove --purge")
        .exits(0);
    assert!(!machine.exists("/var/lib/demo"));
}

/// A process that an administrator started in an old release keeps it.
fn prune_leaves_what_a_process_uses(machine: &Machine) {
    for version in ["1.0", "2.0", "3.0", "4.0"] {
        demo(version).deployed(machine);
    }
    let releases = || machine.ok("ls /opt/demo/releases | cut -d - -f 1 | xargs");
    assert_eq!(releases(), "1.0 2.0 3.0 4.0");
    let pid = machine.ok(
        "cd /opt/demo/releases/1.0-* && { setsid sleep infinity </dev/null >/dev/null 2>&1 & echo $!; }",
    );
    machine
        .robotctl("prune --keep 1")
        .exits(0)
        .says(&format!("pid {pid} (`sleep`) uses it"));
    assert_eq!(releases(), "1.0 3.0 4.0");
    machine.ok(&format!(
        "kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.1; done"
    ));
    machine.robotctl("prune --keep 1").exits(0);
    assert_eq!(releases(), "3.0 4.0");
}

/// Who does not see every process cannot tell what is used, and removes nothing.
fn prune_that_sees_no_processes_removes_nothing(machine: &Machine) {
    for version in ["1.0", "2.0", "3.0"] {
        demo(version).deployed(machine);
    }
    let releases = || machine.ok("ls /opt/demo/releases | cut -d - -f 1 | xargs");
    let run =
        "systemd-run --quiet --collect --wait --pipe -p CapabilityBoundingSet=~CAP_SYS_PTRACE";
    // Root's group sees what is invisible to others, but not what it may not trace.
    let hidden = format!("{run} -p ProtectProc=ptraceable");
    let pids = machine.ok(&format!("{hidden} ls /proc"));
    assert!(!pids.lines().any(|name| name == "1"), "{pids}");
    machine
        .sh(&format!("{hidden} robotctl prune --keep 2"))
        .exits(2)
        .says("the processes of this host are hidden from `robotctl`: nothing was removed");
    // It sees that they are there, and not what they use.
    machine
        .sh(&format!("{run} robotctl prune --keep 2"))
        .exits(0)
        .says("may use it")
        .says("demo: nothing was removed");
    assert_eq!(releases(), "1.0 2.0 3.0");
    machine.robotctl("releases").exits(0).says("demo 1.0-");
    machine.robotctl("prune --keep 2").exits(0);
    assert_eq!(releases(), "2.0 3.0");
}

/// A job that is under way goes on, on its release, which stays until it has ended.
fn prune_leaves_the_release_of_a_job_under_way(machine: &Machine) {
    let with_job = |version: &str| {
        let mut demo = demo(version);
        demo.tables = "[service.long]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"oneshot\"\n\
                       timer = { calendar = \"yearly\" }\n";
        demo.deployed(machine)
    };
    let first = with_job("1.0");
    let unit = "demo-long.service";
    machine.ok(&format!("systemctl start --no-block {unit}"));
    // From its program on, it is the job, and no longer systemd on its way to it.
    until("the job is under way", Duration::from_secs(20), || {
        machine.property(unit, "MainPID") != "0"
            && machine.sh("pgrep -f 'app.py worke[r]' | wc -l").stdout == "2\n"
    });
    let pid = machine.property(unit, "MainPID");
    let (second, third) = (with_job("2.0"), with_job("3.0"));
    assert_eq!(machine.property(unit, "MainPID"), pid, "it goes on");
    assert_eq!(runs(machine, unit), first);
    machine
        .robotctl("prune --keep 2")
        .exits(0)
        .says(&format!("{first} stays: pid {pid} (`app.py`) uses it"));
    assert!(machine.exists(&format!("/opt/demo/releases/{first}/app.py")));
    machine.ok(&format!("systemctl stop {unit}"));
    machine
        .robotctl("prune --keep 2")
        .exits(0)
        .says("1 release removed");
    assert!(!machine.exists(&format!("/opt/demo/releases/{first}")));
    assert!(machine.exists(&format!("/opt/demo/releases/{second}")));
    assert_eq!(current(machine), third);
    machine.robotctl("doctor").exits(0);
}
