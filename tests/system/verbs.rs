//! The everyday commands: `restart`, `start` and `stop`.

use crate::demo::{WEB, demo, running_release};
use crate::load::Load;
use crate::machine::Machine;
use crate::tally::Tally;

tests![
    Quick:
    services_stop_start_and_restart,
    no_request_is_lost_in_restarts,
];

/// A service with its own port, one that requires it, one that does not start with the app, and a job that fails.
const TABLES: &str = r#"
[service.db]
exec = ["{current}/app.py", "direct"]
type = "notify"
socket = "direct"
listen = ["127.0.0.1:8090"]
check = [{ settle = "100ms" }]

[service.front]
exec = ["{current}/app.py", "web"]
type = "notify"
listen = ["127.0.0.1:8091"]
requires = ["db"]
check = [{ settle = "100ms" }]

[service.spare]
exec = ["{current}/app.py", "worker"]
type = "notify"
enable = false
conflicts = ["worker"]
check = [{ settle = "100ms" }]

[service.broken]
exec = ["/usr/bin/sh", "-c", "echo cannot go on; exit 7"]
type = "oneshot"
timer = { calendar = "yearly" }
"#;

fn states(machine: &Machine, units: &[&str]) -> Vec<String> {
    let units: Vec<String> = units.iter().map(|unit| format!("demo-{unit}")).collect();
    let line = format!("systemctl is-active {}", units.join(" "));
    machine
        .sh(&line)
        .stdout
        .lines()
        .map(str::to_owned)
        .collect()
}

fn main_pid(machine: &Machine, unit: &str) -> String {
    machine.property(unit, "MainPID")
}

fn services_stop_start_and_restart(machine: &Machine) {
    machine
        .robotctl("stop")
        .exits(2)
        .says("no app is deployed on this host");
    let mut app = demo("1.0");
    app.tables = TABLES;
    let release = app.deploy_ok(machine);

    // Words that mean nothing, and users who may not.
    let typo = machine.robotctl("restart wrker").exits(2);
    typo.says("`demo` has no service `wrker`")
        .says("do you mean `worker`?");
    machine
        .sh("setpriv --reuid=65534 --regid=65534 --clear-groups robotctl restart web")
        .exits(2)
        .says("sudo robotctl restart web");
    machine
        .robotctl("restart tidy")
        .exits(2)
        .says("`tidy` is a job, which runs and ends")
        .says("sudo robotctl start tidy");

    // What a stopped service requires goes on, what requires it stops, too.
    let all = [
        "web.socket",
        "web.service",
        "db.service",
        "front.socket",
        "front.service",
        "worker.service",
        "tidy.timer",
    ];
    machine
        .robotctl("stop db --dry-run")
        .exits(0)
        .says("stop      demo-front.socket");
    assert_eq!(states(machine, &all), ["active"; 7]);
    machine
        .robotctl("stop db")
        .exits(0)
        .says("stopped `demo-front.socket`");
    let expected = [
        "active", "active", "inactive", "inactive", "inactive", "active", "active",
    ];
    assert_eq!(states(machine, &all), expected);
    machine
        .sh("ss -Hltn sport = :8090 or sport = :8091")
        .prints_nothing();
    machine
        .robotctl("status")
        .exits(0)
        .says("stopped with `robotctl stop` at");
    let doctor = machine.robotctl("doctor").exits(0);
    doctor
        .says("`demo-db.service` was stopped with `robotctl stop`")
        .says("start db");
    machine
        .robotctl("stop db")
        .exits(0)
        .says("nothing to do: `demo-db.service` is down");
    // A deploy does not start it, and a restart of the app does not either.
    "2.0".clone_into(&mut app.version);
    let release = {
        let second = app.deploy_ok(machine);
        assert_ne!(second, release);
        second
    };
    machine.robotctl("restart").exits(0);
    assert_eq!(states(machine, &all), expected);
    // A service starts with what it requires.
    machine
        .robotctl("start front")
        .exits(0)
        .says("started `demo-front.socket`");
    assert_eq!(states(machine, &all), ["active"; 7]);
    assert_eq!(running_release(machine, "demo-db.service"), release);
    machine.robotctl("doctor").exits(0);

    conflicts_and_jobs(machine);
    restarts(machine, &all);
}

