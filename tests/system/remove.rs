//! Removal of apps and of old releases.

use crate::demo::{WEB, current, demo, running_release};
use crate::machine::{Machine, until};

tests![
    Quick:
    remove_and_purge_leave_nothing,
    purge_refuses_mounts_and_removes_deep_trees,
    prune_without_a_view_of_processes_removes_nothing,
    prune_keeps_the_release_of_a_running_job,
];
tests![Slow: prune_keeps_a_release_that_a_process_uses];

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
    demo("1.0").deploy_ok(machine);
    demo("2.0").deploy_ok(machine);
    machine.ok("echo precious > /var/lib/demo/data && echo COLOUR=mine > /etc/demo/env");
    machine.robotctl("remove --apply").exits(0).says("are kept");
    nothing_runs();
    assert_eq!(machine.read("/var/lib/demo/data"), "precious\n");
    assert!(machine.exists("/etc/demo/env"));
    machine
        .robotctl("status")
        .exits(2)
        .says("no app is deployed");

    demo("3.0").deploy_ok(machine);
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 mine");
    machine.robotctl("doctor").exits(0);
    machine
        .robotctl("--app demo remove --purge --apply")
        .exits(0);
    nothing_runs();
    for path in [
        "/var/lib/demo",
        "/etc/demo",
        "/run/demo",
        "/var/lib/robotctl/demo",
    ] {
        assert!(!machine.exists(path), "{path}");
    }
    demo("4.0").deploy_ok(machine);
    machine.robotctl("doctor").exits(0);
}

/// A purge does not empty file systems that are mounted below, and deep directories do not stop it.
fn purge_refuses_mounts_and_removes_deep_trees(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    machine
        .ok("mkdir '/var/lib/demo/with space' /root/precious && echo data > /root/precious/file");
    machine.ok("mount --bind /root/precious '/var/lib/demo/with space'");
    machine
        .robotctl("--app demo remove --purge --apply")
        .exits(2)
        .says("`/var/lib/demo/with space` is mounted, and the removal would empty it")
        .says("hint: unmount it: sudo umount '/var/lib/demo/with space'");
    assert_eq!(machine.read("/root/precious/file"), "data\n");
    assert_eq!(machine.get(WEB), "200 1.0");
    machine.ok("umount '/var/lib/demo/with space'");
    let dig = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\n";
    machine.write("/root/dig.py", dig, 0o644);
    machine.ok("cd /var/lib/demo && python3 /root/dig.py");
    machine
        .sh("ulimit -n 1024 && robotctl --app demo remove --purge --apply")
        .exits(0);
    assert!(!machine.exists("/var/lib/demo"));
}

/// A process that an administrator started in an old release keeps that release.
fn prune_keeps_a_release_that_a_process_uses(machine: &Machine) {
    for version in ["1.0", "2.0", "3.0", "4.0"] {
        demo(version).deploy_ok(machine);
    }
    let releases = || machine.ok("ls /opt/demo/releases | cut -d - -f 1 | xargs");
    assert_eq!(releases(), "1.0 2.0 3.0 4.0");
    machine.ok(
        "systemd-run --quiet --unit=user --working-directory=$(echo /opt/demo/releases/1.0-*) \
         --service-type=exec sleep infinity",
    );
    let pid = machine.property("user.service", "MainPID");
    machine
        .robotctl("prune --apply --keep 1")
        .exits(0)
        .says(&format!("pid {pid} (`sleep`) uses it"));
    assert_eq!(releases(), "1.0 3.0 4.0");
    machine.ok("systemctl stop user.service");
    machine.robotctl("prune --apply --keep 1").exits(0);
    assert_eq!(releases(), "3.0 4.0");
}

/// Without a view of all processes, robotctl cannot know what is in use, and removes nothing.
fn prune_without_a_view_of_processes_removes_nothing(machine: &Machine) {
    for version in ["1.0", "2.0", "3.0"] {
        demo(version).deploy_ok(machine);
    }
    let releases = || machine.ok("ls /opt/demo/releases | cut -d - -f 1 | xargs");
    let run =
        "systemd-run --quiet --collect --wait --pipe -p CapabilityBoundingSet=~CAP_SYS_PTRACE";
    // Root's group sees hidden processes, but not those that it may not trace.
    let hidden = format!("{run} -p ProtectProc=ptraceable");
    let pids = machine.ok(&format!("{hidden} ls /proc"));
    assert!(!pids.lines().any(|name| name == "1"), "{pids}");
    machine
        .sh(&format!("{hidden} robotctl prune --apply --keep 2"))
        .exits(2)
        .says("the processes of this host are hidden from robotctl, so nothing was removed");
    // It sees the processes, but not which files they use.
    machine
        .sh(&format!("{run} robotctl prune --apply --keep 2"))
        .exits(0)
        .says("may use it")
        .says("demo: nothing was removed");
    assert_eq!(releases(), "1.0 2.0 3.0");
    machine.robotctl("releases").exits(0).says("demo 1.0-");
    machine.robotctl("prune --apply --keep 2").exits(0);
    assert_eq!(releases(), "2.0 3.0");
}

/// A running job continues on its release, which stays until the job has ended.
fn prune_keeps_the_release_of_a_running_job(machine: &Machine) {
    let with_job = |version: &str| {
        let mut demo = demo(version);
        demo.tables = "[service.long]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"oneshot\"\n\
                       timer = { calendar = \"yearly\" }\n";
        demo.deploy_ok(machine)
    };
    let first = with_job("1.0");
    let unit = "demo-long.service";
    machine.ok(&format!("systemctl start --no-block {unit}"));
    // Once its program runs, the process is the job and no longer systemd that prepares it.
    until("the job is under way", || {
        machine.property(unit, "MainPID") != "0"
            && machine.sh("pgrep -f 'app.py worke[r]' | wc -l").stdout == "2\n"
    });
    let pid = machine.property(unit, "MainPID");
    let (second, third) = (with_job("2.0"), with_job("3.0"));
    assert_eq!(
        machine.property(unit, "MainPID"),
        pid,
        "the job must continue"
    );
    assert_eq!(running_release(machine, unit), first);
    machine
        .robotctl("prune --apply --keep 2")
        .exits(0)
        .says(&format!("{first} stays: pid {pid} (`app.py`) uses it"));
    assert!(machine.exists(&format!("/opt/demo/releases/{first}/app.py")));
    machine.ok(&format!("systemctl stop {unit}"));
    machine
        .robotctl("prune --apply --keep 2")
        .exits(0)
        .says("1 release was removed");
    assert!(!machine.exists(&format!("/opt/demo/releases/{first}")));
    assert!(machine.exists(&format!("/opt/demo/releases/{second}")));
    assert_eq!(current(machine), third);
    machine.robotctl("doctor").exits(0);
}
