//! Upgrades, rollbacks and broken releases under load, on real servers: no request may be lost.
//!
//! Each server goes through rounds of changes. With `--full`, each kind of broken release has a round:
//! two upgrades, a rollback and that release. By default it is one round with one upgrade. Whether a
//! client gets an answer does not depend on how busy the host is, so any number of machines may run at
//! a time. How long clients wait is reported and not checked; `latency.rs` compares it.

use crate::load::Load;
use crate::machine::{Machine, until};
use crate::servers::{
    ADDRESS, CLIENTS, FAULTS, NODE, NODE_BLOCKING, PLAIN, RUST, Server, UVICORN, UVICORN_ITSELF,
    describe_losses, gunicorn,
};
use crate::tally::Tally;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

tests![
    Load:
    gunicorn_loses_nothing,
    uvicorn_loses_nothing,
    node_loses_nothing,
    rust_loses_nothing,
    a_server_behind_the_proxy_loses_nothing,
    gunicorn_at_its_limit,
    uvicorn_at_its_limit,
    node_at_its_limit,
    rust_at_its_limit,
    a_server_behind_the_proxy_at_its_limit,
];
tests![
    Comparison:
    uvicorn_on_its_own_for_comparison,
    node_on_a_blocking_socket_for_comparison,
    a_plain_restart_for_comparison,
];

/// Whether every server gets all kinds of broken releases.
pub static FULL: AtomicBool = AtomicBool::new(false);

/// Whether this is the full form.
pub fn is_full() -> bool {
    FULL.load(Ordering::Relaxed)
}

fn gunicorn_loses_nothing(machine: &Machine) {
    loses_nothing(machine, gunicorn(machine));
}

fn uvicorn_loses_nothing(machine: &Machine) {
    loses_nothing(machine, &UVICORN);
}

fn node_loses_nothing(machine: &Machine) {
    loses_nothing(machine, &NODE);
}

fn rust_loses_nothing(machine: &Machine) {
    loses_nothing(machine, &RUST);
}

fn a_server_behind_the_proxy_loses_nothing(machine: &Machine) {
    loses_nothing(machine, &PLAIN);
}

/// When it stops, Uvicorn closes connections that it has accepted and not read from yet
/// (`H11Protocol.shutdown`). If systemd passes it the socket, a few requests are reset at each
/// stop.
fn uvicorn_on_its_own_for_comparison(machine: &Machine) {
    let account = run_changes(machine, &UVICORN_ITSELF);
    let all = note_row(machine, "upgrades", &UVICORN_ITSELF, &account);
    assert_eq!(answers_of_refused(&account, &all), 0, "{:?}", all.bodies);
}

/// accept(2) blocks in a process that loses the race for a connection while another process of the
/// same socket starts: see `docs/decisions/0006-non-blocking-sockets.md`.
fn node_on_a_blocking_socket_for_comparison(machine: &Machine) {
    let account = run_changes(machine, &NODE_BLOCKING);
    note_row(machine, "upgrades", &NODE_BLOCKING, &account);
}

fn gunicorn_at_its_limit(machine: &Machine) {
    at_its_limit(machine, gunicorn(machine));
}

fn uvicorn_at_its_limit(machine: &Machine) {
    at_its_limit(machine, &UVICORN);
}

fn node_at_its_limit(machine: &Machine) {
    at_its_limit(machine, &NODE);
}

fn rust_at_its_limit(machine: &Machine) {
    at_its_limit(machine, &RUST);
}

fn a_server_behind_the_proxy_at_its_limit(machine: &Machine) {
    at_its_limit(machine, &PLAIN);
}

/// The result of all changes of a server.
struct Account {
    changes: usize,
    /// Broken releases. The pre-check refused each of them.
    refused: Vec<String>,
    tallies: BTreeMap<String, Tally>,
    /// Versions whose pre-check failed.
    refused_versions: Vec<String>,
    upgrade: Duration,
}