fn conflicts_and_jobs(machine: &Machine) {
    // Services that exclude each other.
    machine
        .robotctl("start spare")
        .exits(2)
        .says("`spare` and `worker` conflict, and `worker` runs")
        .says("sudo robotctl stop worker");
    machine.robotctl("stop worker").exits(0);
    machine.robotctl("start spare").exits(0);
    machine.robotctl("start").exits(0).says("nothing to do");
    // What ran last starts again with the app, and not what the manifest enables.
    machine.robotctl("stop").exits(0);
    machine.robotctl("start").exits(0);
    assert_eq!(
        states(machine, &["worker.service", "spare.service"]),
        ["inactive", "active"]
    );
    machine.robotctl("stop spare").exits(0);
    machine.robotctl("start worker").exits(0);

    // Jobs.
    machine
        .robotctl("start tidy")
        .exits(0)
        .says("started `demo-tidy.service`");
    machine.ok("journalctl -u demo-tidy.service | grep 'tidied by 2.0'");
    let failed = machine.robotctl("start broken").exits(1);
    failed
        .says("`demo-broken.service` did not start")
        .says("cannot go on")
        .says("7");
}

fn restarts(machine: &Machine, all: &[&str]) {
    // Only the named service restarts, and a plain restart of a broken neighbour does not count.
    machine.ok("systemctl kill -s KILL demo-worker.service; systemctl stop demo-worker.service");
    let (web, db) = (
        main_pid(machine, "demo-web.service"),
        main_pid(machine, "demo-db.service"),
    );
    machine
        .robotctl("restart web")
        .exits(0)
        .says("restarted `demo-web.service`");
    assert_ne!(main_pid(machine, "demo-web.service"), web);
    assert_eq!(main_pid(machine, "demo-db.service"), db);
    machine.robotctl("restart db").exits(0);
    assert_ne!(main_pid(machine, "demo-db.service"), db);
    machine.robotctl("restart worker").exits(0);

    // The whole app: nothing is left, and one command brings it back.
    machine.robotctl("stop").exits(0);
    assert!(states(machine, all).iter().all(|state| state == "inactive"));
    let left = "cat /sys/fs/cgroup/demo.slice/cgroup.procs /sys/fs/cgroup/unified/demo.slice/*/cgroup.procs 2>/dev/null; true";
    machine.sh(left).prints_nothing();
    machine
        .robotctl("restart")
        .exits(0)
        .says("nothing to do: no service of `demo` runs");
    machine.robotctl("start").exits(0);
    assert_eq!(states(machine, all), ["active"; 7]);
    assert_eq!(machine.get(WEB), "200 2.0");
    machine.robotctl("doctor").exits(0);
    let history = machine.robotctl("history").exits(0).stdout;
    for word in ["restarted", "started", "stopped"] {
        assert!(history.contains(word), "{word}: {history}");
    }

    // A release that someone has damaged does not pass its pre-check: the running process goes on.
    let web = main_pid(machine, "demo-web.service");
    machine.ok("echo -n no-start > /opt/demo/current/fault");
    machine
        .robotctl("restart web")
        .exits(2)
        .says("failed its pre-check, and what is live did not change");
    assert_eq!(main_pid(machine, "demo-web.service"), web);
    // A service that starts and fails its check stays up, and the exit code says so.
    machine.robotctl("stop web").exits(0);
    machine
        .robotctl("start web")
        .exits(1)
        .says("`demo-web.service` did not start");
    assert_eq!(states(machine, &["web.socket"]), ["active"]);

    // A service without a socket has no overlap: its restart fails, and so does the restart of what ran.
    machine
        .robotctl("restart worker")
        .exits(4)
        .says("`demo-worker.service`: it ended with exit status 1");
    machine.ok("echo -n > /opt/demo/current/fault");
    machine.robotctl("start").exits(0);

    // A process that systemd leaves alone is named.
    machine.write(
        "/etc/systemd/system/demo-worker.service.d/keep.conf",
        "[Service]\nKillMode=process\nExecStartPost=+/usr/bin/setsid -f /usr/bin/sleep 1000\n",
        0o644,
    );
    machine.ok("systemctl daemon-reload");
    machine.robotctl("restart worker").exits(0);
    machine
        .robotctl("stop worker")
        .exits(4)
        .says("(`sleep`) of `demo-worker.service` still runs");
}

fn no_request_is_lost_in_restarts(machine: &Machine) {
    demo("1.0").deploy_ok(machine);
    let mut load = Load::start(machine, "127.0.0.1:8080", "8");
    load.phase("restarts");
    let mut pids = std::collections::BTreeSet::new();
    for _ in 0..4 {
        machine.robotctl("restart web").exits(0);
        pids.insert(main_pid(machine, "demo-web.service"));
    }
    machine.robotctl("restart").exits(0);
    let tallies = load.stop();
    let restarts = &tallies["restarts"];
    let lost: usize = tallies.values().map(Tally::lost).sum();
    machine.note(&format!(
        "5 restarts under 8 clients: {lost} of {} requests lost, slowest {} ms",
        restarts.answered, restarts.slowest_ms,
    ));
    assert_eq!(pids.len(), 4, "{pids:?}");
    assert_eq!(lost, 0, "{tallies:?}");
}
