//! On a healthy host, the doctor finds no error and warns of nothing, also where the host enforces less.

use crate::demo::demo;
use crate::machine::Machine;

tests![Quick: a_healthy_host_has_no_finding];

/// Services of each kind that a container treats differently: an own address, a proxy, lists of addresses, devices,
/// a network of the host, secrets, directories.
const TABLES: &str = r#"[[secret]]
name = "API_KEY"
services = ["client"]
generate = "hex:32"

[service.direct]
exec = ["{current}/app.py", "direct"]
type = "notify"
listen = ["127.0.0.1:8090"]
socket = "direct"

[service.proxied]
exec = ["/usr/bin/python3", "-m", "http.server", "18091", "--bind", "127.0.0.1"]
listen = ["127.0.0.1:18091"]
socket = "proxy"

[service.client]
exec = ["{current}/app.py", "worker"]
type = "notify"
check = [{ settle = "200ms" }]
sandbox.allow = ["loopback"]

[service.clock]
exec = ["{current}/app.py", "worker"]
type = "notify"
watchdog = "600s"
sandbox.devices = ["/dev/null rw"]
"#;

/// A service that uses a filter of packets and one of devices.
const DEVICES: &str = "[Service]\nExecStart=/bin/true\nIPAddressDeny=any\nDevicePolicy=closed\n";

fn a_healthy_host_has_no_finding(machine: &Machine) {
    is_healthy(machine);
    let score = |machine: &Machine| {
        machine.write("/root/some.service", DEVICES, 0o644);
        machine.robotctl("score --unit /root/some.service").exits(0)
    };
    let whole = score(machine);
    assert!(!whole.stdout.contains("not in force"), "{whole}");
    for other in [
        Machine::boot_without_bpf(&machine.suite),
        Machine::boot_with_private_users(&machine.suite),
    ] {
        let doctor = is_healthy(&other);
        for note in [
            "note: no packet filter limits `client`, `direct`",
            "note: nothing limits `clock` to the devices in `devices`",
        ] {
            assert!(doctor.contains(note), "{note}\n{doctor}");
        }
        score(&other)
            .says("not in force:  `IPAddressDeny=`: ")
            .says("not in force:  `DevicePolicy=`: ")
            .says("score on this host:  9.");
    }
}

/// Deploys an app, and returns what the doctor says, which has only notes.
fn is_healthy(machine: &Machine) -> String {
    let mut app = demo("1.0");
    app.tables = TABLES;
    app.deploy_ok(machine);
    let doctor = machine.robotctl("doctor").exits(0).says("demo: healthy");
    doctor.stdout.clone() + &doctor.stderr
}
