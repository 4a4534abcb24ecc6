//! The Debian package: install, use, remove and purge with apt.

use crate::machine::{Machine, until};
use std::path::Path;
use std::process::{Command, Stdio};

tests![
    Bare:
    the_package_is_installed_used_removed_and_purged,
    its_jobs_run_the_doctor_and_prune,
    apt_waits_for_a_deploy,
    purge_stops_services_that_could_not_be_removed,
    other_apps_survive_a_purge_of_the_package,
];

const PAGE: &str = "http://127.0.0.1:8080";

/// The package of this checkout: `ROBOT_DEB`, or one that is built now.
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

fn apt(machine: &Machine, arguments: &str) -> crate::machine::Out {
    machine.sh(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 {arguments} </dev/null"
    ))
}

/// Files that the package or its app may leave or remove, as one text.
fn files_of_the_package(machine: &Machine) -> String {
    machine.ok(
        "find /opt /usr/local /etc/systemd /etc/robot /var/lib/robot* /run/robot* /usr/lib/robot \
         -printf '%p %y %m %u\\n' 2>/dev/null | sort",
    )
}

fn the_package_is_installed_used_removed_and_purged(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = files_of_the_package(machine);
    apt(machine, "install /root/robot.deb")
        .exits(0)
        .says("sudo robotctl deploy --apply");
    // The package starts nothing by itself.
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
        "share/man/man5/robot.toml.5.gz",
        "share/doc/robot/README.md",
        "share/robot/robot.schema.json",
    ] {
        // The machine's dpkg excludes man pages; the package contains them.
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

    // A unit that the administrator disabled stays disabled after a reinstallation.
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
    assert_eq!(
        files_of_the_package(machine),
        before,
        "purge leaves nothing"
    );
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");

    // A purge without a removal before it, while everything runs.
    apt(machine, "install /root/robot.deb").exits(0);
    machine.robotctl("deploy --apply").exits(0);
    apt(machine, "purge robot").exits(0);
    assert_eq!(
        files_of_the_package(machine),
        before,
        "purge leaves nothing"
    );
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
}

