//! `doctor --fix` on a real systemd: each safe fix fixes its fault, and nothing else is done.

use crate::demo::{Demo, WEB, demo, installed};
use crate::machine::{Machine, Out, until};
use crate::systemctl::{PATH, shim};
use serde_json::Value;

tests![
    Slow:
    each_safe_fix_fixes_its_fault,
    a_stale_service_restarts_only_by_overlap,
];
tests![Quick: what_a_killed_command_left_is_finished];

/// A service with a unix socket beside the fixture.
const TABLES: &str = "[[secret]]\nname = \"API_KEY\"\n\
                      [service.talk]\nexec = [\"{current}/app.py\", \"web\"]\ntype = \"notify\"\n\
                      listen = [\"unix:/run/demo-talk.sock\"]\n";

/// A drop-in with which a unit fails, and without it.
macro_rules! failing {
    ($unit:literal, $section:literal, $then:literal) => {
        concat!(
            "mkdir -p /run/systemd/system/",
            $unit,
            ".d; printf '[",
            $section,
            "\\n' > /run/systemd/system/",
            $unit,
            ".d/90-test.conf; systemctl daemon-reload; ",
            $then,
            "; rm -r /run/systemd/system/",
            $unit,
            ".d; systemctl daemon-reload; systemctl is-failed ",
            $unit
        )
    };
}

