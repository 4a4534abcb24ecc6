//! Environments side by side, the layers of settings, and the overlay of a host.

use crate::machine::{Machine, Out};

tests![
    Quick:
    environments_and_the_host_win_in_order,
];

const MANIFEST: &str = include_str!("environments/robot.toml");
const OVERLAY: &str = "/etc/rubot-staging/robot.local.toml";
const STAGING: &str = "http://127.0.0.1:8100";

fn write(machine: &Machine, version: &str) {
    let manifest = MANIFEST.replace("version = \"1.0\"", &format!("version = \"{version}\""));
    machine.write("/root/rubot/robot.toml", &manifest, 0o644);
    let program = include_str!("environments/node.py");
    machine.write("/root/rubot/node.py", program, 0o644);
}

fn robotctl(machine: &Machine, arguments: &str) -> Out {
    machine.robotctl(&format!("--manifest /root/rubot/robot.toml {arguments}"))
}

fn staging(machine: &Machine, arguments: &str) -> Out {
    robotctl(machine, &format!("--environment staging {arguments}"))
}

/// The body of a good answer.
fn body(machine: &Machine, address: &str) -> String {
    let answer = machine.get(address);
    let body = answer.strip_prefix("200 ");
    body.unwrap_or_else(|| panic!("{address}: {answer}"))
        .to_owned()
}

/// The main process of each service of staging.
fn processes(machine: &Machine) -> String {
    let units = ["gateway", "orchestrator", "agent-a", "ledger", "worker"];
    let units = units.map(|name| format!("rubot-staging-{name}.service"));
    machine.ok(&format!("systemctl show -P MainPID {}", units.join(" ")))
}

fn overlay(machine: &Machine, listen: &str) {
    let text = format!(
        "env = {{ L5 = \"host\", L6 = \"host\", L7 = \"host\" }}\n\
         [service.gateway]\n{listen}env = {{ L6 = \"host.service\", L7 = \"host.service\" }}\n"
    );
    machine.write(OVERLAY, &text, 0o644);
}

fn environments_and_the_host_win_in_order(machine: &Machine) {
    deploy_both(machine);
    each_environment_reaches_its_own_services(machine);
    a_stronger_layer_wins(machine);
    one_line_opens_a_service(machine);
    a_failed_change_is_undone(machine);
    production_takes_what_is_live_in_staging(machine);
}

fn deploy_both(machine: &Machine) {
    for port in 7100..=7103 {
        let address = format!("127.0.0.1:{port}");
        assert_eq!(MANIFEST.matches(&address).count(), 1, "{address}");
    }
    write(machine, "1.0");
    robotctl(machine, "deploy --apply").exits(0);
    machine.ok("mkdir -p /etc/rubot-staging");
    machine.write("/etc/rubot-staging/env", "L7=/etc\n", 0o600);
    overlay(machine, "");
    staging(machine, "deploy --apply").exits(0);
}

fn each_environment_reaches_its_own_services(machine: &Machine) {
    for (address, app) in [
        ("http://127.0.0.1:7100", "rubot"),
        (STAGING, "rubot-staging"),
    ] {
        assert_eq!(
            body(machine, &format!("{address}/chain")),
            format!("{app}/gateway>{app}/orchestrator>{app}/agent-a")
        );
    }
    assert_eq!(
        body(machine, &format!("{STAGING}/env/REGISTRY")),
        "[{\"name\":\"a\",\"url\":\"http://127.0.0.1:8102\"},\
         {\"name\":\"b\",\"url\":\"http:///run/rubot-staging-b.sock\"}]"
    );
    assert_eq!(body(machine, "http://127.0.0.1:8103/env/PORT"), "8103");
    assert_eq!(
        body(machine, &format!("{STAGING}/env/HOST_NAME")),
        machine.ok("hostname")
    );

    staging(machine, "status").says("also here: rubot, without an environment: 1.0-");
    robotctl(machine, "status").says("also here: rubot-staging, environment staging: 1.0-");
}