/// The timers of the bundled app start two jobs. One writes the doctor's report to the status page,
/// and the other removes old releases of every app.
fn its_jobs_run_the_doctor_and_prune(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    apt(machine, "install /root/robot.deb").exits(0);
    machine.robotctl("deploy --apply").exits(0);
    for timer in ["robot-doctor.timer", "robot-prune.timer"] {
        assert_eq!(machine.property(timer, "ActiveState"), "active", "{timer}");
    }
    let deploy = |version: &str| {
        let mut demo = crate::demo::demo(version);
        demo.tables = "[release]\nkeep = 2\n";
        let text = demo.manifest().replace("127.0.0.1:8080", "127.0.0.1:8090");
        demo.write(machine);
        machine.write("/root/demo/robot.toml", &text, 0o644);
        machine
            .robotctl("--manifest /root/demo/robot.toml deploy --apply")
            .exits(0);
        crate::demo::current(machine)
    };
    let first = deploy("1.0");
    // A process uses the release. Otherwise, the next deploys would remove it.
    let pid = machine.ok(&format!(
        "cd /opt/demo/releases/{first} && {{ setsid sleep infinity </dev/null >/dev/null 2>&1 & echo $!; }}"
    ));
    let (second, third) = (deploy("2.0"), deploy("3.0"));
    let releases = || machine.ok("ls /opt/demo/releases");
    let run = |job: &str| {
        machine.ok(&format!("systemctl start {job}"));
        assert_eq!(machine.property(job, "Result"), "success", "{job}");
    };
    run("robot-prune.service");
    assert_eq!(releases(), format!("{first}\n{second}\n{third}"));
    machine.ok(&format!(
        "kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.1; done"
    ));
    run("robot-prune.service");
    assert_eq!(releases(), format!("{second}\n{third}"));
    machine
        .robotctl("--app demo history")
        .exits(0)
        .says(&format!("{first} was removed"));

    let status = || {
        let text = machine.get(&format!("{PAGE}/status.json"));
        let text = text.strip_prefix("200 ").unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(text).unwrap();
        status
    };
    let health = |status: &serde_json::Value| {
        let apps = status["apps"].as_array().unwrap().iter();
        let health = apps.map(|app| format!("{} {}", app["name"], app["health"]));
        health.collect::<Vec<_>>().join(", ")
    };
    run("robot-doctor.service");
    let healthy = status();
    let reports = healthy["report"]["apps"].as_array().unwrap();
    assert_eq!(reports.len(), 2, "{healthy}");
    for report in reports {
        // No check is skipped: the job may read everything that root may read.
        for list in ["findings", "skipped"] {
            assert_eq!(report[list], serde_json::json!([]), "{healthy}");
        }
    }
    let expected = "\"demo\" \"healthy\", \"robot\" \"healthy\"";
    assert_eq!(health(&healthy), expected, "{healthy}");
    // The page shows a finding of the doctor, without the message.
    machine.ok("chmod 666 /opt/demo/current/VERSION");
    run("robot-doctor.service");
    let found = status();
    let expected = "\"demo\" \"failed\", \"robot\" \"healthy\"";
    assert_eq!(health(&found), expected, "{found}");
    let page = machine.get(&format!("{PAGE}/"));
    for text in ["200 <!", "permissions", "demo", "robot"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("chown"), "{page}");
    machine.ok("chmod 644 /opt/demo/current/VERSION");
    run("robot-doctor.service");
    assert_eq!(status()["report"]["apps"], healthy["report"]["apps"]);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// apt removes the package during a deploy: it waits until the deploy ends.
fn apt_waits_for_a_deploy(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = files_of_the_package(machine);
    apt(machine, "install /root/robot.deb").exits(0);
    for journal_is_there in [false, true] {
        let begun = match journal_is_there {
            true => "journal.json",
            false => "lock",
        };
        // Stops the deploy with SIGSTOP: it holds the app until SIGCONT.
        let pid = machine.ok(&format!(
            "setsid robotctl deploy --apply >/root/deploy.log 2>&1 & pid=$!; \
             until [ -e /var/lib/robotctl/robot/{begun} ]; do :; done; kill -STOP $pid; echo $pid"
        ));
        let mut waiting = machine.spawn(&["apt-get", "-y", "-qq", "remove", "robot"]);
        until("apt waits", || {
            machine
                .sh("pgrep --full '[f]lock --wait 60|robot [r]emove --apply --wait 60'")
                .code
                == 0
        });
        assert!(waiting.try_wait().unwrap().is_none(), "apt did not wait");
        machine.ok(&format!("test -e /usr/bin/robotctl && kill -CONT {pid}"));
        assert!(waiting.wait().unwrap().success(), "apt failed");
        let output = machine.read("/root/deploy.log");
        assert!(output.contains("is live"), "{output}");
        assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
        assert_eq!(
            machine.ok("systemctl list-units --plain --no-legend 'robot*'"),
            ""
        );
        assert!(!machine.exists("/opt/robot"));
        apt(machine, "install /root/robot.deb").exits(0);
    }
    apt(machine, "purge robot").exits(0);
    assert_eq!(
        files_of_the_package(machine),
        before,
        "purge leaves nothing"
    );
}

/// Services that could not be removed are stopped before their files are deleted.
fn purge_stops_services_that_could_not_be_removed(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = files_of_the_package(machine);
    apt(machine, "install /root/robot.deb").exits(0);
    machine.robotctl("deploy --apply").exits(0);
    machine.ok(
        "for record in /var/lib/robotctl/robot/releases/*.json; do echo damaged > $record; done",
    );
    apt(machine, "remove robot")
        .exits(0)
        .says("the services of the bundled app were not removed");
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("200 "));
    apt(machine, "purge robot").exits(0);
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
    assert_eq!(
        machine.ok("systemctl list-units --all --plain --no-legend 'robot*'"),
        ""
    );
    assert_eq!(machine.ok("pgrep -u robot || true"), "");
    assert_eq!(
        files_of_the_package(machine),
        before,
        "purge leaves nothing"
    );
}

/// Another app keeps running without robotctl, and is recognised after a reinstallation.
fn other_apps_survive_a_purge_of_the_package(machine: &Machine) {
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
        .says("services of these apps will not start without robotctl: demo");
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
