//! An app on file systems of its own: robotctl knows which release its services run, wherever the
//! releases are.

use crate::demo::{current, running_release};
use crate::machine::{Machine, Out, until};

tests![
    Quick:
    every_operation_works_wherever_the_releases_are,
];

const UNITS: [&str; 2] = ["demo-fork.service", "demo-web.service"];
const WEB: &str = "http://127.0.0.1:8080/";

/// Where the releases are, and how they come to be there.
const PLACES: &[(&str, &str)] = &[
    (
        "tmpfs at the app",
        "mkdir -p /opt/demo && mount -t tmpfs tmpfs /opt/demo",
    ),
    (
        "bind mount at the app",
        "mkdir -p /opt/demo '/srv/a volume' && mount --bind '/srv/a volume' /opt/demo",
    ),
    (
        "tmpfs at the releases",
        "mkdir -p /opt/demo/releases && mount -t tmpfs tmpfs /opt/demo/releases",
    ),
    (
        "bind mount at the releases",
        "mkdir -p /opt/demo/releases /srv/volume && mount --bind /srv/volume /opt/demo/releases",
    ),
    ("tmpfs at /opt", "mount -t tmpfs tmpfs /opt"),
];

/// Where the releases cannot be.
const LINKS: &[(&str, &str)] = &[
    (
        "/opt/demo/releases",
        "mkdir -p /opt/demo /srv/linked && ln -s /srv/linked /opt/demo/releases",
    ),
    (
        "/opt/demo",
        "mkdir -p /srv/linked && ln -s /srv/linked /opt/demo",
    ),
];

/// Two processes, and no main one: systemd cannot choose.
const FORK: &str = "#!/bin/sh\nsleep infinity &\nsleep infinity &\n";

/// Writes a version. `fault` is that of `app.py`, and `settle` how long the web service must stay up.
fn write(machine: &Machine, version: &str, fault: &str, settle: &str) {
    let manifest = format!(
        r#"[app]
name = "demo"
version = "{version}"

[service.web]
exec = ["{{current}}/app.py", "web"]
type = "notify"
listen = ["127.0.0.1:8080"]
pre-check = false
check = [{{ http = "/healthz", within = "300ms" }}, {{ settle = "{settle}" }}]

[service.fork]
exec = ["{{current}}/fork.sh"]
type = "forking"
check = [{{ settle = "50ms" }}]
"#
    );
    machine.write("/root/demo/robot.toml", &manifest, 0o644);
    machine.write("/root/demo/VERSION", version, 0o644);
    machine.write("/root/demo/fault", fault, 0o644);
    machine.write("/root/demo/app.py", include_str!("app.py"), 0o755);
    machine.write("/root/demo/fork.sh", FORK, 0o755);
}

const DEPLOY: &str = "--manifest /root/demo/robot.toml deploy --apply";

fn deploy(machine: &Machine, version: &str, fault: &str) -> Out {
    write(machine, version, fault, "50ms");
    machine.robotctl(DEPLOY)
}

/// All processes run this version, and `status` says so.
#[track_caller]
fn assert_runs(machine: &Machine, version: &str, when: &str) {
    assert_eq!(machine.get(WEB), format!("200 {version}"), "{when}");
    let live = current(machine);
    assert!(live.starts_with(&format!("{version}-")), "{when}: {live}");
    for unit in UNITS {
        assert_eq!(running_release(machine, unit), live, "{when}: {unit}");
    }
}

fn every_operation_works_wherever_the_releases_are(machine: &Machine) {
    let mut operations = 0;
    for (place, mount) in PLACES {
        machine.ok(mount);
        let mut done = |version: &str, what: &str| {
            assert_runs(machine, version, &format!("{place}, {what}"));
            operations += 1;
        };
        deploy(machine, "1.0", "").exits(0);
        done("1.0", "deploy");
        assert_eq!(machine.property("demo-fork.service", "MainPID"), "0");
        deploy(machine, "2.0", "").exits(0);
        done("2.0", "upgrade");
        // The new release runs, and its checks fail.
        deploy(machine, "3.0", "sick").exits(3);
        done("2.0", "an upgrade that fails");
        kill_while_the_new_release_serves(machine, place);
        let is_in_table = *place == "bind mount at the app";
        if is_in_table {
            unmount_and_follow(machine, "recover", 4);
        }
        machine.robotctl("recover").exits(0);
        done("2.0", "recover");
        machine.robotctl("doctor").exits(0);
        if is_in_table {
            unmount_and_follow(machine, "rollback", 2);
        }
        machine.robotctl("rollback").exits(0);
        done("1.0", "rollback");
        remove(machine);
    }
    machine.note(&format!(
        "{operations} operations with releases at {} places",
        PLACES.len()
    ));
    links_are_refused(machine);
}