/// A fault, and what is safe to do about it.
struct Fault {
    name: &'static str,
    cause: &'static str,
    /// The ids of the steps.
    steps: &'static [&'static str],
    /// What holds when they are done.
    then: &'static str,
    /// Whether the doctor is healthy then. Otherwise its commands fix the rest.
    is_healthy: bool,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "a missing unit",
        cause: "rm /usr/local/lib/systemd/system/demo-worker.service; systemctl daemon-reload",
        steps: &["write-file", "reload-units"],
        then: "systemctl is-active demo-worker.service",
        is_healthy: true,
    },
    Fault {
        name: "a missing drop-in",
        cause: "rm /usr/local/lib/systemd/system/demo-web.service.d/10-hardening.conf",
        steps: &["write-file", "reload-units"],
        then: "systemctl show -P DropInPaths demo-web.service | grep 10-hardening",
        is_healthy: true,
    },
    Fault {
        name: "a missing tmpfiles.d file and what it creates",
        cause: "rm /usr/local/lib/tmpfiles.d/demo.conf /etc/demo/env",
        steps: &["write-file", "create-directories"],
        then: "test $(stat -c %a%u /etc/demo/env) = 6000",
        is_healthy: true,
    },
    Fault {
        name: "a unit file that systemd has not read",
        cause: "touch -d '1 hour' /usr/local/lib/systemd/system/demo-worker.service",
        steps: &["reload-units"],
        then: "test $(systemctl show -P NeedDaemonReload demo-worker.service) = no",
        is_healthy: true,
    },
    Fault {
        name: "wrong modes and owners of directories",
        cause: "chmod 777 /run/demo; chown root:root /var/lib/demo",
        steps: &["create-directories"],
        then: "test $(stat -c %a:%U /run/demo):$(stat -c %U:%G /var/lib/demo) = 750:demo:demo:demo",
        is_healthy: true,
    },
    Fault {
        name: "a missing user",
        cause: "sed -i '/^demo:/d' /etc/passwd /etc/shadow",
        steps: &["create-accounts", "create-directories"],
        then: "id demo",
        is_healthy: true,
    },
    Fault {
        name: "a directory of another user",
        cause: "chown 12345 /var/lib/robotctl/demo",
        steps: &["protect-directory"],
        then: "test $(stat -c %u /var/lib/robotctl/demo) = 0",
        is_healthy: true,
    },
    Fault {
        name: "a release that others can write and read",
        cause: "chmod 666 /opt/demo/current/VERSION; chown 12345 /opt/demo/current/fault; \
                chmod 755 /opt/demo/current/",
        steps: &["protect-release", "set-readers"],
        then: "test $(stat -c %a:%U /opt/demo/current/):$(stat -c %u /opt/demo/current/fault) = 750:root:0 && \
               test $(stat -c %a /opt/demo/current/VERSION) = 644",
        is_healthy: true,
    },
    Fault {
        name: "settings that others can read",
        cause: "chmod 644 /etc/demo/credentials/API_KEY; chown 12345 /etc/demo/env",
        steps: &["create-directories", "close-file", "close-file"],
        then: "test $(stat -c %a%u /etc/demo/credentials/API_KEY)$(stat -c %a%u /etc/demo/env) = 60006000",
        is_healthy: true,
    },
    Fault {
        name: "a service that has failed is not started",
        cause: failing!(
            "demo-worker.service",
            "Service]\\nRestart=no",
            "systemctl restart demo-worker.service; systemctl kill --signal=KILL demo-worker.service; while systemctl is-active demo-worker.service; do :; done"
        ),
        steps: &["reset-failed"],
        then: "test $(systemctl show -P ActiveState demo-worker.service) = inactive",
        is_healthy: false,
    },
    Fault {
        name: "a dead socket of a service that the administrator stopped",
        cause: failing!(
            "demo-web.socket",
            "Socket]\\nExecStartPost=/bin/false",
            "systemctl stop demo-web.socket demo-web.service; systemctl start demo-web.socket || true"
        ),
        steps: &["open-socket"],
        then: "systemctl is-active demo-web.socket && \
               test $(systemctl show -P ActiveState demo-web.service) = inactive",
        is_healthy: false,
    },
    Fault {
        name: "a unix socket without its file",
        cause: "systemctl stop demo-talk.service; rm /run/demo-talk.sock",
        steps: &["open-socket"],
        then: "test -S /run/demo-talk.sock && \
               test $(systemctl show -P ActiveState demo-talk.service) = inactive",
        is_healthy: false,
    },
    // What must not be done.
    Fault {
        name: "a job that has failed",
        cause: failing!(
            "demo-tidy.service",
            "Service]\\nExecStartPre=/bin/false",
            "systemctl start demo-tidy.service || true"
        ),
        steps: &[],
        then: "systemctl is-failed demo-tidy.service",
        is_healthy: false,
    },
    Fault {
        name: "a unix socket without its file, of a service that runs",
        cause: "systemctl start demo-talk.service; rm /run/demo-talk.sock",
        steps: &[],
        then: "systemctl is-active demo-talk.service && test ! -e /run/demo-talk.sock",
        is_healthy: false,
    },
    Fault {
        name: "a stopped service",
        cause: "systemctl stop demo-worker.service",
        steps: &[],
        then: "test $(systemctl show -P ActiveState demo-worker.service) = inactive",
        is_healthy: false,
    },
    Fault {
        name: "a stopped socket",
        cause: "systemctl stop demo-talk.socket demo-talk.service",
        steps: &[],
        then: "test $(systemctl show -P ActiveState demo-talk.socket) = inactive",
        is_healthy: false,
    },
    Fault {
        name: "a masked unit",
        cause: "systemctl mask --now demo-tidy.timer",
        steps: &[],
        // A note, as for a disabled one.
        then: "test $(systemctl show -P LoadState demo-tidy.timer) = masked \
               && systemctl unmask demo-tidy.timer && systemctl start demo-tidy.timer",
        is_healthy: true,
    },
    Fault {
        name: "a disabled timer",
        cause: "systemctl disable --now demo-tidy.timer",
        steps: &[],
        // A note, which the administrator decides about: the test ends it itself.
        then: "test $(systemctl is-enabled demo-tidy.timer) = disabled && systemctl enable --now demo-tidy.timer",
        is_healthy: true,
    },
];

fn with_socket(version: &str) -> Demo {
    let mut demo = demo(version);
    demo.tables = TABLES;
    demo
}

/// The ids of the steps in a report.
fn steps(out: &Out, result: &str) -> Vec<String> {
    let lines = out.stdout.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["kind"] == "fix").then_some(line)
    });
    let fixes: Vec<Value> = lines.collect();
    assert_eq!(fixes.len(), 1, "{out}");
    let steps = fixes[0]["data"]["steps"].as_array().unwrap();
    let id = |step: &Value| {
        assert_eq!(step["result"], result, "{step}: {out}");
        step["fix"]["id"].as_str().unwrap().to_owned()
    };
    steps.iter().map(id).collect()
}

