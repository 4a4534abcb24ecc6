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
    an_app_called_robot_belongs_to_the_package_only_if_it_came_from_it,
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

/// Installs the package of this checkout.
pub fn install(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    apt(machine, "install /root/robot.deb").exits(0);
}

/// Files that the package or its app may leave or remove, as one text.
fn files_of_the_package(machine: &Machine) -> String {
    machine.ok(
        "find /opt /usr/local /etc/systemd /etc/robot* /var/lib/robot* /run/robot* /usr/lib/robot* \
         -printf '%p %y %m %u\\n' 2>/dev/null | sort",
    )
}

/// The files for people and for shells.
fn it_has_its_documents(machine: &Machine) {
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
}

/// The commands of the README, in its order: a first release has no previous one, so a rollback needs a second
/// deploy, as of a later version of the package.
fn its_app_rolls_back_from_a_second_release(machine: &Machine, first: &str) {
    machine
        .robotctl("rollback")
        .exits(2)
        .says("has no previous release: it is the first one of `robotctl-status`")
        .says(
            "hint: deploy another release; a rollback then restores this one: sudo robotctl deploy",
        );
    let shipped = "/usr/lib/robotctl-status/robot.toml";
    machine.ok(&format!(
        "cp -a {shipped} /root/shipped.toml && sed -i 's/^description = \"Status page, .*/description = \"Next\"/' {shipped}"
    ));
    machine.robotctl("deploy --apply").exits(0).says("is live");
    assert_ne!(machine.link("/opt/robotctl-status/current"), first);
    machine
        .robotctl("rollback")
        .exits(0)
        .says("is live, in place of");
    assert_eq!(machine.link("/opt/robotctl-status/current"), first);
    machine.ok(&format!("mv /root/shipped.toml {shipped}"));
}