fn loses_nothing(machine: &Machine, server: &Server) {
    let account = run_changes(machine, server);
    let all = note_row(machine, "upgrades", server, &account);
    assert_eq!(
        all.lost(),
        0,
        "{}",
        describe_losses(machine, &account.tallies)
    );
    assert_eq!(answers_of_refused(&account, &all), 0, "{:?}", all.bodies);
    stop_and_start(machine);
}

fn run_changes(machine: &Machine, server: &Server) -> Account {
    let (faults, steps): (&[&str], &[&str]) = match is_full() {
        true => (&FAULTS, &["a", "b"]),
        false => (&[server.fault], &["a"]),
    };
    server.deploy(machine, "0.0", "").exits(0);
    let mut load = Load::start(machine, ADDRESS, CLIENTS);
    rest(2);
    let (mut changes, mut refused, mut never) = (0, Vec::new(), Vec::new());
    let mut upgrades = Vec::new();
    let mut change = |load: &mut Load, phase: &str, then: &mut dyn FnMut()| {
        load.phase(phase);
        then();
        load.phase("after");
        changes += 1;
        rest(1);
        load.phase("rest");
        rest(1);
    };
    for (round, fault) in faults.iter().enumerate() {
        for step in steps {
            change(&mut load, "upgrade", &mut || {
                let start = Instant::now();
                let version = format!("{}.0{step}", round + 1);
                server.deploy(machine, &version, "").exits(0);
                upgrades.push(start.elapsed());
            });
        }
        change(&mut load, "rollback", &mut || {
            machine.robotctl("rollback").exits(0);
        });
        let live = match is_full() {
            true => format!("{}.0a", round + 1),
            false => "0.0".to_owned(),
        };
        change(&mut load, "broken", &mut || {
            let version = format!("{}.9-{fault}", round + 1);
            let out = server.deploy(machine, &version, fault);
            assert_eq!(out.code, 2, "{fault}: {out}");
            refused.push(fault.to_string());
            never.push(version);
        });
        let answer = machine.get(&format!("http://{ADDRESS}/"));
        assert_eq!(answer, format!("200 {live}"), "after {fault}");
    }
    Account {
        changes,
        refused,
        tallies: load.stop(),
        refused_versions: never,
        upgrade: mean(&upgrades),
    }
}