/// Everything that a fix could change, but for the lock and the records.
fn host(machine: &Machine) -> String {
    let files = "find /opt/demo /etc/demo /run/demo /run/demo-talk.sock /var/lib/demo /usr/local/lib /etc/systemd/system /etc/passwd \
                 /run/systemd/system -printf '%p %y %m %U %G %l %T@\\n' 2>&1 | sort";
    let units =
        "systemctl show 'demo*' -p Id,ActiveState,SubState,InvocationID,LoadState,NeedDaemonReload";
    machine.ok(&format!(
        "{files}; {units}; cat /var/lib/robotctl/demo/history.jsonl"
    ))
}

fn fixed_events(machine: &Machine) -> usize {
    let out = machine.robotctl("--app demo history").exits(0);
    out.stdout
        .lines()
        .filter(|line| line.contains(" fixed "))
        .count()
}

/// The commands that the doctor prints for its errors and warnings, without `sudo`.
fn printed_commands(doctor: &Out) -> Vec<String> {
    let report = doctor.data("report").remove(0);
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|one| one["severity"] != "note");
    let steps = findings.flat_map(|one| one["fix"].as_array().unwrap().clone());
    let commands = steps.filter_map(|step| step["command"].as_str().map(str::to_owned));
    let plain = |line: String| line.strip_prefix("sudo ").unwrap_or(&line).to_owned();
    commands.map(plain).collect()
}

/// Types the commands as they are printed, until the doctor is healthy.
#[track_caller]
fn type_commands(machine: &Machine, name: &str) {
    starts_have_ended(machine);
    let doctor = || machine.robotctl("--app demo doctor --format json");
    for _ in 0..3 {
        let found = doctor();
        if found.code == 0 {
            return;
        }
        for command in printed_commands(&found) {
            machine.sh(&command).exits(0);
        }
        starts_have_ended(machine);
    }
    let found = doctor();
    assert_eq!(found.code, 0, "{name}: the commands do not help: {found}");
}

/// The doctor prints `systemctl status` for a unit that still starts, which fails until that has ended.
fn starts_have_ended(machine: &Machine) {
    let starting = "systemctl list-units --state=activating,deactivating --no-legend 'demo*'";
    until("every start has ended", || machine.ok(starting).is_empty());
}

fn each_safe_fix_fixes_its_fault(machine: &Machine) {
    machine.write("/etc/demo/credentials/API_KEY", "x", 0o600);
    machine.ok("chmod 700 /etc/demo/credentials");
    with_socket("1.0").deploy_ok(machine);
    machine.robotctl("--app demo doctor").exits(0);
    let healthy = installed(machine);
    for fault in FAULTS {
        fixes(machine, fault);
        assert_eq!(installed(machine), healthy, "{}", fault.name);
    }
}

fn fixes(machine: &Machine, fault: &Fault) {
    let Fault {
        name, cause, then, ..
    } = fault;
    machine.ok(cause);
    let before = host(machine);
    // Without a step, only a note is healthy.
    let found = i32::from(!(fault.steps.is_empty() && fault.is_healthy));
    let preview = machine
        .robotctl("--app demo doctor --fix --format json")
        .exits(found);
    assert_eq!(steps(&preview, "planned"), fault.steps, "{name}: {preview}");
    assert_eq!(host(machine), before, "{name}: a preview changed something");
    let recorded = fixed_events(machine);
    if !fault.steps.is_empty() {
        let plain = machine.robotctl("--app demo doctor").exits(1);
        plain.says("safe to fix: sudo robotctl --app demo doctor --fix");
    }
    // As the preview prints it.
    let preview = machine.robotctl("--app demo doctor --fix").exits(found);
    let printed = preview.stderr.trim().strip_prefix("to do this: sudo ");
    let command = "robotctl --app demo doctor --fix --apply";
    assert_eq!(
        printed,
        (!fault.steps.is_empty()).then_some(command),
        "{name}: {preview}"
    );
    let code = i32::from(!fault.is_healthy);
    let applied = machine.sh(&format!("{command} --format json")).exits(code);
    assert_eq!(steps(&applied, "done"), fault.steps, "{name}: {applied}");
    let done = machine.sh(then);
    assert_eq!(done.code, 0, "{name}: {done}{applied}");
    assert_eq!(
        fixed_events(machine),
        recorded + fault.steps.len(),
        "{name}"
    );
    // There is nothing more to do.
    let again = machine.sh(&format!("{command} --format json")).exits(code);
    assert_eq!(steps(&again, "done"), [""; 0], "{name}: {again}");
    type_commands(machine, name);
}

