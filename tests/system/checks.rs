//! Command checks, checks that hang, and interrupts during a deploy.

use crate::demo::{current, demo, installed};
use crate::machine::{Machine, Out, until};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

tests![
    Quick:
    a_command_check_runs_as_its_service_in_its_sandbox,
    a_hanging_check_times_out,
    an_address_that_refuses_connections_is_reported,
    ctrl_c_rolls_back,
];

/// The longest time in which an interrupted command ends. What it would wait for takes much longer.
const LONG: Duration = Duration::from_secs(180);

/// Checks that no unit and no process of a check is left.
fn assert_clean(machine: &Machine) {
    let units = "ls /run/systemd/system | grep -e -check -e -hook || true";
    assert_eq!(machine.ok(units), "");
    assert_eq!(machine.ok("pgrep --exact sleep || true"), "");
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

fn a_command_check_runs_as_its_service_in_its_sandbox(machine: &Machine) {
    let mut first = demo("1.0");
    first.tables = "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
        env = { COLOUR = \"red\" }\n\
        check = [{ command = [\"/bin/sh\", \"-c\", \"\
        echo $(id -un) $(cat {current}/VERSION) $COLOUR $(ls -d /boot /srv /media 2>/dev/null) \
        $(touch /etc/mine /usr/mine 2>/dev/null && echo leak) $(grep NoNewPrivs /proc/self/status) \
        > {state}/seen\"] }]\n";
    first.deploy_ok(machine);
    let seen = "/var/lib/demo/seen";
    assert_eq!(machine.read(seen).trim(), "demo 1.0 red NoNewPrivs: 1");
    assert_clean(machine);
    machine.ok(&format!("rm {seen}"));
    machine.robotctl("check").exits(0).says("/bin/sh");
    assert_eq!(machine.read(seen).trim(), "demo 1.0 red NoNewPrivs: 1");
    assert_clean(machine);
    // A check that fails reports its output.
    machine.ok("systemctl stop demo-late.service");
    let mut second = demo("2.0");
    second.tables = "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
        [service.other]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
        check = [{ command = [\"/bin/sh\", \"-c\", \"echo oh dear >&2; exit 9\"], within = \"5s\" }]\n";
    second
        .deploy(machine)
        .exits(3)
        .says("exit status 9")
        .says("oh dear");
    assert_clean(machine);
    assert_private(machine, "oh dear");
    let said = "failed: it ended with exit status 9";
    machine.robotctl("history").exits(0).says(said);
    let said = "`demo-other.service`: a check command failed: it ended with exit status 9";
    machine.robotctl("releases").exits(0).says(said);
}

/// Checks that no file that every user can read holds a text, which a program wrote.
pub(crate) fn assert_private(machine: &Machine, text: &str) {
    let files = "find /var/lib/robotctl -type f -perm -o=r";
    let found = format!("{files} -exec grep -l '{text}' {{}} + || true");
    assert_eq!(machine.ok(&found), "", "every user can read `{text}`");
}

fn a_hanging_check_times_out(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let before = installed(machine);
    for tables in [
        // Neither SIGTERM nor the end of its input ends it.
        "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
         check = [{ command = [\"/bin/sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"], within = \"2s\" }]\n",
        "[service.once]\nexec = [\"/bin/sleep\", \"1000\"]\ntimer = { calendar = \"yearly\" }\n\
         check = [{ job = true, within = \"2s\" }]\n",
    ] {
        let start = Instant::now();
        let mut second = demo("2.0");
        second.tables = tables;
        second
            .deploy(machine)
            .exits(3)
            .says("it did not end within 2s")
            .says("was restored and is healthy");
        let elapsed = start.elapsed();
        assert!(elapsed < LONG, "{elapsed:?}");
        assert_eq!(installed(machine), before);
        assert_eq!(current(machine), first);
        assert_clean(machine);
    }
}

/// A check passes if the address accepts connections. If it does not in time, the release is rolled
/// back and the reason is printed.
fn an_address_that_refuses_connections_is_reported(machine: &Machine) {
    let with = |version: &str, check: &'static str| {
        let mut demo = demo(version);
        demo.settle = check;
        demo
    };
    let good = "200ms\" }, { tcp = \"127.0.0.1:8080\" }, { unix = \"/run/systemd/journal/stdout";
    let first = with("1.0", good).deploy_ok(machine);
    let out = machine.robotctl("check").exits(0);
    out.says("127.0.0.1:8080 accepts")
        .says("/run/systemd/journal/stdout accepts");
    let before = installed(machine);
    for (check, said) in [
        (
            "200ms\" }, { within = \"1s\", tcp = \"127.0.0.1:9",
            "`demo-web.service`: connection to 127.0.0.1:9 failed: Connection refused",
        ),
        (
            "200ms\" }, { within = \"1s\", unix = \"/run/missing.sock",
            "`demo-web.service`: connection to /run/missing.sock failed: No such file or directory",
        ),
    ] {
        with("2.0", check)
            .deploy(machine)
            .exits(3)
            .says(said)
            .says(&format!("{first} was restored and is healthy"));
        assert_eq!(current(machine), first);
        assert_eq!(installed(machine), before);
        assert_clean(machine);
    }
    machine.robotctl("doctor").exits(0);
}

/// Starts a deploy whose output is read at its end.
fn start_deploy(machine: &Machine, demo: &crate::demo::Demo) -> Child {
    demo.write(machine);
    let deploy = ["--manifest", "/root/demo/robot.toml", "deploy", "--apply"];
    let mut command = machine.spawn_command(&[&["robotctl"], &deploy[..]].concat());
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
    piped.stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal, and returns how the deploy ended and how long that took.
fn send_signal(machine: &Machine, child: Child, signal: &str) -> (Out, Duration) {
    machine.ok(&format!("kill -s {signal} {}", machine.spawned_pid()));
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    (Out::new(signal.to_owned(), &output), start.elapsed())
}

fn ctrl_c_rolls_back(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let before = installed(machine);
    let mut next = demo("2.0");
    // During the pre-check, nothing has changed yet.
    next.settle = "1h";
    let child = start_deploy(machine, &next);
    let instance = "systemctl is-active demo-web-precheck.service";
    until("the instance runs", || machine.sh(instance).code == 0);
    let (out, elapsed) = send_signal(machine, child, "INT");
    out.exits(130)
        .says("the deploy was interrupted")
        .says("what is live did not change");
    assert!(elapsed < LONG, "{elapsed:?}");
    assert_ne!(machine.sh(instance).code, 0);
    assert_clean(machine);

    // After the switch the deploy is rolled back, and the release is not marked as bad.
    next.web = "pre-check = false";
    for signal in ["INT", "TERM"] {
        let child = start_deploy(machine, &next);
        until("it switches", || current(machine) != first);
        until("it settles", || {
            machine.sh("systemctl is-active demo-web.service").code == 0
        });
        let (out, elapsed) = send_signal(machine, child, signal);
        out.exits(3)
            .says("it was interrupted")
            .says("was restored and is healthy");
        assert!(elapsed < LONG, "{elapsed:?}");
        assert_eq!(installed(machine), before);
        assert_clean(machine);
    }

    // robotctl does not wait for a hook, or for a service that does not become ready.
    let sleeps = || machine.sh("pgrep --exact sleep").code == 0;
    for (tables, code, said) in [
        (
            "[hooks]\nbefore-switch = [[\"/bin/sleep\", \"1000\"]]\n",
            130,
            "the deploy was interrupted",
        ),
        (
            "[service.late]\nexec = [\"/bin/sleep\", \"1000\"]\ntype = \"notify\"\ntimeout-start = \"1000s\"\n",
            3,
            "was restored and is healthy",
        ),
    ] {
        next.tables = tables;
        let child = start_deploy(machine, &next);
        until("it waits", sleeps);
        let (out, elapsed) = send_signal(machine, child, "INT");
        out.exits(code).says(said);
        assert!(elapsed < LONG, "{elapsed:?}");
        assert_eq!(installed(machine), before);
        assert_clean(machine);
    }
    next.tables = "";

    // A lost terminal does not stop a deploy.
    next.settle = "8s";
    let child = start_deploy(machine, &next);
    until("it switches", || current(machine) != first);
    send_signal(machine, child, "HUP").0.exits(0);
    assert_ne!(current(machine), first);
    machine.robotctl("doctor").exits(0);
}
