//! Decisions of the administrator stay in force across upgrades and rollbacks.

use crate::demo::{UNITS, WEB, demo, running_release};
use crate::machine::{Machine, until};

tests![
    Quick:
    unit_states_of_the_administrator_are_kept,
    a_drop_in_of_the_administrator_has_priority,
    a_masked_service_that_still_listens_does_not_prevent_a_deploy,
];

fn unit_states_of_the_administrator_are_kept(machine: &Machine) {
    let mut first = demo("1.0");
    first.tables =
        "[service.second]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n";
    first.deploy_ok(machine);
    machine.ok("systemctl mask --now demo-worker.service");
    machine.ok("systemctl disable demo-tidy.timer");
    machine.ok("systemctl stop demo-second.service");
    let assert_unchanged = |when: &str| {
        assert_eq!(
            machine.property("demo-worker.service", "LoadState"),
            "masked",
            "{when}"
        );
        assert_eq!(
            machine.property("demo-worker.service", "ActiveState"),
            "inactive",
            "{when}"
        );
        assert_eq!(
            machine
                .sh("systemctl is-enabled demo-tidy.timer")
                .stdout
                .trim(),
            "disabled",
            "{when}"
        );
        assert_eq!(
            machine.property("demo-second.service", "ActiveState"),
            "inactive",
            "{when}"
        );
    };
    assert_unchanged("before");
    let mut second = first.clone();
    second.version = "2.0".into();
    let out = second.deploy(machine).exits(0);
    out.says("was disabled by the administrator and stays disabled");
    assert_eq!(machine.get(WEB), "200 2.0");
    assert_unchanged("after an upgrade");
    second.version = "3.0".into();
    second.deploy(machine).exits(0);
    assert_unchanged("after two upgrades");
    machine.robotctl("rollback").exits(0);
    assert_eq!(machine.get(WEB), "200 2.0");
    assert_unchanged("after a rollback");
    // Doctor reports these, but not as damaged files.
    let doctor = machine.robotctl("doctor").exits(1);
    let doctor = doctor.says("`demo-worker.service` is masked by the administrator");
    doctor
        .says("`demo-second.service` is inactive")
        .says("systemctl start demo-second.service");

    machine.ok("systemctl unmask demo-worker.service");
    machine.ok("systemctl start demo-worker.service demo-second.service");
    let live = machine.robotctl("status").exits(0);
    for unit in ["demo-worker.service", "demo-second.service"] {
        assert!(running_release(machine, unit).starts_with("2.0-"), "{live}");
    }
}

fn a_drop_in_of_the_administrator_has_priority(machine: &Machine) {
    let local = "/etc/systemd/system/demo-web.service.d/50-local.conf";
    demo("1.0").deploy_ok(machine);
    machine.write(
        local,
        "[Service]\nEnvironment=COLOUR=local\nTasksMax=77\n",
        0o644,
    );
    machine.ok("systemctl daemon-reload && systemctl restart demo-web.service");
    let mut second = demo("2.0");
    second.web = "env = { COLOUR = \"vendor\" }\nlimits = { tasks-max = 50 }";
    second.deploy_ok(machine);
    for version in ["2.0", "1.0"] {
        assert_eq!(machine.get(WEB), format!("200 {version}"));
        assert_eq!(machine.get(&format!("{WEB}/env")), "200 local", "{version}");
        assert_eq!(
            machine.property("demo-web.service", "TasksMax"),
            "77",
            "{version}"
        );
        assert!(machine.exists(local), "{version}");
        machine.robotctl("doctor").exits(0);
        if version == "2.0" {
            machine.robotctl("rollback").exits(0);
        }
    }
    // The copies of the drop-in for pre-check instances are removed.
    let left = "find /run/systemd/system -name '*demo*' ! -name 'demo-web-old-.scope.d'";
    assert_eq!(machine.ok(left), "");
    // robotctl reads the administrator's environment file and never overwrites it.
    machine.ok("rm -r /etc/systemd/system/demo-web.service.d && systemctl daemon-reload");
    machine.ok("echo COLOUR=operator > /etc/demo/env");
    demo("3.0").deploy_ok(machine);
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 operator");
    assert_eq!(machine.read("/etc/demo/env"), "COLOUR=operator\n");
    assert!(machine.exists(&format!("{UNITS}/demo-web.service")));
}

/// `mask` without `--now` leaves a unit running. Its address is still that of the app.
fn a_masked_service_that_still_listens_does_not_prevent_a_deploy(machine: &Machine) {
    let mut app = demo("1.0");
    app.tables = "[service.own]\nexec = [\"/usr/bin/python3\", \"-m\", \"http.server\", \"18093\", \
                  \"--bind\", \"127.0.0.1\"]\nlisten = [\"127.0.0.1:18093\"]\nsocket = \"direct\"\n";
    app.deploy_ok(machine);
    let unit = "demo-own.service";
    until("it listens", || {
        machine.get("http://127.0.0.1:18093/").starts_with("200")
    });
    let run = machine.property(unit, "InvocationID");
    machine.ok(&format!("systemctl mask {unit}"));
    app.version = "2.0".into();
    app.deploy(machine).exits(0);
    assert_eq!(machine.get(WEB), "200 2.0");
    assert_eq!(machine.property(unit, "InvocationID"), run);
}
