//! Services that are neither up nor down when robotctl looks: each row of `docs/reference/unit-states.md` that
//! systemd can be held in.

use crate::demo::{Demo, current, demo, running_release};
use crate::machine::{Machine, until};

tests![
    Quick:
    a_service_in_between_is_neither_taken_for_stopped_nor_for_failed,
    a_restart_by_someone_else_does_not_fail_a_release,
];

const WORKER: &str = "demo-worker.service";
/// The commands of the service end when something is written here.
const HOLD: &str = "/run/demo/hold";

/// Makes a step of the worker wait, such as `ExecStop`. Later steps replace it.
fn hold(machine: &Machine, unit: &str, step: &str) {
    machine.ok(&format!("[ -p {HOLD} ] || mkfifo {HOLD}"));
    let text = match step {
        "" => "[Service]\n".to_owned(),
        step => format!("[Service]\n{step}=+/bin/sh -c 'read _ < {HOLD}'\n"),
    };
    let path = format!("/etc/systemd/system/{unit}.d/50-hold.conf");
    machine.write(&path, &text, 0o644);
    machine.ok("systemctl daemon-reload");
}

/// Lets the step that waits end.
fn release(machine: &Machine) {
    machine.ok(&format!("timeout 60 sh -c 'echo > {HOLD}'"));
}

fn in_state(machine: &Machine, unit: &str, wanted: &str) {
    let state = || {
        let active = machine.property(unit, "ActiveState");
        format!("{active} ({})", machine.property(unit, "SubState"))
    };
    until(wanted, || state() == wanted);
}

/// What the plan to the written version does with a unit.
fn planned(machine: &Machine, unit: &str) -> String {
    let plan = machine.robotctl("--manifest /root/demo/robot.toml deploy --format json");
    let plan = plan.exits(0).data("plan").remove(0);
    let units = plan["units"].as_array().cloned().unwrap_or_default();
    let worker = units.iter().find(|one| one["unit"] == unit).unwrap();
    format!("{}: {}", worker["action"], worker["why"]).replace('"', "")
}

/// Requests something of systemd without waiting for it.
fn request(machine: &Machine, verb: &str) {
    machine.ok(&format!("systemctl --no-block {verb} {WORKER}"));
}

