//! The package: what apt does with it, from the first install to purge.

use crate::machine::{Machine, until};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

tests![
    Bare:
    it_is_installed_used_removed_and_purged,
    apt_waits_for_a_deploy,
    purge_stops_what_could_not_be_removed,
    other_apps_outlive_the_package,
];

const PAGE: &str = "http://127.0.0.1:8080";

/// The package of this checkout: `ROBOT_DEB`, or else one that is built now.
fn package() -> String {
    if let Ok(path) = std::env::var("ROBOT_DEB") {
        return path;
    }
    let built = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/build-deb"))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(built.status.success(), "scripts/build-deb failed");
    String::from_utf8(built.stdout).unwrap().trim().to_owned()
}

fn apt(machine: &Machine, words: &str) -> crate::machine::Out {
    machine.sh(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 {words} </dev/null"
    ))
}

/// Files that the package or its application may leave or take, as one text.
fn around(machine: &Machine) -> String {
    machine.ok(
        "find /opt /usr/local /etc/systemd /etc/robot /var/lib/robot* /run/robot* /usr/lib/robot \
         -printf '%p %y %m %u\\n' 2>/dev/null | sort",
    )
}

fn it_is_installed_used_removed_and_purged(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = around(machine);
    apt(machine, "install /root/robot.deb")
        .exits(0)
        .says("sudo robotctl deploy --apply");
    // Nothing runs that nobody asked for.
    assert_eq!(
        machine.ok("systemctl list-units --plain --no-legend 'robot*'"),
        ""
    );
    assert_eq!(
        machine.ok("systemctl is-enabled robotctl-recover.service"),
        "enabled"
    );
    for file in [
        "share/man/man1/robotctl.1.gz",
        "share/man/man1/robotctl-deploy.1.gz",
        "share/bash-completion/completions/robotctl",
        "share/zsh/vendor-completions/_robotctl",
        "share/fish/vendor_completions.d/robotctl.fish",
        "share/robot/robot.schema.json",
    ] {
        // The machine's own dpkg leaves man pages out; the package has them.
        let listed = machine.ok("dpkg-query --listfiles robot");
        assert!(
            listed.contains(&format!("/usr/{file}\n")),
            "{file}: {listed}"
        );
    }
    machine.ok("bash -n /usr/share/bash-completion/completions/robotctl");

    machine.robotctl("deploy --apply").exits(0).says("is live");
    machine.robotctl("doctor").exits(0).says("robot: healthy");
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("200 "));
    let status = machine.get(&format!("{PAGE}/status.json"));
    assert!(status.contains("\"robot\""), "{status}");
    for job in ["robot-doctor.service", "robot-prune.service"] {
        machine.ok(&format!("systemctl start {job}"));
        assert_eq!(machine.property(job, "Result"), "success", "{job}");
    }
    let live = machine.link("/opt/robot/current");
    machine
        .robotctl("deploy --apply")
        .exits(0)
        .says("nothing to do");

    // What the administrator disabled stays so when the package comes again.
    machine.ok("systemctl disable robotctl-recover.service");
    apt(machine, "reinstall /root/robot.deb").exits(0);
    assert_eq!(
        machine
            .sh("systemctl is-enabled robotctl-recover.service")
            .stdout,
        "disabled\n"
    );
    assert_eq!(machine.link("/opt/robot/current"), live);
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("200 "));

    machine.ok("echo precious > /var/lib/robot/data");
    apt(machine, "remove robot").exits(0);
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
    assert_eq!(
        machine.ok("systemctl list-units --all --plain --no-legend 'robot*'"),
        ""
    );
    assert!(!machine.exists("/opt/robot"));
    assert_eq!(machine.read("/var/lib/robot/data"), "precious\n");
    apt(machine, "purge robot").exits(0);
    assert_eq!(around(machine), before, "purge leaves nothing");
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");

    // Purged at once, with everything up.
    apt(machine, "install /root/robot.deb").exits(0);
    machine.robotctl("deploy --apply").exits(0);
    apt(machine, "purge robot").exits(0);
    assert_eq!(around(machine), before, "purge leaves nothing");
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
}

