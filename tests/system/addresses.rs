//! Addresses that something else holds: each is named at once, with what holds it.

use crate::demo::occupy_port;
use crate::machine::{Machine, Out};

tests![
    Quick:
    a_deploy_names_everything_that_holds_its_addresses,
    a_rollback_to_an_address_that_is_taken_changes_nothing,
];

/// Deploys an app whose service listens on these ports.
fn deploy(machine: &Machine, app: &str, version: &str, ports: &[u16]) -> Out {
    let listen: Vec<String> = ports
        .iter()
        .map(|port| format!("\"127.0.0.1:{port}\""))
        .collect();
    let manifest = format!(
        "[app]\nname = \"{app}\"\nversion = \"{version}\"\n[service.web]\n\
         exec = [\"/usr/bin/python3\", \"{{current}}/web.py\"]\nlisten = [{}]\n\
         check = [{{ settle = \"200ms\" }}]\n",
        listen.join(", ")
    );
    let program = "import signal\nsignal.pause()\n";
    machine.write(&format!("/root/{app}/robot.toml"), &manifest, 0o644);
    machine.write(&format!("/root/{app}/web.py"), program, 0o644);
    machine.robotctl(&format!("--manifest /root/{app}/robot.toml deploy --apply"))
}

fn a_deploy_names_everything_that_holds_its_addresses(machine: &Machine) {
    deploy(machine, "one", "1.0", &[8090]).exits(0);
    let mut other = occupy_port(machine, "8092");
    let pid = machine.ok("pgrep -f 'http.server --bind'");
    let refused = deploy(machine, "two", "1.0", &[8090, 8091, 8092]).exits(2);
    refused
        .says("2 things prevent it: 127.0.0.1:8090 of service `web` is in use by `one-web.socket` of the app `one`; ")
        .says(&format!("127.0.0.1:8092 of service `web` is in use by pid {pid} (`python3`)"))
        .says("hint: give the service another address in `listen`, or stop `one-web.socket` (the app `one` cannot be reached there then): sudo systemctl disable --now one-web.socket")
        .says("hint: stop that process, or give the service another address in `listen`");
    machine.ok(&format!("kill {pid}"));
    let _ = other.wait();
}

fn a_rollback_to_an_address_that_is_taken_changes_nothing(machine: &Machine) {
    deploy(machine, "two", "1.0", &[8093]).exits(0);
    deploy(machine, "two", "2.0", &[8094]).exits(0);
    let mut other = occupy_port(machine, "8093");
    let pid = machine.ok("pgrep -f 'http.server --bind'");
    let state = machine.ok("systemctl show -P InvocationID two-web.service");
    for command in ["rollback", "rollback --dry-run"] {
        let refused = machine.robotctl(&format!("--app two {command}")).exits(2);
        refused.says(&format!(
            "127.0.0.1:8093 of service `web` is in use by pid {pid} (`python3`)"
        ));
    }
    assert_eq!(
        machine.ok("systemctl show -P InvocationID two-web.service"),
        state
    );
    machine.ok(&format!("kill {pid}"));
    let _ = other.wait();
    machine.robotctl("--app two rollback").exits(0);
    machine.ok("systemctl is-active two-web.socket");
}