/// Waits, because no event says that there were enough requests.
fn rest(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Clients that ask again at once keep every processor busy: a new process takes its time from
/// those that answer. How long that takes is reported and not checked, because the clients also
/// wait for each other at rest, at times for a fifth of a second.
fn at_its_limit(machine: &Machine, server: &Server) {
    server.deploy(machine, "0.0", "").exits(0);
    let mut load = Load::start(machine, ADDRESS, "hard=8");
    rest(2);
    let mut upgrades = Vec::new();
    let versions: &[&str] = match is_full() {
        true => &["1.0", "2.0", ""],
        false => &["1.0", ""],
    };
    for version in versions {
        let start = Instant::now();
        if version.is_empty() {
            load.phase("rollback");
            machine.robotctl("rollback").exits(0);
        } else {
            load.phase("upgrade");
            server.deploy(machine, version, "").exits(0);
            upgrades.push(start.elapsed());
        }
        // The change may still have an effect.
        rest(1);
        load.phase("rest");
        rest(2);
    }
    let account = Account {
        changes: versions.len(),
        refused: Vec::new(),
        tallies: load.stop(),
        refused_versions: Vec::new(),
        upgrade: mean(&upgrades),
    };
    let all = note_row(machine, "limit", server, &account);
    assert_eq!(
        all.lost(),
        0,
        "{}",
        describe_losses(machine, &account.tallies)
    );
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap()
}

/// Stops and starts the app: no process and no held port is left.
fn stop_and_start(machine: &Machine) {
    for _ in 0..if is_full() { 3 } else { 1 } {
        machine.ok("systemctl stop proof.target");
        let left = "pgrep -u proof || ss -Hltn 'sport = :8080'";
        // A Gunicorn that is stopped while its workers start has one worker that misses the signal.
        until("everything is down", || machine.sh(left).stdout.is_empty());
        machine.ok("systemctl start proof.target");
        assert!(
            machine
                .get(&format!("http://{ADDRESS}/"))
                .starts_with("200 ")
        );
    }
    machine.robotctl("check").exits(0);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// Adds a row to a table. Returns the sum of all phases.
fn note_row(machine: &Machine, table: &str, server: &Server, account: &Account) -> Tally {
    let rest = &account.tallies["rest"];
    let mut all = Tally::default();
    let mut moving = Tally::default();
    for (phase, tally) in &account.tallies {
        all.add(tally);
        if phase != "rest" {
            moving.add(tally);
        }
    }
    let mut cells = vec![
        server.name.to_owned(),
        format!("{}", account.changes),
        format!("{}", all.answered),
        format!("{}", all.lost()),
        format!("{} / {}", moving.waited_ms(), rest.waited_ms()),
        format!("{} / {}", moving.permille(990), rest.permille(990)),
        format!("{:.1} s", account.upgrade.as_secs_f32()),
    ];
    if !account.refused.is_empty() {
        cells.extend([
            format!("{} / {}", all.closed, all.crossed),
            account.refused.join(", "),
            format!("{}", answers_of_refused(account, &all)),
        ]);
    }
    machine.row(table, &cells);
    let phases = account.tallies.iter();
    let slowest: Vec<String> = phases
        .map(|(phase, tally)| {
            let (slowest, after) = (tally.slowest_ms, tally.slowest_after_ms);
            format!("{phase} {slowest} ms, {after} ms after it began")
        })
        .collect();
    machine.note(&format!("slowest: {}", slowest.join("; ")));
    all
}

/// Answers from releases that failed their pre-check.
fn answers_of_refused(account: &Account, all: &Tally) -> usize {
    let counts = account.refused_versions.iter();
    counts.filter_map(|version| all.bodies.get(version)).sum()
}

/// The same load on `systemctl restart` of a service that binds its own address.
fn a_plain_restart_for_comparison(machine: &Machine) {
    machine.write(
        "/root/plain/plain.py",
        include_str!("servers/plain.py"),
        0o755,
    );
    machine.write("/root/plain/VERSION", "1.0", 0o644);
    machine.write("/root/plain/fault", "", 0o644);
    let unit = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nWorkingDirectory=/root/plain\nExecStart=/root/plain/plain.py 8080\n";
    machine.write("/etc/systemd/system/plain.service", unit, 0o644);
    machine.ok("systemctl daemon-reload && systemctl start plain.service");
    until("it answers", || {
        machine.get(&format!("http://{ADDRESS}/")) == "200 1.0"
    });
    let mut load = Load::start(machine, ADDRESS, CLIENTS);
    rest(3);
    let restarts = 20;
    for _ in 0..restarts {
        load.phase("restart");
        machine.ok("systemctl restart plain.service");
        until("it answers", || {
            machine.get(&format!("http://{ADDRESS}/")) == "200 1.0"
        });
        load.phase("rest");
        rest(1);
    }
    let tallies = load.stop();
    let mut all = Tally::default();
    for tally in tallies.values() {
        all.add(tally);
    }
    let failed = |what: &str| {
        let of = all.failed.iter().filter(|(how, _)| how.contains(what));
        of.map(|(_, count)| count).sum::<usize>().to_string()
    };
    machine.row(
        "restarts",
        &[
            format!("{restarts}"),
            format!("{}", all.answered),
            failed("refused"),
            failed("reset"),
            failed("closed"),
        ],
    );
    machine.note(&format!("{:?}", all.failed));
    assert!(
        all.lost() > 0,
        "the restart lost no request: the comparison shows nothing"
    );
}