fn a_service_in_between_is_neither_taken_for_stopped_nor_for_failed(machine: &Machine) {
    // The worker has no socket, so it does not overlap.
    let starting = "restart: new release";
    let doctor = |words: &str| {
        let doctor = machine.robotctl("doctor --app demo");
        doctor.says(&format!("`{WORKER}` {words}"));
    };
    demo("1.0").deploy_ok(machine);
    let next = demo("2.0");
    next.write(machine);

    // Someone restarts it: the job is `restart`.
    hold(machine, WORKER, "ExecStop");
    request(machine, "restart");
    in_state(machine, WORKER, "deactivating (stop)");
    assert_eq!(planned(machine, WORKER), starting);
    doctor("is not up: it is restarting");
    let status = machine.robotctl("status").exits(0);
    status.says("it is restarting");
    let mut deploy = next.start_deploy(machine);
    until("the switch", || current(machine).starts_with("2.0-"));
    hold(machine, WORKER, "");
    release(machine);
    assert_eq!(deploy.wait().unwrap().code(), Some(0));
    let second = current(machine);
    assert_eq!(running_release(machine, WORKER), second);
    machine.robotctl("doctor --app demo").exits(0);

    no_overlap_is_planned_in_between(machine);

    // Someone stops it: the job is `stop`.
    demo("3.0").write(machine);
    hold(machine, WORKER, "ExecStop");
    request(machine, "stop");
    in_state(machine, WORKER, "deactivating (stop)");
    assert_eq!(
        planned(machine, WORKER),
        "unchanged: not running; it is not started"
    );
    doctor("is not up: it is being stopped");
    let out = demo("3.0").deploy(machine).exits(0);
    out.says(&format!("`{WORKER}` is stopped: its checks were not run"));
    release(machine);
    in_state(machine, WORKER, "inactive (dead)");

    // Its start is queued, and then it starts.
    hold(machine, WORKER, "ExecStartPre");
    request(machine, "start");
    in_state(machine, WORKER, "activating (start-pre)");
    demo("4.0").write(machine);
    assert_eq!(planned(machine, WORKER), starting);
    doctor("is not up: it is starting");
    hold(machine, WORKER, "");
    release(machine);
    in_state(machine, WORKER, "active (running)");

    // It ends by itself.
    hold(machine, WORKER, "ExecStopPost");
    machine.ok(&format!("systemctl kill --kill-whom=main {WORKER}"));
    in_state(machine, WORKER, "deactivating (stop-post)");
    assert_eq!(machine.property(WORKER, "Job"), "");
    assert_eq!(planned(machine, WORKER), "restart: it has failed");
    doctor("is not up: it is ending by itself");
    release(machine);

    // It has crashed, and systemd waits before it starts it again.
    hold(machine, WORKER, "");
    let later = format!("/etc/systemd/system/{WORKER}.d/50-hold.conf");
    machine.write(&later, "[Service]\nRestart=always\nRestartSec=1h\n", 0o644);
    machine.ok(&format!(
        "systemctl daemon-reload && systemctl restart {WORKER}"
    ));
    machine.ok(&format!("systemctl kill --signal=KILL {WORKER}"));
    in_state(machine, WORKER, "activating (auto-restart)");
    assert_eq!(planned(machine, WORKER), "restart: it has failed");
    doctor("ended, and systemd is about to restart it");
    // It reads its settings again.
    hold(machine, WORKER, "ExecReload");
    machine.ok(&format!("systemctl restart {WORKER}"));
    request(machine, "reload");
    in_state(machine, WORKER, "reloading (reload)");
    assert_eq!(planned(machine, WORKER), "restart: new release");
    hold(machine, WORKER, "");
    release(machine);
    in_state(machine, WORKER, "active (running)");
}

/// A service that could overlap does not while it restarts, and the plan says so.
fn no_overlap_is_planned_in_between(machine: &Machine) {
    let web = "demo-web.service";
    demo("3.0").write(machine);
    assert_eq!(planned(machine, web), "overlap: new release");
    hold(machine, web, "ExecStop");
    machine.ok(&format!("systemctl --no-block restart {web}"));
    in_state(machine, web, "deactivating (stop)");
    let why = "restart: new release; no overlap: it is starting already";
    assert_eq!(planned(machine, web), why);
    hold(machine, web, "");
    release(machine);
    in_state(machine, web, "active (running)");
}

/// needrestart(1) and people restart services at any time, also while a release is checked.
fn a_restart_by_someone_else_does_not_fail_a_release(machine: &Machine) {
    let settling = |version: &str| Demo {
        settle: "2s",
        web: "pre-check = false",
        ..demo(version)
    };
    settling("1.0").deploy_ok(machine);
    let mut deploy = settling("2.0").start_deploy(machine);
    // The new release runs, and must stay up for two seconds.
    until("the new release runs", || {
        running_release(machine, WORKER).starts_with("2.0-")
    });
    machine.ok(&format!("systemctl restart {WORKER}"));
    assert_eq!(deploy.wait().unwrap().code(), Some(0));
    assert!(current(machine).starts_with("2.0-"));

    // A crash is the fault of the release still.
    let mut deploy = settling("3.0").start_deploy(machine);
    until("the new release runs", || {
        running_release(machine, WORKER).starts_with("3.0-")
    });
    machine.ok(&format!("systemctl kill --signal=KILL {WORKER}"));
    assert_eq!(deploy.wait().unwrap().code(), Some(3));
    assert!(current(machine).starts_with("2.0-"));
}
