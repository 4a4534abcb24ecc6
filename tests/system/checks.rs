//! Checks that run programs, checks that hang, and a person who does not want to wait for them.

use crate::demo::{current, demo, installed};
use crate::machine::{Machine, Out, until};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

tests![
    Quick:
    a_command_check_runs_as_its_service_in_its_sandbox,
    a_check_that_hangs_is_over_in_time,
    addresses_that_nobody_accepts_at_are_told,
    who_does_not_want_to_wait_gets_the_release_before,
];

/// Nothing of a check is left: no unit, no process.
fn is_tidy(machine: &Machine) {
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
    first.deployed(machine);
    let seen = "/var/lib/demo/seen";
    assert_eq!(machine.read(seen).trim(), "demo 1.0 red NoNewPrivs: 1");
    is_tidy(machine);
    machine.ok(&format!("rm {seen}"));
    machine.robotctl("check").exits(0).says("/bin/sh");
    assert_eq!(machine.read(seen).trim(), "demo 1.0 red NoNewPrivs: 1");
    is_tidy(machine);
    // One that fails tells what it said.
    machine.ok("systemctl stop demo-late.service");
    let mut second = demo("2.0");
    second.tables = "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
        [service.other]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
        check = [{ command = [\"/bin/sh\", \"-c\", \"echo oh dear >&2; exit 9\"], within = \"2s\" }]\n";
    second
        .deploy(machine)
        .exits(3)
        .says("exit status 9")
        .says("oh dear");
    is_tidy(machine);
}

fn a_check_that_hangs_is_over_in_time(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let before = installed(machine);
    for tables in [
        // Neither a polite kill nor the end of its input ends it.
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
            .says("is back and healthy");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?}");
        assert_eq!(installed(machine), before);
        assert_eq!(current(machine), first);
        is_tidy(machine);
    }
}

/// What accepts passes; what nobody answers at in time takes the release back, in its own words.
fn addresses_that_nobody_accepts_at_are_told(machine: &Machine) {
    let with = |version: &str, check: &'static str| {
        let mut demo = demo(version);
        demo.settle = check;
        demo
    };
    let good = "200ms\" }, { tcp = \"127.0.0.1:8080\" }, { unix = \"/run/systemd/journal/stdout";
    let first = with("1.0", good).deployed(machine);
    let out = machine.robotctl("check").exits(0);
    out.says("127.0.0.1:8080 accepts")
        .says("/run/systemd/journal/stdout accepts");
    let before = installed(machine);
    for (check, said) in [
        (
            "200ms\" }, { within = \"1s\", tcp = \"127.0.0.1:9",
            "`demo-web.service`: 127.0.0.1:9 accepts: Connection refused",
        ),
        (
            "200ms\" }, { within = \"1s\", unix = \"/run/nobody.sock",
            "`demo-web.service`: /run/nobody.sock accepts: No such file or directory",
        ),
    ] {
        with("2.0", check)
            .deploy(machine)
            .exits(3)
            .says(said)
            .says(&format!("{first} is back and healthy"));
        assert_eq!(current(machine), first);
        assert_eq!(installed(machine), before);
        is_tidy(machine);
    }
    machine.robotctl("doctor").exits(0);
}

/// A deploy that has begun, and whose words are read at its end.
fn begin(machine: &Machine, demo: &crate::demo::Demo) -> Child {
    demo.write(machine);
    let deploy = ["--manifest", "/root/demo/robot.toml", "deploy", "--apply"];
    let mut command = machine.beginning(&[&["robotctl"], &deploy[..]].concat());
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
    piped.stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal, and tells how the deploy ended and how soon after.
fn struck(machine: &Machine, child: Child, signal: &str) -> (Out, Duration) {
    machine.ok(&format!("kill -s {signal} {}", machine.begun()));
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    (Out::new(signal.to_owned(), &output), start.elapsed())
}

fn who_does_not_want_to_wait_gets_the_release_before(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let before = installed(machine);
    let mut next = demo("2.0");
    // In the trial nothing has changed yet.
    next.settle = "60s";
    let child = begin(machine, &next);
    let copy = "systemctl is-active demo-web-precheck.service";
    until("the copy runs", Duration::from_secs(20), || {
        machine.sh(copy).code == 0
    });
    let (out, took) = struck(machine, child, "INT");
    out.exits(2).says("interrupted, nothing was changed");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_ne!(machine.sh(copy).code, 0);
    is_tidy(machine);

    // After the switch it goes back, and the release is not to blame.
    next.web = "pre-check = false";
    for signal in ["INT", "TERM"] {
        let child = begin(machine, &next);
        until("it switches", Duration::from_secs(20), || {
            current(machine) != first
        });
        until("it settles", Duration::from_secs(20), || {
            machine.sh("systemctl is-active demo-web.service").code == 0
        });
        let (out, took) = struck(machine, child, signal);
        out.exits(3)
            .says("it was interrupted")
            .says("is back and healthy");
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert_eq!(installed(machine), before);
        is_tidy(machine);
    }

    // Nor is a hook waited for, or a service that does not get ready.
    let sleeps = || machine.sh("pgrep --exact sleep").code == 0;
    for (tables, code, said) in [
        (
            "[hooks]\nbefore-switch = [[\"/bin/sleep\", \"100\"]]\n",
            2,
            "interrupted, nothing was changed",
        ),
        (
            "[service.late]\nexec = [\"/bin/sleep\", \"100\"]\ntype = \"notify\"\n",
            3,
            "is back and healthy",
        ),
    ] {
        next.tables = tables;
        let child = begin(machine, &next);
        until("it waits", Duration::from_secs(20), sleeps);
        let (out, took) = struck(machine, child, "INT");
        out.exits(code).says(said);
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert_eq!(installed(machine), before);
        is_tidy(machine);
    }
    next.tables = "";

    // A lost terminal stops nobody.
    next.settle = "3s";
    let child = begin(machine, &next);
    until("it switches", Duration::from_secs(20), || {
        current(machine) != first
    });
    struck(machine, child, "HUP").0.exits(0);
    assert_ne!(current(machine), first);
    machine.robotctl("doctor").exits(0);
}
