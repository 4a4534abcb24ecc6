//! Releases that fail: refused before any change, or rolled back.

use crate::demo::{UNITS, WEB, current, demo, installed, running_release};
use crate::machine::Machine;

tests![
    Quick:
    a_failing_upgrade_is_rolled_back_and_marked,
    a_failing_pre_check_changes_nothing,
    a_failing_first_deploy_leaves_nothing,
    an_invalid_release_is_refused_before_any_change,
    reverting_does_not_start_stopped_units,
    invalid_units_of_other_apps_do_not_matter,
    a_failed_revert_is_reported,
];

fn a_failing_upgrade_is_rolled_back_and_marked(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let before = installed(machine);
    for (fault, why) in [
        ("no-start", "did not start"),
        ("sick", "returned 503, expected 200"),
        // It crashes within robotctl's own settle time, but long after it reported that it is
        // ready.
        ("crash", "demo-web.service: Main process exited"),
    ] {
        let mut second = demo(&format!("2.0-{fault}"));
        second.fault = fault;
        second.settle = "";
        // A unit file changes too, and must be restored with the rest.
        second.web = "limits = { tasks-max = 50 }\npre-check = false";
        let out = second.deploy(machine).exits(3).says(why);
        out.says(&format!("{first} was restored and is healthy"))
            .says("hint: ");
        assert_untouched(machine, &first, &before, fault);
        machine.robotctl("releases").exits(0).says("bad: ");

        second
            .deploy(machine)
            .exits(2)
            .says("failed before")
            .says("--force");
        assert_untouched(machine, &first, &before, fault);
    }
    // The failure may have been temporary: `--force` deploys the same release again.
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

/// Checks that the old release is complete (files, answers, processes) and that nothing else runs.
pub fn assert_untouched(machine: &Machine, first: &str, before: &str, when: &str) {
    assert_eq!(installed(machine), before, "{when}");
    assert_eq!(machine.get(WEB), "200 1.0", "{when}");
    assert_eq!(
        running_release(machine, "demo-web.service"),
        first,
        "{when}"
    );
    assert_eq!(
        running_release(machine, "demo-worker.service"),
        first,
        "{when}"
    );
    let beside =
        "systemctl list-units --all --plain --no-legend --type=service,socket '*precheck*'";
    assert_eq!(machine.ok(beside), "", "{when}");
    machine.robotctl("doctor").exits(0);
}

/// A release that fails its pre-check never gets a request.
fn a_failing_pre_check_changes_nothing(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let before = installed(machine);
    let web = machine.property("demo-web.service", "InvocationID");
    for (fault, why) in [
        ("no-start", "the fixture does not start"),
        ("sick", "returned 503, expected 200"),
    ] {
        let mut second = demo("2.0");
        second.fault = fault;
        second.tables = "[[secret]]\nname = \"KEY\"\ngenerate = \"hex:32\"\n";
        second
            .deploy(machine)
            .exits(2)
            .says("failed its pre-check, and what is live did not change")
            .says(why);
        assert_untouched(machine, &first, &before, fault);
        let secrets = machine.ok("find /etc/demo -name KEY 2>/dev/null || true");
        assert_eq!(
            secrets, "",
            "{fault}: the secret of a refused release is left"
        );
        let now = machine.property("demo-web.service", "InvocationID");
        assert_eq!(now, web, "{fault}: it was never restarted");
    }
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    // A fixed release with the same version can be deployed.
    demo("2.0").deploy_ok(machine);
    assert_eq!(machine.get(WEB), "200 2.0");
}

fn a_failing_first_deploy_leaves_nothing(machine: &Machine) {
    for fault in ["no-start", "sick", "crash"] {
        let mut first = demo("1.0");
        first.fault = fault;
        first.settle = "";
        first
            .deploy(machine)
            .exits(3)
            .says("failed, and no release is live, as before")
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
        machine
            .robotctl("status")
            .exits(0)
            .says("no release is live");
    }
    demo("1.1").deploy_ok(machine);
    machine.robotctl("doctor").exits(0);
}

fn an_invalid_release_is_refused_before_any_change(machine: &Machine) {
    refused(machine, "nothing");
    let first = demo("1.0").deploy_ok(machine);
    refused(machine, &first);
    assert_eq!(machine.get(WEB), "200 1.0");
    machine.robotctl("doctor").exits(0);
}

/// Deploys releases that must be refused, on a host where `live` is live.
fn refused(machine: &Machine, live: &str) {
    let snapshot = || {
        let releases = machine.ok("ls -A /opt/demo/releases 2>/dev/null || true");
        let invocation = machine.property("demo-web.service", "InvocationID");
        (installed_or_nothing(machine), releases, invocation)
    };
    let before = snapshot();
    let mut missing = demo("2.0");
    missing.tables = "[service.gone]\nexec = [\"{current}/gone\"]\n";
    missing
        .deploy(machine)
        .exits(2)
        .says("/opt/demo/current/gone")
        .says("hint: ");
    assert_eq!(before, snapshot(), "missing program, {live} is live");

    let mut unknown = demo("2.0");
    unknown.tables = "[service.web.sandbox]\ndirectives = { ProtectSytem = \"strict\" }\n";
    unknown
        .deploy(machine)
        .exits(2)
        .says("ProtectSytem")
        .says("hint: ");
    assert_eq!(before, snapshot(), "unknown directive, {live} is live");

    let mut calendar = demo("2.0");
    calendar.tables = "[service.late]\nexec = [\"{current}/app.py\", \"tidy\"]\ntype = \"oneshot\"\ntimer = { calendar = \"whenever\" }\n";
    calendar.deploy(machine).exits(2).says("whenever");
    assert_eq!(before, snapshot(), "calendar, {live} is live");

    let mut secret = demo("2.0");
    secret.tables = "[[secret]]\nname = \"API_KEY\"\n";
    secret
        .deploy(machine)
        .exits(2)
        .says("the secret `API_KEY` is missing")
        .says("secret set API_KEY");
    assert_eq!(before, snapshot(), "secret, {live} is live");

    let mut typo = demo("2.0");
    typo.web = "lisen = [\"127.0.0.1:1\"]";
    typo.deploy(machine).exits(2).says("lisen");
    assert_eq!(before, snapshot(), "typo, {live} is live");
}

fn installed_or_nothing(machine: &Machine) -> String {
    match machine.exists("/opt/demo/current") {
        true => installed(machine),
        false => machine.ok(
            "find /usr/local/lib/systemd /etc/systemd/system -name '*demo*' 2>/dev/null || true",
        ),
    }
}

/// Units that wait for their timer or that were stopped stay so when a change is reverted.
fn reverting_does_not_start_stopped_units(machine: &Machine) {
    let mut first = demo("1.0");
    first.tables =
        "[service.second]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n";
    let first = first.deploy_ok(machine);
    machine.ok("systemctl stop demo-second.service");
    let assert_stopped = |when: &str| {
        let second = machine.property("demo-second.service", "ActiveState");
        assert_eq!(second, "inactive", "{when}");
        let said = machine.sh("journalctl -u demo-tidy.service -o cat").stdout;
        assert!(!said.contains("tidied"), "{when}: {said}");
        let timer = machine.property("demo-tidy.timer", "ActiveState");
        assert_eq!(timer, "active", "{when}");
    };
    assert_stopped("before");
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
        .says(&format!("{first} was restored and is healthy"));
    assert_stopped("after an upgrade that failed");
    // The next command reverts a removal that was killed.
    let died = machine.sh(
        "strace -qq -o /dev/null -e trace=unlink -e inject=unlink:signal=KILL:when=6 robotctl remove --apply",
    );
    assert_ne!(died.code, 0, "{died}");
    machine.robotctl("recover").exits(0);
    assert_eq!(machine.get(WEB), "200 1.0");
    assert_stopped("after a removal that was killed");
}

/// Invalid units of other apps must not refuse a deploy.
fn invalid_units_of_other_apps_do_not_matter(machine: &Machine) {
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
    // This shows that systemd reports them.
    let all = "systemd-analyze verify --man=no basic.target timers.target";
    machine.sh(all).says("Colour");
    demo("1.0").deploy_ok(machine);
    let mut bad = demo("2.0");
    bad.web = "[service.web.sandbox]\ndirectives = { Colour = \"blue\" }";
    let out = bad.deploy(machine).exits(2);
    out.says("systemd rejects the units").says("Colour");
}

/// If neither the new release nor the previous one works, robotctl tries each once and reports it.
fn a_failed_revert_is_reported(machine: &Machine) {
    let tables = "[service.late]\nexec = [\"{current}/app.py\", \"worker\"]\ntype = \"notify\"\n\
                  exec-start-pre = [[\"/usr/bin/printenv\", \"SWITCH\"]]\n";
    machine.write("/etc/demo/env", "SWITCH=on\n", 0o600);
    let mut first = demo("1.0");
    first.tables = tables;
    let first = first.deploy_ok(machine);
    let before = installed(machine);
    machine.write("/etc/demo/env", "", 0o600);
    let mut second = demo("2.0");
    second.tables = tables;
    second.web = "pre-check = false";
    second
        .deploy(machine)
        .exits(4)
        .says("what was restored is not healthy: `demo-late.service`")
        .says("hint: find out what is wrong: sudo robotctl doctor")
        .says("the cause was: `demo-late.service` did not start");
    assert_eq!(current(machine), first);
    assert_eq!(installed(machine), before);
    assert_eq!(machine.get(WEB), "200 1.0");
    assert_eq!(running_release(machine, "demo-worker.service"), first);
    let history = machine.robotctl("history").exits(0).stdout;
    for (event, count) in [("  deployed  ", 1), ("  failed  ", 1), ("  restored  ", 1)] {
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
    // The other services read the same file.
    machine.ok("systemctl restart demo-late.service demo-web.service demo-worker.service");
    assert_eq!(running_release(machine, "demo-late.service"), first);
    machine.robotctl("doctor").exits(0);
}