fn the_package_is_installed_used_removed_and_purged(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = files_of_the_package(machine);
    apt(machine, "install /root/robot.deb")
        .exits(0)
        .says("sudo robotctl --app robotctl-status deploy --apply");
    // The package starts nothing by itself.
    assert_eq!(
        machine.ok("systemctl list-units --plain --no-legend 'robot*'"),
        ""
    );
    assert_eq!(
        machine.ok("systemctl is-enabled robotctl-recover.service"),
        "enabled"
    );
    it_has_its_documents(machine);
    machine.ok("bash -n /usr/share/bash-completion/completions/robotctl");

    machine.robotctl("deploy --apply").exits(0).says("is live");
    machine
        .robotctl("doctor")
        .exits(0)
        .says("robotctl-status: healthy");
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("200 "));
    let status = machine.get(&format!("{PAGE}/status.json"));
    assert!(status.contains("\"robotctl-status\""), "{status}");
    for job in [
        "robotctl-status-doctor.service",
        "robotctl-status-prune.service",
    ] {
        machine.ok(&format!("systemctl start {job}"));
        assert_eq!(machine.property(job, "Result"), "success", "{job}");
    }
    let live = machine.link("/opt/robotctl-status/current");
    machine
        .robotctl("deploy --apply")
        .exits(0)
        .says("nothing to do");
    its_app_rolls_back_from_a_second_release(machine, &live);

    // A unit that the administrator disabled stays disabled after a reinstallation.
    machine.ok("systemctl disable robotctl-recover.service");
    apt(machine, "reinstall /root/robot.deb").exits(0);
    assert_eq!(
        machine
            .sh("systemctl is-enabled robotctl-recover.service")
            .stdout,
        "disabled\n"
    );
    assert_eq!(machine.link("/opt/robotctl-status/current"), live);
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("200 "));

    machine.ok("echo precious > /var/lib/robotctl-status/data");
    apt(machine, "remove robot").exits(0);
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
    assert_eq!(
        machine.ok("systemctl list-units --all --plain --no-legend 'robot*'"),
        ""
    );
    assert!(!machine.exists("/opt/robotctl-status"));
    assert_eq!(machine.read("/var/lib/robotctl-status/data"), "precious\n");
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
    for timer in [
        "robotctl-status-doctor.timer",
        "robotctl-status-prune.timer",
    ] {
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
    run("robotctl-status-prune.service");
    assert_eq!(releases(), format!("{first}\n{second}\n{third}"));
    machine.ok(&format!(
        "kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.1; done"
    ));
    run("robotctl-status-prune.service");
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
    run("robotctl-status-doctor.service");
    let healthy = status();
    let reports = healthy["report"]["apps"].as_array().unwrap();
    assert_eq!(reports.len(), 2, "{healthy}");
    for report in reports {
        // No check is skipped: the job may read everything that root may read.
        assert_eq!(report["skipped"], serde_json::json!([]), "{healthy}");
        // The machine lacks control group controllers, which are notes.
        let mut findings = report["findings"].as_array().unwrap().iter();
        assert!(findings.all(|one| one["severity"] == "note"), "{healthy}");
    }
    let expected = "\"demo\" \"healthy\", \"robotctl-status\" \"healthy\"";
    assert_eq!(health(&healthy), expected, "{healthy}");
    // The page shows a finding of the doctor, without the message.
    machine.ok("chmod 666 /opt/demo/current/VERSION");
    run("robotctl-status-doctor.service");
    let found = status();
    let expected = "\"demo\" \"failed\", \"robotctl-status\" \"healthy\"";
    assert_eq!(health(&found), expected, "{found}");
    let page = machine.get(&format!("{PAGE}/"));
    for text in ["200 <!", "permissions", "demo", "robotctl-status"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("chown"), "{page}");
    machine.ok("chmod 644 /opt/demo/current/VERSION");
    run("robotctl-status-doctor.service");
    assert_eq!(status()["report"]["apps"], healthy["report"]["apps"]);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// apt removes the package during a deploy: it waits until the deploy ends.
fn apt_waits_for_a_deploy(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = files_of_the_package(machine);
    apt(machine, "install /root/robot.deb").exits(0);
    for journal_is_there in [false, true] {
        let store = "/var/lib/robotctl/robotctl-status";
        // The file of the lock exists before the lock is held: proc_locks(5) lists the inode of what is held.
        let has_begun = match journal_is_there {
            true => format!("[ -e {store}/journal.json ]"),
            false => {
                format!("inode=$(stat -c %i {store}/lock) && grep -q \":$inode \" /proc/locks")
            }
        };
        // Stops the deploy with SIGSTOP: it holds the app until SIGCONT.
        let pid = machine.ok(&format!(
            "setsid robotctl deploy --apply >/root/deploy.log 2>&1 & pid=$!; \
             until {has_begun} 2>/dev/null; do :; done; kill -STOP $pid; echo $pid"
        ));
        let mut waiting = machine.spawn(&["apt-get", "-y", "-qq", "remove", "robot"]);
        until("apt waits", || {
            machine
                .sh("pgrep --full '[f]lock --wait 60|robotctl-status [r]emove --apply --wait 60'")
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
        assert!(!machine.exists("/opt/robotctl-status"));
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
        "for record in /var/lib/robotctl/robotctl-status/releases/*.json; do echo damaged > $record; done",
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
    assert_eq!(machine.ok("pgrep -u robotctl-status || true"), "");
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
    machine
        .robotctl("--app robotctl-status deploy --apply")
        .exits(0);
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

/// The state of what an app called `robot` runs.
fn robot_runs(machine: &Machine) -> bool {
    machine.property("robot-web.service", "ActiveState") == "active"
}

/// Makes the package as it was when the bundled app was called `robot`. Its version has another length than that of
/// the checkout: apt keeps its cache while size and second of dpkg's status file are equal.
const EARLIER_PACKAGE: &str = "set -e; cd /root; rm -rf old; dpkg-deb --raw-extract robot.deb old; \
    mv old/usr/lib/robotctl-status old/usr/lib/robot; \
    ln -sf ../lib/robot/payload/bin/robotctl old/usr/bin/robotctl; \
    sed -i 's/robotctl-status/robot/g' old/usr/lib/robot/robot.toml; \
    sed -i 's/^Version: .*/Version: 0.0.1+earlier-1/' old/DEBIAN/control; rm -f old/DEBIAN/md5sums; \
    dpkg-deb --build --root-owner-group -Znone old old.deb >/dev/null; rm -r old";

/// That of the administrator is never touched. That of an earlier package runs until it is removed by name,
/// or with the package.
fn an_app_called_robot_belongs_to_the_package_only_if_it_came_from_it(machine: &Machine) {
    machine.copy_in(Path::new(&package()), "/root/robot.deb");
    let before = files_of_the_package(machine);
    let status = "--app robotctl-status deploy --apply";
    apt(machine, "install /root/robot.deb").exits(0);
    machine.write(
        "/root/own/robot.toml",
        "[app]\nname = \"robot\"\nversion = \"1.0\"\n\
         [service.web]\nexec = [\"/bin/sleep\", \"infinity\"]\n",
        0o644,
    );
    let own = "--manifest /root/own/robot.toml deploy --apply";
    machine.robotctl(own).exits(0).says("is live");
    machine.ok("echo precious > /var/lib/robot/data");
    machine.robotctl(status).exits(0);
    apt(machine, "purge robot").exits(0);
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("000 "));
    assert!(!machine.exists("/opt/robotctl-status"));
    assert!(robot_runs(machine));
    assert_eq!(machine.read("/var/lib/robot/data"), "precious\n");
    assert!(machine.exists("/var/lib/robotctl/robot/state.json"));
    let installed = apt(machine, "install /root/robot.deb").exits(0);
    let said = installed.to_string();
    assert!(!said.contains("as the app `robot`"), "{said}");
    machine
        .robotctl("--app robot remove --purge --apply")
        .exits(0);

    machine.ok(EARLIER_PACKAGE);
    machine.ok("dpkg --install /root/old.deb");
    machine
        .robotctl("--app robot deploy --apply")
        .exits(0)
        .says("is live");
    apt(machine, "install /root/robot.deb")
        .exits(0)
        .says("runs as the app `robot`, and is called `robotctl-status` in this version")
        .says("sudo robotctl --app robot remove --apply");
    assert!(machine.get(&format!("{PAGE}/healthz")).starts_with("200 "));
    machine
        .robotctl(status)
        .exits(2)
        .says("deployed the bundled app as `robot`, which still runs")
        .says("sudo robotctl --app robot remove --apply");
    assert!(robot_runs(machine));
    apt(machine, "purge robot").exits(0);
    assert!(!robot_runs(machine));
    // A removal keeps state and settings, and no record says any more whose they were.
    machine.ok("rm -r /var/lib/robot /etc/robot /run/robot");
    assert_eq!(
        files_of_the_package(machine),
        before,
        "purge leaves nothing"
    );
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}
