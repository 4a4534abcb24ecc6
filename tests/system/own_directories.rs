//! What a service puts in its own directories prevents neither a start nor a rollback.

use crate::demo::UNITS;
use crate::machine::{Machine, until};

tests![
    Slow:
    a_service_cannot_prevent_its_next_start,
    what_is_in_the_way_of_an_older_release_is_moved_aside,
];

/// The program: at its start, it does to its directories what `/var/lib/prey/attack` says.
const PROGRAM: &str = r#"
import errno, os, signal, socket
release = open("VERSION").read()
attack = open("/var/lib/prey/attack").read() if os.path.exists("/var/lib/prey/attack") else "none"
locks = "/run/prey/locks"
def put_in_the_way():
    if os.path.isdir(locks) and not os.path.islink(locks):
        os.rmdir(locks)
    elif os.path.lexists(locks):
        os.unlink(locks)
    if attack == "link":
        os.symlink("/etc", locks)
    if attack == "dangling":
        os.symlink("/nowhere/at/all", locks)
    if attack == "file":
        open(locks, "w").write("kept")
    if attack == "fifo":
        os.mkfifo(locks)
    if attack == "socket":
        socket.socket(socket.AF_UNIX).bind(locks)
if attack != "none":
    # Two services do this at the same time: one of them finds what the other one did.
    try:
        put_in_the_way()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EADDRINUSE):
            raise
    for own in ["/run/prey", "/var/lib/prey", "/var/cache/prey", "/var/log/prey"]:
        os.chmod(own, 0o711)
        for act in [lambda: os.rename(own, own + ".gone"), lambda: os.rmdir(own)]:
            try:
                act()
            except OSError:
                continue
            open("/var/lib/prey/escaped", "a").write(own)
with open("/var/lib/prey/starts", "a") as starts:
    starts.write(f"{release} {attack}\n")
while True:
    signal.pause()
"#;

const ATTACKS: [&str; 5] = ["link", "dangling", "file", "fifo", "socket"];

/// Deploys a version of the app with these services.
#[track_caller]
fn deploy(machine: &Machine, version: &str, services: &[&str], code: i32) {
    let mut manifest = format!("[app]\nname = \"prey\"\nversion = \"{version}\"\n");
    for service in services {
        manifest.push_str(&format!(
            "[service.{service}]\nexec = [\"/usr/bin/python3\", \"{{current}}/prey.py\", \
             \"{{cache}}\", \"{{logs}}\"]\ntimeout-start = \"5s\"\ncheck = [{{ settle = \"300ms\" }}]\n"
        ));
    }
    let program = if version.ends_with("bad") {
        "raise SystemExit('it does not start')"
    } else {
        PROGRAM
    };
    machine.ok("rm -rf /root/prey");
    machine.write("/root/prey/robot.toml", &manifest, 0o644);
    machine.write("/root/prey/prey.py", program, 0o644);
    machine.write("/root/prey/VERSION", version, 0o644);
    machine
        .robotctl("--manifest /root/prey/robot.toml deploy --apply")
        .exits(code);
}

/// How often the program has started with an attack.
fn starts(machine: &Machine, line: &str) -> usize {
    let text = machine.read("/var/lib/prey/starts");
    text.lines().filter(|one| *one == line).count()
}

/// Waits until the program has written a line more often than `before`.
fn until_started(machine: &Machine, line: &str, before: usize) {
    until(line, || starts(machine, line) > before);
}

/// The owner and the mode of what a link could lead to.
fn etc(machine: &Machine) -> String {
    machine.ok("stat -c '%U:%G %a %n' /etc /etc/passwd /etc/shadow /run /var/lib")
}

#[track_caller]
fn assert_active(machine: &Machine, units: &[&str], what: &str) {
    for unit in units {
        assert_eq!(
            machine.property(unit, "ActiveState"),
            "active",
            "{unit}: {what}"
        );
    }
}

