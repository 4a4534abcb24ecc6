//! Services that cannot run at the same time, services that the administrator enables, and an app that is stopped
//! as a whole.

use crate::machine::{Machine, until};

tests![
    Quick:
    the_administrator_chooses_between_services_that_conflict,
    a_release_makes_two_running_services_conflict,
    to_stop_the_slice_waits_for_every_process,
];

/// A server on an activated socket or on its own port. It takes the time in `LINGER` to end.
const SERVER: &str = "\
import os, select, signal, socket, sys, time
def end(*_):
    time.sleep(float(os.environ.get('LINGER', '0')))
    os._exit(0)
signal.signal(signal.SIGTERM, end)
if 'LISTEN_FDS' in os.environ:
    server = socket.socket(fileno=3)
else:
    server = socket.create_server(('127.0.0.1', int(sys.argv[1])), reuse_port=False)
body = open(os.path.dirname(__file__) + '/VERSION', 'rb').read()
while True:
    select.select([server], [], [])
    try:
        client, _ = server.accept()
    except BlockingIOError:
        continue
    with client:
        client.setblocking(True)
        client.recv(4096)
        client.sendall(b'HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n' + body)
";

fn service(name: &str, port: u16, keys: &str) -> String {
    format!(
        "[service.{name}]\nexec = [\"/usr/bin/python3\", \"{{current}}/server.py\", \"{port}\"]\n\
         pre-check = false\nlisten = [\"127.0.0.1:{port}\"]\ncheck = [{{ http = \"/\", within = \"30s\" }}, {{ settle = \"100ms\" }}]\n{keys}\n"
    )
}

fn write(machine: &Machine, app: &str, version: &str, services: &str) {
    let dir = format!("/root/{app}");
    let text = format!("[app]\nname = \"{app}\"\nversion = \"{version}\"\n{services}");
    machine.write(&format!("{dir}/robot.toml"), &text, 0o644);
    machine.write(&format!("{dir}/server.py"), SERVER, 0o644);
    machine.write(&format!("{dir}/VERSION"), version, 0o644);
}

fn deploy(machine: &Machine, app: &str, version: &str, services: &str) {
    write(machine, app, version, services);
    let deploy = format!("--manifest /root/{app}/robot.toml deploy --apply");
    machine.robotctl(&deploy).exits(0);
}

const A: &str = "http://127.0.0.1:18201/";
const B: &str = "http://127.0.0.1:18202/";
const C: &str = "http://127.0.0.1:18203/";

/// `a` and `b` cannot run at the same time, and `c` requires `a`.
fn drivers() -> String {
    service("a", 18201, "")
        + &service("b", 18202, "enable = false\nconflicts = [\"a\"]")
        + &service("c", 18203, "requires = [\"a\"]")
}

/// Asserts which of the services and sockets are active, and that requests change nothing about that.
#[track_caller]
fn only(machine: &Machine, up: &[&str], version: &str) {
    let active = || -> Vec<String> {
        let units = ["a", "b", "c"].map(|name| {
            [
                format!("pair-{name}.service"),
                format!("pair-{name}.socket"),
            ]
        });
        let units: Vec<String> = units.into_iter().flatten().collect();
        let list = machine
            .sh(&format!("systemctl is-active {}", units.join(" ")))
            .stdout;
        let both = units.into_iter().zip(list.lines());
        both.filter(|(_, state)| *state == "active")
            .map(|(unit, _)| unit)
            .collect()
    };
    let expected: Vec<String> = up
        .iter()
        .flat_map(|name| {
            [
                format!("pair-{name}.service"),
                format!("pair-{name}.socket"),
            ]
        })
        .collect();
    until("the chosen services run", || active() == expected);
    for (name, address) in [("a", A), ("b", B), ("c", C)] {
        let answer = machine.get(address);
        match up.contains(&name) {
            true => assert_eq!(answer, format!("200 {version}"), "{name}"),
            false => assert!(answer.starts_with("000"), "{name}: {answer}"),
        }
    }
    assert_eq!(active(), expected, "after a request to each");
}

