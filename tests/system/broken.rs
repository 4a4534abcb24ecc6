//! Releases that fail: refused before anything changes, or put back.

use crate::demo::{UNITS, WEB, current, demo, installed, runs};
use crate::machine::Machine;

tests![
    Quick:
    failing_upgrade_is_put_back_and_marked,
    failing_trial_changes_nothing,
    failing_first_deploy_leaves_nothing,
    refused_before_anything_changes,
    going_back_starts_nothing_that_did_not_run,
    units_of_others_are_not_held_against_it,
    when_no_release_works_a_person_is_told,
];

fn failing_upgrade_is_put_back_and_marked(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let before = installed(machine);
    for (fault, why) in [
        ("no-start", "did not start"),
        ("sick", "it answers 503"),
        // Within robotctl's own settle time, but long after it said that it is ready.
        ("crash", "demo-web.service: Main process exited"),
    ] {
        let mut second = demo(&format!("2.0-{fault}"));
        second.fault = fault;
        second.settle = "";
        // A unit file changes too, and has to come back with the rest.
        second.web = "limits = { tasks-max = 50 }\npre-check = false";
        let out = second.deploy(machine).exits(3).says(why);
        out.says(&format!("{first} is back and healthy"))
            .says("hint: ");
        is_untouched(machine, &first, &before, fault);
        machine.robotctl("releases").exits(0).says("bad: ");

        second
            .deploy(machine)
            .exits(2)
            .says("failed before")
            .says("--force");
        is_untouched(machine, &first, &before, fault);
    }
    // The fault may have been one of that day: whoever knows may take the same release again.
    let mut third = demo("3.0");
    third.web = "pre-check = false";
    third.tables = "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
                    exec-start-pre = [[\"/usr/bin/printenv\", \"SWITCH\"]]\n";
    third.deploy(machine).exits(3).says("demo-late.service");
    machine.ok("echo SWITCH=on > /etc/demo/env");
    third.deploy(machine).exits(2).says("--force");
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy --apply --force")
        .exits(0);
    assert_eq!(machine.get(WEB), "200 3.0");
    machine.robotctl("doctor").exits(0);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// The old release, whole: files, answers, processes, nothing beside it.
pub fn is_untouched(machine: &Machine, first: &str, before: &str, when: &str) {
    assert_eq!(installed(machine), before, "{when}");
    assert_eq!(machine.get(WEB), "200 1.0", "{when}");
    assert_eq!(runs(machine, "demo-web.service"), first, "{when}");
    assert_eq!(runs(machine, "demo-worker.service"), first, "{when}");
    let beside = "systemctl list-units --all --plain --no-legend --type=service,socket '*standin*' '*precheck*'";
    assert_eq!(machine.ok(beside), "", "{when}");
    machine.robotctl("doctor").exits(0);
}

/// What the trial beside the live release finds never gets a request.
fn failing_trial_changes_nothing(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let before = installed(machine);
    let web = machine.property("demo-web.service", "InvocationID");
    for (fault, why) in [
        ("no-start", "the fixture does not start"),
        ("sick", "it answers 503"),
    ] {
        let mut second = demo("2.0");
        second.fault = fault;
        second
            .deploy(machine)
            .exits(2)
            .says("failed its pre-check, nothing was changed")
            .says(why);
        is_untouched(machine, &first, &before, fault);
        let now = machine.property("demo-web.service", "InvocationID");
        assert_eq!(now, web, "{fault}: it was never restarted");
    }
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    // Mended under the same version, it is taken.
    demo("2.0").deployed(machine);
    assert_eq!(machine.get(WEB), "200 2.0");
}

fn failing_first_deploy_leaves_nothing(machine: &Machine) {
    for fault in ["no-start", "sick", "crash"] {
        let mut first = demo("1.0");
        first.fault = fault;
        first.settle = "";
        first
            .deploy(machine)
            .exits(2)
            .says("was taken away again")
            .says("hint: ");
        assert_eq!(machine.link("/opt/demo/current"), "", "{fault}");
        assert_eq!(
            machine.ok(&format!(
                "find {UNITS} /usr/local/lib /etc/systemd -name '*demo*'"
            )),
            ""
        );
        assert_eq!(
            machine.ok("systemctl list-units --all --plain --no-legend 'demo*'"),
            "",
            "{fault}"
        );
        assert_eq!(machine.ok("pgrep -u demo || true"), "", "{fault}");
        machine.robotctl("status").exits(0).says("nothing is live");
    }
    demo("1.1").deployed(machine);
    machine.robotctl("doctor").exits(0);
}

fn refused_before_anything_changes(machine: &Machine) {
    refused(machine, "nothing");
    let first = demo("1.0").deployed(machine);
    refused(machine, &first);
    assert_eq!(machine.get(WEB), "200 1.0");
    machine.robotctl("doctor").exits(0);
}

/// Deploys what must be refused, on a host where `live` is live.
fn refused(machine: &Machine, live: &str) {
    let look = || {
        let releases = machine.ok("ls -A /opt/demo/releases 2>/dev/null || true");
        let invocation = machine.property("demo-web.service", "InvocationID");
        (installed_or_nothing(machine), releases, invocation)
    };
    let before = look();
    let mut missing = demo("2.0");
    missing.tables = "[service.gone]\nexec = [\"{current}/gone\"]\n";
    missing
        .deploy(machine)
        .exits(2)
        .says("/opt/demo/current/gone")
        .says("hint: ");
    assert_eq!(before, look(), "missing program, {live} is live");

    let mut strange = demo("2.0");
    strange.tables = "[service.web.sandbox]\ndirectives = { ProtectSytem = \"strict\" }\n";
    strange
        .deploy(machine)
        .exits(2)
        .says("ProtectSytem")
        .says("hint: ");
    assert_eq!(before, look(), "unknown directive, {live} is live");

    let mut calendar = demo("2.0");
    calendar.tables = "[service.late]\nexec = [\"{current}/app.py\", \"tidy\"]\ntype = \"oneshot\"\ntimer = { calendar = \"whenever\" }\n";
    calendar.deploy(machine).exits(2).says("whenever");
    assert_eq!(before, look(), "calendar, {live} is live");

    let mut secret = demo("2.0");
    secret.tables = "[[secret]]\nname = \"API_KEY\"\n";
    secret
        .deploy(machine)
        .exits(2)
        .says("the secret `API_KEY` is missing")
        .says("/etc/demo/credentials/API_KEY");
    assert_eq!(before, look(), "secret, {live} is live");

    let mut typo = demo("2.0");
    typo.web = "lisen = [\"127.0.0.1:1\"]";
    typo.deploy(machine).exits(2).says("lisen");
    assert_eq!(before, look(), "typo, {live} is live");
}

fn installed_or_nothing(machine: &Machine) -> String {
    match machine.exists("/opt/demo/current") {
        true => installed(machine),
        false => machine.ok(
            "find /usr/local/lib/systemd /etc/systemd/system -name '*demo*' 2>/dev/null || true",
        ),
    }
}

/// What waits for its timer, or was stopped, stays as it is when a change is taken back.
fn going_back_starts_nothing_that_did_not_run(machine: &Machine) {
    let mut first = demo("1.0");
    first.tables =
        "[service.second]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n";
    let first = first.deployed(machine);
    machine.ok("systemctl stop demo-second.service");
    let quiet = |when: &str| {
        let second = machine.property("demo-second.service", "ActiveState");
        assert_eq!(second, "inactive", "{when}");
        let said = machine.sh("journalctl -u demo-tidy.service -o cat").stdout;
        assert!(!said.contains("tidied"), "{when}: {said}");
        let timer = machine.property("demo-tidy.timer", "ActiveState");
        assert_eq!(timer, "active", "{when}");
    };
    quiet("before");
    // The next release has neither the job nor the stopped service, and fails after the switch.
    let mut bad = demo("2.0");
    bad.fault = "sick";
    bad.web = "pre-check = false";
    bad.write(machine);
    let text = bad.manifest();
    let (head, _) = text.split_once("[service.tidy]").unwrap();
    machine.write("/root/demo/robot.toml", head, 0o644);
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy --apply")
        .exits(3)
        .says(&format!("{first} is back and healthy"));
    quiet("after an upgrade that failed");
    // A removal that dies half-way is taken back by the next command.
    let died = machine.sh(
        "strace -qq -o /dev/null -e trace=unlink -e inject=unlink:signal=KILL:when=6 robotctl remove",
    );
    assert_ne!(died.code, 0, "{died}");
    machine.robotctl("recover").exits(0);
    assert_eq!(machine.get(WEB), "200 1.0");
    quiet("after a removal that was killed");
}

/// What other people's units are like is no reason to refuse an app.
fn units_of_others_are_not_held_against_it(machine: &Machine) {
    machine.write(
        "/etc/systemd/system/other.timer",
        "[Unit]\nColour=blue\n[Timer]\nOnCalendar=yearly\n[Install]\nWantedBy=timers.target\n",
        0o644,
    );
    machine.write(
        "/etc/systemd/system/other.service",
        "[Service]\nExecStart=/nowhere/at/all\nKillMode=none\n",
        0o644,
    );
    machine.ok("systemctl daemon-reload && systemctl enable other.timer");
    // Without this the test would show nothing.
    let all = "systemd-analyze verify --man=no basic.target timers.target";
    machine.sh(all).says("Colour");
    demo("1.0").deployed(machine);
    let mut bad = demo("2.0");
    bad.web = "[service.web.sandbox]\ndirectives = { Colour = \"blue\" }";
    let out = bad.deploy(machine).exits(2);
    out.says("does not understand").says("Colour");
}

/// When neither the new release nor the one before it works, it is said, after one try of each.
fn when_no_release_works_a_person_is_told(machine: &Machine) {
    let tables = "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
                  exec-start-pre = [[\"/usr/bin/printenv\", \"SWITCH\"]]\n";
    machine.write("/etc/demo/env", "SWITCH=on\n", 0o600);
    let mut first = demo("1.0");
    first.tables = tables;
    let first = first.deployed(machine);
    let before = installed(machine);
    machine.write("/etc/demo/env", "", 0o600);
    let mut second = demo("2.0");
    second.tables = tables;
    second.web = "pre-check = false";
    second
        .deploy(machine)
        .exits(4)
        .says("what was put back is not healthy: `demo-late.service`")
        .says("hint: look at `sudo robotctl status`")
        .says("the cause was: `demo-late.service` did not start");
    assert_eq!(current(machine), first);
    assert_eq!(installed(machine), before);
    assert_eq!(machine.get(WEB), "200 1.0");
    assert_eq!(runs(machine, "demo-worker.service"), first);
    let history = machine.robotctl("history").exits(0).stdout;
    for (event, count) in [("  deployed  ", 1), ("  failed  ", 1), ("  put-back  ", 1)] {
        assert_eq!(history.matches(event).count(), count, "{event}: {history}");
    }
    machine
        .robotctl("recover")
        .exits(0)
        .says("nothing to recover");
    machine
        .robotctl("doctor")
        .exits(1)
        .says("demo-late.service");
    machine.write("/etc/demo/env", "SWITCH=on\n", 0o600);
    machine.ok("systemctl restart demo-late.service");
    assert_eq!(runs(machine, "demo-late.service"), first);
    machine.robotctl("doctor").exits(0);
}
