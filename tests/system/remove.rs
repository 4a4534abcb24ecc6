//! Taking the app away.

use crate::demo::{WEB, demo};
use crate::machine::Machine;

pub fn remove_and_purge_leave_nothing(machine: &Machine) {
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
pub fn what_is_mounted_or_deep_is_dealt_with(machine: &Machine) {
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
pub fn prune_leaves_what_a_process_uses(machine: &Machine) {
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
