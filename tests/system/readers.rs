//! Who can read the files of a release.

use crate::machine::Machine;

tests![
    Quick:
    only_the_services_and_the_reader_group_can_read_a_release,
    a_service_reads_the_release_that_it_is_pinned_to,
    no_fault_on_the_way_locks_a_service_out,
];

/// A service that starts only if it can read its release, as two users.
fn manifest(version: &str, release: &str) -> String {
    let service = |name: &str, keys: &str| {
        format!(
            "[service.{name}]\nexec = [\"/usr/bin/python3\", \"{{current}}/read.py\"]\n{keys}\
             check = [{{ settle = \"300ms\" }}]\n"
        )
    };
    let (web, worker) = (service("web", ""), service("worker", "user = \"clerk\"\n"));
    format!("[app]\nname = \"shelf\"\nversion = \"{version}\"\n[release]\n{release}\n{web}{worker}")
}

const PROGRAM: &str =
    "import os, signal\nopen(os.path.dirname(__file__) + '/text').read()\nsignal.pause()\n";

/// Deploys a version. Returns what the deploy says.
fn deploy(machine: &Machine, version: &str, release: &str) -> String {
    machine.write("/root/shelf/robot.toml", &manifest(version, release), 0o644);
    machine.write("/root/shelf/read.py", PROGRAM, 0o644);
    machine.write("/root/shelf/text", version, 0o644);
    machine.write("/root/shelf/.env", "KEY=1\n", 0o600);
    let out = machine.robotctl("--manifest /root/shelf/robot.toml deploy --apply");
    out.exits(0).stderr
}

/// Which of these users can read the live release.
fn readers(machine: &Machine) -> String {
    machine.ok("for user in root shelf clerk www-data backup; do \
             runuser --user $user -- cat /opt/shelf/current/text >/dev/null 2>&1 && echo $user; \
         done | paste -sd ' '")
}

fn modes(machine: &Machine) -> String {
    machine.ok("stat --format '%a %U:%G' /opt/shelf/releases/* | sort -u")
}

fn only_the_services_and_the_reader_group_can_read_a_release(machine: &Machine) {
    machine.ok("useradd --system clerk");
    let said = deploy(machine, "1.0", "");
    assert!(said.contains("`.env` (mode 0600) looks private"), "{said}");
    assert!(said.contains("exclude = [\"/.env\"]"), "{said}");
    assert_eq!(modes(machine), "750 root:shelf");
    assert_eq!(readers(machine), "root shelf clerk");

    // The group gets access, and the services do not join it. The pre-check runs in the new release.
    let said = deploy(
        machine,
        "2.0",
        "reader-group = \"www-data\"\nexclude = [\"/.env\"]\nbuild = [[\"/bin/true\"]]",
    );
    assert!(!said.contains("looks private"), "{said}");
    assert_eq!(readers(machine), "root shelf clerk www-data");
    assert_eq!(
        machine.ok("grep Groups: /proc/$(systemctl show -P MainPID shelf-web)/status | wc -w"),
        "2"
    );

    // A rollback restores who can read.
    machine.robotctl("--app shelf rollback").exits(0);
    assert_eq!(readers(machine), "root shelf clerk");

    // A release that an earlier version of robotctl left open is closed, also one whose group is gone.
    machine.ok("chmod 755 /opt/shelf/releases/2.0-*; chown root:root /opt/shelf/releases/2.0-*");
    deploy(machine, "3.0", "exclude = [\".env\"]");
    assert_eq!(
        machine.ok("stat --format %a /opt/shelf/releases/2.0-*"),
        "700"
    );
    machine.robotctl("--app shelf rollback 2.0").exits(0);
    assert_eq!(readers(machine), "root shelf clerk www-data");
    machine.robotctl("doctor").exits(0);
}

/// The version that a service runs: its release is not readable for the user of this test.
fn pinned_release(machine: &Machine) -> String {
    machine.ok("systemctl is-active old-web.service; runuser -u newuser -- cat /opt/old/releases/1.0-*/text")
}

fn a_service_reads_the_release_that_it_is_pinned_to(machine: &Machine) {
    machine.ok("useradd --system newuser");
    let deploy = |version: &str, keys: &str| {
        let text = format!(
            "[app]\nname = \"old\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/read.py\"]\n{keys}\ncheck = [{{ settle = \"300ms\" }}]\n"
        );
        machine.write("/root/old/robot.toml", &text, 0o644);
        machine.write("/root/old/read.py", PROGRAM, 0o644);
        machine.write("/root/old/text", version, 0o644);
        machine.robotctl("--manifest /root/old/robot.toml deploy --apply")
    };
    deploy("1.0", "").exits(0);
    deploy("2.0", "user = \"newuser\"").exits(0);
    // The unit stays that of the live release, with its user.
    machine
        .robotctl("--app old rollback --service web 1.0")
        .exits(0);
    assert_eq!(pinned_release(machine), "active\n1.0");
    machine.robotctl("doctor --app old").exits(0);
    machine.ok("systemctl restart old-web.service");
    assert_eq!(pinned_release(machine), "active\n1.0");
}

/// robotctl is killed, or a call fails, while it changes who can read the live release. The services can
/// start again at once, before anything repairs it.
fn no_fault_on_the_way_locks_a_service_out(machine: &Machine) {
    machine.ok("useradd --system clerk");
    deploy(machine, "1.0", "");
    for fault in [
        "fsetxattr:signal=SIGKILL:when=1",
        "fchown:signal=SIGKILL:when=1",
        "fsetxattr:signal=SIGKILL:when=2",
        "fsetxattr:error=EOPNOTSUPP",
        "fsetxattr:error=ENOSPC:when=2",
    ] {
        // An earlier version of robotctl left it open. A deploy of the same release repairs that.
        machine.ok("chmod 755 /opt/shelf/current/; chown root:root /opt/shelf/current/");
        let call = fault.split(':').next().unwrap_or_default();
        let out = machine.sh(&format!(
            "strace -f -qq -o /dev/null -e trace={call} -e inject={fault} \
             robotctl --manifest /root/shelf/robot.toml deploy --apply"
        ));
        assert_ne!(out.code, 0, "{fault}");
        machine
            .ok("systemctl reset-failed; systemctl restart shelf-web.service shelf-worker.service");
        let states = machine.sh("systemctl is-active shelf-web.service shelf-worker.service");
        assert_eq!(states.stdout.trim(), "active\nactive", "{fault}");
        machine.robotctl("recover").exits(0);
        deploy(machine, "1.0", "");
        assert_eq!(readers(machine), "root shelf clerk", "{fault}");
        machine.robotctl("doctor --app shelf").exits(0);
    }
}