fn the_administrator_chooses_between_services_that_conflict(machine: &Machine) {
    deploy(machine, "pair", "1.0", &drivers());
    only(machine, &["a", "c"], "1.0");
    machine.robotctl("doctor --app pair").exits(0);

    let choose_b =
        "systemctl disable --now pair-a.service && systemctl enable --now pair-b.service";
    machine.ok(choose_b);
    only(machine, &["b"], "1.0");
    let says = "conflicts with `pair-b.service`, which runs";
    machine.robotctl("status").exits(0).says(says);
    let doctor = machine.robotctl("doctor --app pair").exits(0);
    doctor.says(&format!("`pair-c.socket` is inactive: it {says}"));

    // The choice survives a release, a rollback and a boot.
    deploy(machine, "pair", "2.0", &drivers());
    only(machine, &["b"], "2.0");
    machine.robotctl("--app pair rollback").exits(0);
    only(machine, &["b"], "1.0");
    // A release in which it does not work fails, although it does not start with the app.
    let manifest = machine.read("/root/pair/robot.toml");
    machine.write(
        "/root/pair/robot.toml",
        &manifest.replace("30s", "1s"),
        0o644,
    );
    machine.write(
        "/root/pair/server.py",
        &SERVER.replace("200 OK", "500 Broken"),
        0o644,
    );
    let broken = machine.robotctl("--manifest /root/pair/robot.toml deploy --apply");
    broken.exits(3).says("`pair-b.service`");
    only(machine, &["b"], "1.0");
    machine.cut_power();
    only(machine, &["b"], "1.0");
    assert_eq!(
        machine.property("pair-b.service", "UnitFileState"),
        "enabled"
    );

    // The way back names what requires the service, too.
    machine.ok("systemctl disable --now pair-b.service && \
         systemctl enable --now pair-a.service pair-c.service");
    only(machine, &["a", "c"], "1.0");
    deploy(machine, "pair", "3.0", &drivers());
    only(machine, &["a", "c"], "3.0");
    machine.cut_power();
    only(machine, &["a", "c"], "3.0");
    assert_eq!(
        machine.property("pair-b.service", "UnitFileState"),
        "disabled"
    );

    // A service that leaves the app takes the link with it that the administrator made.
    machine.ok("systemctl enable pair-b.service");
    let links = || machine.ok("find /etc/systemd/system -name 'pair-b*' | wc -l");
    assert_eq!(links(), "3");
    let rest = service("a", 18201, "") + &service("c", 18203, "requires = [\"a\"]");
    deploy(machine, "pair", "4.0", &rest);
    assert_eq!(links(), "0");
    only(machine, &["a", "c"], "4.0");
    deploy(machine, "pair", "5.0", &drivers());
    machine.ok("systemctl enable pair-b.service");
    machine.robotctl("--app pair remove --apply").exits(0);
    assert_eq!(
        machine.ok("find /etc/systemd /usr/local/lib/systemd -name 'pair*'"),
        ""
    );
    assert_eq!(
        machine.ok("systemctl list-units --all --no-legend 'pair*'"),
        ""
    );
}

/// Both services run, and their sockets listen, until a release says that they conflict.
fn a_release_makes_two_running_services_conflict(machine: &Machine) {
    let both = service("a", 18201, "") + &service("b", 18202, "");
    deploy(machine, "pair", "1.0", &both);
    only(machine, &["a", "b"], "1.0");

    let chosen =
        service("a", 18201, "") + &service("b", 18202, "enable = false\nconflicts = [\"a\"]");
    write(machine, "pair", "2.0", &chosen.replace("30s", "1s"));
    let broken = SERVER.replace("200 OK", "500 Broken");
    machine.write("/root/pair/server.py", &broken, 0o644);
    let plan = machine.robotctl("--manifest /root/pair/robot.toml deploy");
    let why = "conflicts with `pair-a.socket`, which stays up";
    plan.exits(0).says(why);
    let apply = machine.robotctl("--manifest /root/pair/robot.toml deploy --apply");
    apply.exits(3).says("`pair-a.service`");
    only(machine, &["a", "b"], "1.0");

    deploy(machine, "pair", "2.0", &chosen);
    only(machine, &["a"], "2.0");
    machine.robotctl("doctor --app pair").exits(0);
    // A plan of the same release has nothing to do.
    let again = machine.robotctl("--manifest /root/pair/robot.toml deploy");
    assert!(!again.exits(0).stdout.contains("stays up"));
    machine.robotctl("--app pair remove --apply").exits(0);
}

/// After the command, no process of the app runs and its ports are free, at the first look.
fn to_stop_the_slice_waits_for_every_process(machine: &Machine) {
    let slow = "socket = \"direct\"\nenv = { LINGER = \"0.5\" }";
    let worker = "[service.w]\nexec = [\"/usr/bin/sleep\", \"infinity\"]\n";
    let app = service("slow", 18204, slow) + &service("web", 18205, "env = { LINGER = \"0.5\" }");
    deploy(machine, "pair", "1.0", &app);
    // A slice whose name has a dash would be inside that of the other app.
    deploy(machine, "pair-eu", "1.0", worker);
    let is_free = || {
        let ports = machine.ok("ss -Hltn '( sport = :18204 or sport = :18205 )'");
        let processes = machine.ok("pgrep -u pair || true");
        ports.is_empty() && processes.is_empty()
    };
    let slow = "http://127.0.0.1:18204/";
    for _ in 0..3 {
        until("it answers", || machine.get(slow) == "200 1.0");
        machine.ok("systemctl stop pair.target pair.slice");
        assert!(
            is_free(),
            "{}",
            machine.ok("systemctl list-units --all 'pair*'")
        );
        machine.ok("systemctl start pair.target");
    }
    until("it answers", || machine.get(slow) == "200 1.0");
    machine.ok("systemctl stop pair.target");
    let is_free_at_once = is_free();
    machine.note(&format!(
        "ports free after `systemctl stop` of target and slice: 3 of 3; of the target alone: {is_free_at_once}"
    ));
    machine.ok("systemctl stop pair.slice && systemctl start pair.target");
    machine.robotctl("doctor --app pair").exits(0);
    let escaped = r"pair\x2deu.slice";
    assert_eq!(machine.property("pair-eu-w.service", "Slice"), escaped);
    assert_eq!(
        machine.property("pair-eu-w.service", "ActiveState"),
        "active"
    );
    machine.ok(&format!("systemctl stop pair-eu.target '{escaped}'"));
    assert_eq!(machine.ok("pgrep -u pair-eu || true"), "");
}