const ENV: &str = "/etc/demo/env";

/// The worker has no socket, so a restart would be a gap: its command is printed.
fn a_stale_service_restarts_only_by_overlap(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let pid = |unit: &str| machine.property(unit, "MainPID");
    let (web, worker) = (pid("demo-web.service"), pid("demo-worker.service"));
    machine.write(ENV, "COLOUR=turquoise\n", 0o600);
    let preview = machine.robotctl("--app demo doctor --fix").exits(1);
    let step = "  - restart `demo-web.service` while its old processes answer [settings]\n";
    assert!(
        preview
            .stdout
            .ends_with(&format!("what `--apply` does:\n{step}")),
        "{preview}"
    );
    assert_eq!(pid("demo-web.service"), web);
    what_requires_a_service_is_not_restarted(machine);
    let applied = machine.robotctl("--app demo doctor --fix --apply").exits(1);
    let applied = applied
        .says("restarted `demo-web.service` by overlap: 1.0-")
        .says("hint: or restart it alone: sudo systemctl restart demo-worker.service");
    assert!(!applied.stderr.contains("without an overlap"), "{applied}");
    assert_ne!(pid("demo-web.service"), web);
    assert_eq!(pid("demo-worker.service"), worker, "{applied}");
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 turquoise");
    assert_eq!(fixed_events(machine), 1);
    machine.ok("systemctl restart demo-worker.service");
    machine.robotctl("--app demo doctor").exits(0);
    an_unhealthy_restart_is_not_begun(machine);
    a_process_of_another_release_is_replaced(machine);
    connections_of_earlier_processes_are_not_ended(machine);
}

/// systemd would restart a unit of the administrator with the service.
fn what_requires_a_service_is_not_restarted(machine: &Machine) {
    let unit = "[Unit]\nRequires=demo-web.service\n[Service]\nExecStart=/bin/sleep infinity\n";
    machine.write("/run/systemd/system/other.service", unit, 0o644);
    machine.ok("systemctl daemon-reload; systemctl start other.service");
    let planned = || {
        steps(
            &machine.robotctl("--app demo doctor --fix --format json"),
            "planned",
        )
    };
    assert_eq!(planned(), [""; 0]);
    machine.ok("systemctl stop other.service");
    assert_eq!(planned(), ["overlap"]);
    machine.ok("rm /run/systemd/system/other.service; systemctl daemon-reload");
}

/// A service that does not start with its new settings goes on with the old ones.
fn an_unhealthy_restart_is_not_begun(machine: &Machine) {
    let dir = "/etc/systemd/system/demo-web.service.d";
    machine.ok(&format!("mkdir -p {dir}"));
    let text = "[Service]\nExecStartPre=/bin/sh -c '[ $COLOUR != red ]'\n";
    machine.write(&format!("{dir}/50-local.conf"), text, 0o644);
    machine.ok("systemctl daemon-reload");
    machine.write(ENV, "COLOUR=red\n", 0o600);
    let pid = machine.property("demo-web.service", "MainPID");
    let applied = machine.robotctl("--app demo doctor --fix --apply --format json");
    let applied = applied.exits(1);
    assert_eq!(steps(&applied, "failed"), ["overlap"], "{applied}");
    drop(applied.says("failed its pre-check, and what is live did not change"));
    assert_eq!(machine.property("demo-web.service", "MainPID"), pid);
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 turquoise");
    machine.ok(&format!("rm -r {dir}; systemctl daemon-reload"));
    machine.robotctl("--app demo doctor --fix --apply").exits(1);
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 red");
    machine.ok("systemctl restart demo-worker.service");
    machine.robotctl("--app demo doctor").exits(0);
}