fn a_service_cannot_prevent_its_next_start(machine: &Machine) {
    let units = ["prey-one.service", "prey-two.service"];
    let services = ["one", "two"];
    deploy(machine, "1.0", &services, 0);
    let before = etc(machine);
    for (number, attack) in ATTACKS.iter().enumerate() {
        machine.write("/var/lib/prey/attack", attack, 0o644);
        for _ in 0..2 {
            machine.ok("systemctl restart prey-one.service");
            machine.ok("systemctl restart prey-two.service");
        }
        assert_active(machine, &units, attack);

        // systemd starts it again by itself.
        let release = machine.read("/opt/prey/current/VERSION");
        let line = format!("{release} {attack}");
        let count = starts(machine, &line);
        machine.ok("systemctl kill --signal KILL --kill-who main prey-two.service");
        until_started(machine, &line, count);
        until("two runs", || {
            machine.property("prey-two.service", "ActiveState") == "active"
        });

        let next = format!("2.{number}");
        deploy(machine, &next, &services, 0);
        let line = format!("{next} {attack}");
        until_started(machine, &line, 1);
        machine.robotctl("--app prey rollback").exits(0);
        assert_active(machine, &units, attack);
        deploy(machine, &format!("3.{number}"), &services, 0);
        assert_eq!(etc(machine), before, "{attack}");
    }
    // Its own directories belong to it again, and none of them is gone.
    machine.write("/var/lib/prey/attack", "none", 0o644);
    let release = machine.read("/opt/prey/current/VERSION");
    machine.ok("systemctl restart prey.target");
    until_started(machine, &format!("{release} none"), 1);
    assert!(!machine.exists("/var/lib/prey/escaped"));
    machine.ok("rm -rf /run/prey/locks && mkdir /run/prey/locks");
    machine.ok("systemd-tmpfiles --create prey.conf");
    machine.robotctl("--app prey doctor").exits(0);

    // An administrator mounts a file system of another user over a directory.
    for directory in ["/run/prey/locks", "/run/prey"] {
        machine.ok(&format!(
            "mount -t tmpfs none {directory} && chown games {directory}"
        ));
        machine.ok("systemctl restart prey-one.service");
    }
    deploy(machine, "4.0", &services, 0);
    machine.robotctl("--app prey rollback").exits(0);
    assert_active(machine, &units, "mounts");
    machine.robotctl("--app prey doctor").exits(0);
}

/// Writes what an earlier robotctl wrote for the live release, on the host and in its record.
fn as_earlier_robotctl_wrote_it(machine: &Machine) {
    let release = machine.link("/opt/prey/current");
    let id = release.trim_start_matches("releases/");
    let nested = "prey prey/locks";
    machine.ok(&format!(
        "sed -i 's,^RuntimeDirectory=prey$,RuntimeDirectory={nested},' \
             {UNITS}/prey-one.service.d/15-runtime-dirs.conf && \
         sed -i -e 's,RuntimeDirectory=prey\\\\n,RuntimeDirectory={nested}\\\\n,' \
             /var/lib/robotctl/prey/releases/{id}.private && \
         grep -q '{nested}' /var/lib/robotctl/prey/releases/{id}.private && \
         systemctl daemon-reload && systemctl restart prey-one.service"
    ));
}

fn what_is_in_the_way_of_an_older_release_is_moved_aside(machine: &Machine) {
    let units = ["prey-one.service"];
    deploy(machine, "1.0", &["one"], 0);
    as_earlier_robotctl_wrote_it(machine);
    let before = etc(machine);
    until_started(machine, "1.0 none", 1);
    assert!(machine.exists("/run/prey/locks"));
    for (number, attack) in ATTACKS.iter().enumerate() {
        machine.write("/var/lib/prey/attack", attack, 0o644);
        let line = format!("1.0 {attack}");
        machine.ok("systemctl restart prey-one.service");
        until_started(machine, &line, 0);
        // The attack works on what an earlier robotctl wrote.
        machine.sh("systemctl restart prey-one.service").exits(1);
        machine
            .robotctl("--app prey doctor")
            .exits(1)
            .says("`/run/prey/locks` is not what tmpfiles.d creates");

        // A release that fails is rolled back to the one with the obstacle.
        deploy(machine, &format!("2.{number}.bad"), &["one"], 3);
        assert_active(machine, &units, attack);

        // The next release has no such path, and the rollback from it works too.
        until_started(machine, &line, 1);
        deploy(machine, &format!("3.{number}"), &["one"], 0);
        until_started(machine, &format!("3.{number} {attack}"), 0);
        machine
            .robotctl("--app prey rollback 1.0")
            .exits(0)
            .says("was at `/run/prey/locks`, where a directory of the services must be");
        assert_active(machine, &units, attack);
        until_started(machine, &line, 2);
        machine.write("/var/lib/prey/attack", "none", 0o644);
        // Nothing of it was removed.
        let kept = machine.ok("ls -d /run/prey/locks.moved-*");
        assert!(kept.lines().count() >= 2, "{kept}");
        machine.ok("systemctl stop prey-one.service && rm -rf /run/prey/locks*");
        machine.ok("systemctl reset-failed prey-one.service");
        let count = starts(machine, "1.0 none");
        machine.ok("systemctl start prey-one.service");
        until_started(machine, "1.0 none", count);
        assert_eq!(etc(machine), before, "{attack}");
    }
    machine
        .robotctl("--app prey history")
        .exits(0)
        .says("locks.moved-");
}
