//! The proof: upgrades, rollbacks and broken releases under load, on real servers.
//!
//! Each server goes through rounds of four changes: two upgrades, a rollback and a release that is
//! broken in one way. Two machines run at a time, unless `--jobs` says otherwise: what is judged here
//! is who gets an answer, and that nobody stands still; `latency.rs` compares how long they wait.

use crate::load::Load;
use crate::machine::{Machine, until};
use crate::servers::{
    ADDRESS, CLIENTS, FAULTS, HELD_UP, NODE, NODE_BLOCKING, PLAIN, RUST, Server, UVICORN,
    UVICORN_ITSELF, crossed_at_most, gunicorn, losses,
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

/// Every kind of broken release on every server, in place of one or two.
pub static FULL: AtomicBool = AtomicBool::new(false);

fn gunicorn_loses_nothing(machine: &Machine) {
    prove(machine, gunicorn(machine));
}

fn uvicorn_loses_nothing(machine: &Machine) {
    prove(machine, &UVICORN);
}

fn node_loses_nothing(machine: &Machine) {
    prove(machine, &NODE);
}

fn rust_loses_nothing(machine: &Machine) {
    prove(machine, &RUST);
}

fn a_server_behind_the_proxy_loses_nothing(machine: &Machine) {
    prove(machine, &PLAIN);
}

/// Stopped, Uvicorn closes what it has accepted and not read from yet (`H11Protocol.shutdown`):
/// with the socket handed over, a few requests a stop are reset.
fn uvicorn_on_its_own_for_comparison(machine: &Machine) {
    let account = go_through(machine, &UVICORN_ITSELF, UVICORN_ITSELF.faults);
    let all = tell(machine, &UVICORN_ITSELF, &account);
    assert_eq!(never(&account, &all), 0, "{:?}", all.bodies);
}

/// Accept(2) blocks in whoever loses the race for a connection while another process of the same
/// socket starts: see `docs/decisions/0006-non-blocking-sockets.md`.
fn node_on_a_blocking_socket_for_comparison(machine: &Machine) {
    let account = go_through(machine, &NODE_BLOCKING, NODE_BLOCKING.faults);
    tell(machine, &NODE_BLOCKING, &account);
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

/// What a server went through.
struct Account {
    changes: usize,
    /// Broken releases: their pre-check refused each.
    refused: Vec<String>,
    tallies: BTreeMap<String, Tally>,
    /// Versions whose pre-check failed.
    never: Vec<String>,
    upgrade: Duration,
}

fn prove(machine: &Machine, server: &Server) {
    let faults: Vec<&str> = match FULL.load(Ordering::Relaxed) {
        true => FAULTS.to_vec(),
        false => server.faults.to_vec(),
    };
    let account = go_through(machine, server, &faults);
    judge(machine, server, &account);
    cycles(machine);
}

fn go_through(machine: &Machine, server: &Server, faults: &[&str]) -> Account {
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
        for step in ["a", "b"] {
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
        change(&mut load, "broken", &mut || {
            let version = format!("{}.9-{fault}", round + 1);
            let out = server.deploy(machine, &version, fault);
            assert_eq!(out.code, 2, "{fault}: {out}");
            refused.push(fault.to_string());
            never.push(version);
        });
        let answer = machine.get(&format!("http://{ADDRESS}/"));
        assert_eq!(answer, format!("200 {}.0a", round + 1), "after {fault}");
    }
    Account {
        changes,
        refused,
        tallies: load.stop(),
        never,
        upgrade: mean(&upgrades),
    }
}

/// Nothing announces that enough was asked.
fn rest(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Clients that ask again at once, so that no processor is ever idle: what starts can only take its
/// time from what answers. How long that takes is told and not judged, since at rest as well they
/// wait for each other, a fifth of a second at times.
fn at_its_limit(machine: &Machine, server: &Server) {
    server.deploy(machine, "0.0", "").exits(0);
    let mut load = Load::start(machine, ADDRESS, "hard=8");
    rest(2);
    let mut upgrades = Vec::new();
    for version in ["1.0", "2.0", ""] {
        let start = Instant::now();
        if version.is_empty() {
            load.phase("rollback");
            machine.robotctl("rollback").exits(0);
        } else {
            load.phase("upgrade");
            server.deploy(machine, version, "").exits(0);
            upgrades.push(start.elapsed());
        }
        // What went before is still felt.
        rest(1);
        load.phase("rest");
        rest(2);
    }
    let account = Account {
        changes: 3,
        refused: Vec::new(),
        tallies: load.stop(),
        never: Vec::new(),
        upgrade: mean(&upgrades),
    };
    let all = tell(machine, server, &account);
    assert_eq!(all.lost(), 0, "{}", losses(machine, &account.tallies));
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap()
}

/// Three times down and up: no process and no held port is left behind.
fn cycles(machine: &Machine) {
    for _ in 0..3 {
        machine.ok("systemctl stop proof.target");
        let left = "pgrep -u proof || ss -Hltn 'sport = :8080'";
        // A Gunicorn that is stopped while its workers start has one that does not hear it.
        until("everything is down", Duration::from_secs(40), || {
            machine.sh(left).stdout.is_empty()
        });
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

fn judge(machine: &Machine, server: &Server, account: &Account) {
    let all = tell(machine, server, account);
    assert_eq!(all.lost(), 0, "{}", losses(machine, &account.tallies));
    assert_eq!(never(account, &all), 0, "{:?}", all.bodies);
    assert!(all.waited_ms() < HELD_UP, "{} ms", all.waited_ms());
    let most = crossed_at_most(account.changes);
    assert!(all.crossed <= most, "{} of {most}", all.crossed);
}

/// Notes a line of the table.
fn tell(machine: &Machine, server: &Server, account: &Account) -> Tally {
    let rest = &account.tallies["rest"];
    let mut all = Tally::default();
    let mut moving = Tally::default();
    for (phase, tally) in &account.tallies {
        all.add(tally);
        if phase != "rest" {
            moving.add(tally);
        }
    }
    machine.note(&format!(
        "| {} | {} | {} | {} | {} | {} | {} / {} | {} / {} | {} / {} | {} / {} | {:.1} s | {} |",
        machine.suite,
        server.name,
        account.changes,
        all.answered,
        all.lost(),
        never(account, &all),
        moving.slowest_ms,
        rest.slowest_ms,
        moving.p99(),
        rest.p99(),
        moving.slowest_slow_ms,
        rest.slowest_slow_ms,
        all.closed,
        all.crossed,
        account.upgrade.as_secs_f32(),
        account.refused.join(", "),
    ));
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
fn never(account: &Account, all: &Tally) -> usize {
    let counts = account.never.iter();
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
    until("it answers", Duration::from_secs(10), || {
        machine.get(&format!("http://{ADDRESS}/")) == "200 1.0"
    });
    let mut load = Load::start(machine, ADDRESS, CLIENTS);
    rest(3);
    let restarts = if FULL.load(Ordering::Relaxed) { 20 } else { 5 };
    for _ in 0..restarts {
        load.phase("restart");
        machine.ok("systemctl restart plain.service");
        until("it answers", Duration::from_secs(10), || {
            machine.get(&format!("http://{ADDRESS}/")) == "200 1.0"
        });
        load.phase("rest");
        rest(1);
    }
    let tallies = load.stop();
    let (restart, rest) = (&tallies["restart"], &tallies["rest"]);
    let mut all = rest.clone();
    all.add(restart);
    machine.note(&format!(
        "| {} | http.server, `systemctl restart` | {restarts} | {} | {} {:?} | | {} / {} | {} / {} | {} / {} | {} / {} | | |",
        machine.suite,
        all.answered,
        all.lost(),
        all.failed,
        restart.slowest_ms,
        rest.slowest_ms,
        restart.p99(),
        rest.p99(),
        restart.slowest_slow_ms,
        rest.slowest_slow_ms,
        all.closed,
        all.crossed,
    ));
    assert!(all.lost() > 0, "a comparison that compares nothing");
}