/// Kills an upgrade in its settle time, when every service runs the new release.
fn kill_while_the_new_release_serves(machine: &Machine, place: &str) {
    write(machine, "4.0", "", "10min");
    let words: Vec<&str> = DEPLOY.split(' ').collect();
    let mut deploying = machine.spawn(&[&["robotctl"][..], &words].concat());
    until("the new release runs everywhere", || {
        let runs = UNITS.map(|unit| running_release(machine, unit));
        let is_new = runs.iter().all(|release| release.starts_with("4.0-"));
        is_new && machine.get(WEB) == "200 4.0"
    });
    machine.ok(&format!("kill -KILL {}", machine.spawned_pid()));
    deploying.wait().expect("the end of the deploy");
    let status = machine.robotctl("status").exits(0);
    let stale = status
        .stdout
        .matches("runs another release than the live one");
    assert_eq!(stale.count(), 2, "{place}: {status}");
    machine
        .robotctl("doctor")
        .exits(1)
        .says("a change was interrupted");
}

/// The volume is in /etc/fstab and is not mounted, as after a boot with `nofail`. A command and a deploy say
/// so, and nothing is written below the mount point. The machine is a container, where systemd ignores devices.
fn unmount_and_follow(machine: &Machine, command: &str, code: i32) {
    machine.write(
        "/etc/fstab",
        "UUID=0a1b-2c3d /opt ext4 nofail 0 2\n/srv/a\\040volume /opt/demo/ none bind,nofail 0 0\n",
        0o644,
    );
    machine.ok("umount /opt/demo && systemctl daemon-reload");
    let said = "`/opt/demo` is not mounted, and /etc/fstab has a file system for it";
    let refused = machine.robotctl(command).exits(code).says(said);
    assert_eq!(commands(&refused)[0], "sudo mount /opt/demo", "{refused}");
    machine.robotctl(DEPLOY).exits(code).says(said);
    assert_eq!(machine.ok("ls -A /opt/demo"), "");
    machine.ok(commands(&refused)[0]);
    machine.ok("rm /etc/fstab && systemctl daemon-reload");
}

/// Removes the app. robotctl refuses to empty a volume, and prints how to unmount it.
fn remove(machine: &Machine) {
    const REMOVE: &str = "--app demo remove --purge --apply";
    let refused = machine.robotctl(REMOVE);
    if refused.code == 2 {
        let refused = refused.says("is mounted, and the removal would empty it");
        machine.ok(&commands(&refused).join(" && "));
        machine.robotctl(REMOVE).exits(0);
    } else {
        refused.exits(0);
    }
    assert!(!machine.exists("/opt/demo") && !machine.exists("/var/lib/robotctl/demo"));
    machine.ok("umount --quiet /opt || true; rm -rf /srv/*");
}

/// The commands in the hints.
fn commands(out: &Out) -> Vec<&str> {
    let lines = out.stderr.lines();
    let hints = lines.filter(|line| line.starts_with("hint: "));
    hints.filter_map(|line| line.rsplit(": ").next()).collect()
}

/// systemd-tmpfiles(8) follows no link there. The printed commands make a mount of it.
fn links_are_refused(machine: &Machine) {
    for (path, link) in LINKS {
        machine.ok(link);
        let refused = deploy(machine, "1.0", "").exits(2);
        let refused = refused.says(&format!("`{path}` is a link to `/srv/linked`"));
        let hints = refused
            .stderr
            .lines()
            .filter(|line| line.starts_with("hint: "));
        let commands: Vec<&str> = hints.filter_map(|line| line.rsplit(": ").next()).collect();
        assert_eq!(commands.len(), 3, "{refused}");
        machine.ok(&commands.join(" && "));
        deploy(machine, "1.0", "").exits(0);
        assert_runs(machine, "1.0", path);
        remove(machine);
    }
}