/// A service that was pinned, and whose pin was lost, runs an earlier release.
fn a_process_of_another_release_is_replaced(machine: &Machine) {
    demo("2.0").deploy_ok(machine);
    let file = "/usr/local/lib/systemd/system/demo-web.service.d/05-execstart.conf";
    let state = "/var/lib/robotctl/demo/state.json";
    machine.ok(&format!("cp -a {file} {state} /root/"));
    machine
        .robotctl("--app demo rollback --service web")
        .exits(0);
    machine.ok(&format!(
        "cp -a /root/05-execstart.conf {file}; cp -a /root/state.json {state}; systemctl daemon-reload"
    ));
    assert_eq!(machine.get(&format!("{WEB}/version")), "200 1.0");
    let found = machine.robotctl("--app demo doctor").exits(1);
    found
        .says("`demo-web.service` runs 1.0-")
        .says("it should run 2.0-");
    machine.robotctl("--app demo doctor --fix --apply").exits(0);
    assert_eq!(machine.get(&format!("{WEB}/version")), "200 2.0");
}

/// Two earlier runs drain. A further restart would end the connections of the first.
fn connections_of_earlier_processes_are_not_ended(machine: &Machine) {
    let mut clients = Vec::new();
    let mut connect = || {
        let line = "exec 3<>/dev/tcp/127.0.0.1/8080; echo >/root/connected; exec sleep 600";
        machine.ok("rm -f /root/connected");
        clients.push(machine.spawn(&["bash", "-c", line]));
        until("a client is connected", || {
            machine.exists("/root/connected")
        });
    };
    let change = |colour: &str| machine.write(ENV, &format!("COLOUR={colour}\n"), 0o600);
    for colour in ["one", "two"] {
        connect();
        change(colour);
        machine.robotctl("--app demo doctor --fix --apply").exits(1);
        assert_eq!(machine.get(&format!("{WEB}/env")), format!("200 {colour}"));
    }
    change("three");
    let preview = machine.robotctl("--app demo doctor --fix --format json");
    assert_eq!(steps(&preview, "planned"), [""; 0], "{preview}");
    machine.ok("pkill --exact sleep");
    for client in &mut clients {
        let _ = client.wait();
    }
    until("nothing drains", || {
        machine
            .sh("systemctl is-active 'demo-web-old-*.scope'")
            .stdout
            .trim()
            .is_empty()
    });
    machine.robotctl("--app demo doctor --fix --apply").exits(1);
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 three");
}

/// A deploy that was killed while its checks ran, and a fix that was killed.
fn what_a_killed_command_left_is_finished(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let kill = "pkill --oldest --signal KILL --exact robotctl";
    let has_journal = || machine.exists("/var/lib/robotctl/demo/journal.json");
    let mut slow = demo("2.0");
    slow.settle = "1h";
    let mut deploy = slow.start_deploy(machine);
    until("the release is live", || {
        has_journal() && machine.sh("curl -fsS http://127.0.0.1:8080/version").stdout == "2.0"
    });
    machine.ok(kill);
    deploy.wait().unwrap();
    machine.ok("chmod 666 /opt/demo/releases/1.0-*/VERSION");
    let preview = machine
        .robotctl("--app demo doctor --fix --format json")
        .exits(1);
    assert_eq!(steps(&preview, "planned"), ["end-change"], "{preview}");
    let applied = machine
        .robotctl("--app demo doctor --fix --apply --format json")
        .exits(0);
    assert_eq!(
        steps(&applied, "done"),
        ["end-change", "protect-release"],
        "{applied}"
    );
    assert_eq!(machine.get(&format!("{WEB}/version")), "200 1.0");

    // In the moment in which the service restarts.
    machine.write(ENV, "COLOUR=red\n", 0o600);
    let line = format!("case \"$*\" in restart*demo-web.service*) {kill};; esac");
    shim(machine, &line);
    let killed = machine.sh(&format!("{PATH} robotctl --app demo doctor --fix --apply"));
    assert_ne!(killed.code, 0, "{killed}");
    assert!(has_journal(), "{killed}");
    machine
        .robotctl("--app demo doctor")
        .exits(1)
        .says("[journal]");
    let applied = machine
        .robotctl("--app demo doctor --fix --apply --format json")
        .exits(1);
    assert_eq!(steps(&applied, "done")[0], "end-change", "{applied}");
    assert_eq!(machine.get(&format!("{WEB}/env")), "200 red");
    machine.ok("systemctl restart demo-worker.service");
    machine.robotctl("--app demo doctor").exits(0);
    assert!(!has_journal());
}
