//! `robotctl logs`: one view of what the services of an app log.

use crate::machine::{Machine, Out, until};

tests![Quick: services_are_read_in_one_view];

/// Logs a line of JSON with a trace id, a trace of several lines and bytes that control a terminal, then waits.
const SERVICE: &str = r#"
import json, os, signal, sys, time
name, version = sys.argv[1], open(os.path.dirname(__file__) + "/VERSION").read()
print(json.dumps({"level": "warn", "msg": f"{name} {version} began", "trace_id": "4bf92f35", "port": 80}), flush=True)
sys.stdout.buffer.write(b"red \x1b[31m\xff\n")
sys.stdout.flush()
if name == "web":
    print("Traceback (most recent call last):\n  File one\n    open()\nOSError: no", flush=True)
signal.pause()
"#;

fn deploy(machine: &Machine, version: &str, environment: &str) {
    let service = |name: &str| {
        format!(
            "[service.{name}]\nexec = [\"/usr/bin/python3\", \"{{current}}/service.py\", \"{name}\"]\n\
             check = [{{ settle = \"200ms\" }}]\n"
        )
    };
    let text = format!(
        "[app]\nname = \"talk\"\nversion = \"{version}\"\n{}{}[environment.staging]\n",
        service("web"),
        service("db")
    );
    machine.write("/root/talk/robot.toml", &text, 0o644);
    machine.write("/root/talk/service.py", SERVICE, 0o644);
    machine.write("/root/talk/VERSION", version, 0o644);
    machine
        .robotctl(&format!(
            "--manifest /root/talk/robot.toml {environment} deploy --apply"
        ))
        .exits(0);
    // They are up before they have written anything.
    for name in ["web", "db"] {
        until("the services have written", || {
            let line = format!("journalctl -b | grep -q '{name} {version} began'");
            machine.sh(&line).code == 0
        });
    }
}

fn logs(machine: &Machine, arguments: &str) -> Out {
    machine
        .sh(&format!("robotctl --app talk logs {arguments}"))
        .exits(0)
}

/// The lines without their time.
fn lines(out: &Out) -> Vec<String> {
    let lines = out.stdout.lines();
    lines
        .map(|line| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned())
        .collect()
}

fn services_are_read_in_one_view(machine: &Machine) {
    deploy(machine, "1.0", "");
    deploy(machine, "3.0", "--environment staging");
    deploy(machine, "2.0", "");
    machine.ok("journalctl --sync");

    let all = logs(machine, "");
    let shown = lines(&all);
    for line in [
        "web          WARNING web 1.0 began port=80 trace_id=4bf92f35",
        "db           WARNING db 2.0 began port=80 trace_id=4bf92f35",
        "web          red \\u{1b}[31m\u{fffd}",
        "web          Stopping talk-web.service - talk web...",
    ] {
        assert!(shown.contains(&line.to_owned()), "{line}: {all}");
    }
    assert!(!all.stdout.contains("3.0"), "{all}");
    assert!(!all.stdout.contains('\u{1b}'), "{all}");
    let trace = shown
        .iter()
        .position(|line| line.contains("Traceback"))
        .unwrap();
    assert!(shown[trace + 1].ends_with("  File one"), "{all}");
    assert!(shown[trace + 2].ends_with("    open()"), "{all}");

    // One environment, one service, the last entries, a pattern, a time.
    let staging = machine.robotctl("--app talk-staging logs").exits(0);
    assert!(staging.stdout.contains("web 3.0 began") && !staging.stdout.contains("2.0"));
    assert!(!logs(machine, "db").stdout.contains("web"));
    assert_eq!(lines(&logs(machine, "-n 2")).len(), 2);
    let found = logs(machine, "web -g 'w.b 1\\.0'");
    assert_eq!(lines(&found).len(), 1, "{found}");
    assert!(!logs(machine, "--since 10min").stdout.is_empty());
    logs(machine, "--since tomorrow").says("no entry of the systemd journal fits");

    // A release, and a request.
    let first = logs(machine, "--release 1.0");
    assert!(
        first.stdout.contains("web 1.0 began") && first.stdout.contains("db 1.0 began"),
        "{first}"
    );
    assert!(!first.stdout.contains("2.0 began"), "{first}");
    let request = logs(machine, "--trace 4bf92f35");
    assert_eq!(lines(&request).len(), 4, "{request}");

    programs_and_users(machine);
    readers_that_go_away(machine);
}

fn programs_and_users(machine: &Machine) {
    // Programs, and what is mistyped.
    let data = machine
        .robotctl("--app talk --format json logs web -n 500")
        .exits(0)
        .data("log");
    let began = data
        .iter()
        .find(|one| one["message"] == "web 2.0 began")
        .unwrap();
    assert_eq!(began["fields"]["port"], 80);
    assert_eq!(began["level"], "warning");
    assert_eq!(began["service"], "web");
    for (arguments, message, hint) in [
        ("wbe", "`talk` has no service `wbe`", "do you mean `web`?"),
        (
            "-g '('",
            "the systemd journal refuses this",
            "`--grep` takes a regular expression",
        ),
        (
            "--since nonsense",
            "the systemd journal refuses this",
            "10min",
        ),
        (
            "--release 9.9",
            "there is no release `9.9`",
            "list the releases",
        ),
    ] {
        let refused = machine
            .sh(&format!("robotctl --app talk logs {arguments}"))
            .exits(2);
        refused.says(message).says(hint);
    }

    // Users with and without the right to read.
    let as_user = |groups: &str| {
        machine.sh(&format!(
            "setpriv --reuid=65534 --regid=65534 {groups} robotctl --app talk logs -n 1"
        ))
    };
    as_user("--clear-groups")
        .exits(2)
        .says("only root and members of the group `systemd-journal`")
        .says("sudo robotctl --app talk logs -n 1")
        .says("usermod -aG systemd-journal");
    as_user("--groups systemd-journal").exits(0);
}

fn readers_that_go_away(machine: &Machine) {
    // A closed pipe, and Ctrl-C.
    machine
        .ok("set -o pipefail; timeout 20 robotctl --app talk logs -f -n 5 | head -n 1 >/dev/null");
    machine.ok(
        "robotctl --app talk logs -f -n 1 > /root/followed 2>&1 < /dev/null & echo $! > /root/pid",
    );
    until("the first line is shown", || {
        !machine.read("/root/followed").is_empty()
    });
    machine.ok("systemctl restart talk-db.service");
    until("a new line is shown", || {
        machine.read("/root/followed").contains("db 2.0 began")
    });
    machine.ok("kill -INT $(cat /root/pid); tail --pid=$(cat /root/pid) -f /dev/null");
    machine.sh("pgrep journalctl").prints_nothing();
}