/// A deploy that is under way and apt, which takes the program from under it: apt waits for its end.
fn apt_waits_for_a_deploy(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = around(machine);
    apt(machine, "install /root/robot.deb").exits(0);
    for journal_is_there in [false, true] {
        let begun = match journal_is_there {
            true => "journal.json",
            false => "lock",
        };
        // Stopped where it stands: it works on the app until it is told to go on.
        let pid = machine.ok(&format!(
            "setsid robotctl deploy --apply >/root/deploy.log 2>&1 & pid=$!; \
             until [ -e /var/lib/robotctl/robot/{begun} ]; do :; done; kill -STOP $pid; echo $pid"
        ));
        let mut waiting = machine.begin(&["apt-get", "-y", "-qq", "remove", "robot"]);
        until("apt waits", Duration::from_secs(20), || {
            machine
                .sh("pgrep --full '[f]lock --wait 60|robot [r]emove --wait 60'")
                .code
                == 0
        });
        assert!(waiting.try_wait().unwrap().is_none(), "apt has not waited");
        machine.ok(&format!("test -e /usr/bin/robotctl && kill -CONT {pid}"));
        assert!(waiting.wait().unwrap().success(), "apt failed");
        let told = machine.read("/root/deploy.log");
        assert!(told.contains("is live"), "{told}");
        assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
        assert_eq!(
            machine.ok("systemctl list-units --plain --no-legend 'robot*'"),
            ""
        );
        assert!(!machine.exists("/opt/robot"));
        apt(machine, "install /root/robot.deb").exits(0);
    }
    apt(machine, "purge robot").exits(0);
    assert_eq!(around(machine), before, "purge leaves nothing");
}

/// The services whose removal failed are stopped before their files go.
fn purge_stops_what_could_not_be_removed(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = around(machine);
    apt(machine, "install /root/robot.deb").exits(0);
    machine.robotctl("deploy --apply").exits(0);
    machine.ok(
        "for record in /var/lib/robotctl/robot/releases/*.json; do echo damaged > $record; done",
    );
    apt(machine, "remove robot")
        .exits(0)
        .says("its services were not removed");
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("200 "));
    apt(machine, "purge robot").exits(0);
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
    assert_eq!(
        machine.ok("systemctl list-units --all --plain --no-legend 'robot*'"),
        ""
    );
    assert_eq!(machine.ok("pgrep -u robot || true"), "");
    assert_eq!(around(machine), before, "purge leaves nothing");
}

/// An app of one's own runs on without robotctl, and is known again when that comes back.
fn other_apps_outlive_the_package(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    apt(machine, "install /root/robot.deb").exits(0);
    let mut demo = crate::demo::demo("1.0");
    demo.tables = "[service.files]\nsocket = \"proxy\"\nlisten = [\"127.0.0.1:8095\"]\n\
        exec = [\"/usr/bin/python3\", \"-m\", \"http.server\", \"--bind\", \"127.0.0.1\", \"8095\"]\n";
    let text = demo.manifest().replace("127.0.0.1:8080", "127.0.0.1:8090");
    demo.write(machine);
    machine.write("/root/demo/robot.toml", &text, 0o644);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy --apply")
        .exits(0);
    machine.robotctl("--app robot deploy --apply").exits(0);
    apt(machine, "purge robot")
        .exits(0)
        .says("services that will not start without robotctl: demo");
    assert_eq!(machine.get("http://127.0.0.1:8090"), "200 1.0");
    let relayed = machine.get("http://127.0.0.1:8095");
    assert!(relayed.starts_with("200 "), "{relayed}");
    assert!(machine.exists("/var/lib/robotctl/demo/state.json"));
    apt(machine, "install /root/robot.deb").exits(0);
    machine
        .robotctl("--app demo doctor")
        .exits(0)
        .says("demo: healthy");
}