/// The precedence, as the process of the service sees it.
fn a_stronger_layer_wins(machine: &Machine) {
    for (name, layer) in [
        ("L1", "app"),
        ("L2", "service"),
        ("L3", "environment"),
        ("L4", "environment.service"),
        ("L5", "host"),
        ("L6", "host.service"),
        ("L7", "/etc"),
    ] {
        assert_eq!(
            body(machine, &format!("{STAGING}/env/{name}")),
            layer,
            "{name}"
        );
    }
    assert_eq!(body(machine, "http://127.0.0.1:7100/env/L7"), "service");
}

/// One line opens a service to the network, over an upgrade and a rollback. The other services go on.
fn one_line_opens_a_service(machine: &Machine) {
    overlay(machine, "listen = [\":8100\"]\n");
    let doctor = staging(machine, "doctor").stdout;
    assert!(
        doctor.contains("differs from what is in force in service.gateway.listen"),
        "{doctor}"
    );
    staging(machine, "deploy")
        .says("service.gateway.listen  (new value)")
        .says("reachable from the network");
    let live = machine.link("/opt/rubot-staging/current");
    let before = processes(machine);
    staging(machine, "deploy --apply").exits(0);
    assert_eq!(machine.link("/opt/rubot-staging/current"), live);
    let is_open = || machine.ok("ss -Hltn 'sport = :8100'").contains("*:8100");
    assert!(is_open());
    let (old, new): (Vec<&str>, String) = (before.split_whitespace().collect(), processes(machine));
    let new: Vec<&str> = new.split_whitespace().collect();
    assert_eq!(old.get(1..), new.get(1..), "only the gateway may restart");
    assert!(
        !["0", ""].contains(&new[0]) && new[0] != old[0],
        "the gateway runs again, and was checked: {new:?}"
    );
    let doctor = staging(machine, "doctor").stdout;
    assert!(
        !doctor.contains("differs from what is in force"),
        "{doctor}"
    );

    write(machine, "2.0");
    staging(machine, "deploy --apply").exits(0);
    assert!(is_open() && machine.link("/opt/rubot-staging/current") != live);
    staging(machine, "rollback").exits(0);
    assert!(is_open() && machine.link("/opt/rubot-staging/current") == live);
    assert_eq!(body(machine, &format!("{STAGING}/env/L6")), "host.service");

    write(machine, "1.0");
}

/// A change that makes the service fail is undone, with the overlay that was in force.
fn a_failed_change_is_undone(machine: &Machine) {
    overlay(
        machine,
        "listen = [\":8100\"]\npre-check = false\nexec = [\"/bin/false\"]\n",
    );
    staging(machine, "deploy --apply").exits(3);
    overlay(machine, "listen = [\":8100\"]\n");
    staging(machine, "deploy --apply")
        .exits(0)
        .says("nothing to do");
    assert_eq!(
        body(machine, &format!("{STAGING}/chain")),
        "rubot-staging/gateway>rubot-staging/orchestrator>rubot-staging/agent-a"
    );
}

fn production_takes_what_is_live_in_staging(machine: &Machine) {
    write(machine, "3.0");
    staging(machine, "deploy --apply").exits(0);
    write(machine, "4.0");
    machine.ok("systemctl stop rubot-staging-worker.service");
    robotctl(machine, "deploy --apply --from staging")
        .exits(2)
        .says("is not healthy: `rubot-staging-worker.service` is not running");
    machine.ok("systemctl start rubot-staging-worker.service");
    robotctl(machine, "deploy --apply --from staging").exits(0);
    let live = machine.link("/opt/rubot/current");
    assert!(live.starts_with("releases/3.0-"), "{live}");
    assert_eq!(
        body(machine, "http://127.0.0.1:7100/chain"),
        "rubot/gateway>rubot/orchestrator>rubot/agent-a"
    );
}
