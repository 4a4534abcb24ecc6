//! How long clients wait while a release changes, against the same load at rest.
//!
//! One machine at a time, and nothing else at work. After each change comes as much rest as the
//! change took, so that there are as many answers of either kind: the slowest of many is slower
//! than the slowest of a few. The clients are a session of their own, as they would be on another
//! host: the kernel gives them no less time for what `robotctl` takes (sched(7), autogroups).
//!
//! Which minute meets the worst moment of a virtual machine is chance. While what changes looks worse
//! than it may, both go on, for up to [`ROUNDS`] rounds, all of which count. That favours a pass: it
//! tells what clients feel, as a restart without overlap is ([`a_plain_restart_is_felt`]), and not a
//! third more or less. Why it is so: `docs/decisions/0012-how-waiting-is-judged.md`.

use crate::load::{Load, Tally};
use crate::machine::Machine;
use crate::servers::{ADDRESS, CLIENTS, NODE, PLAIN, RUST, Server, UVICORN, gunicorn};
use std::time::{Duration, Instant};

/// An answer may take so many times what it does at rest.
const TWICE: u128 = 2;

/// Rest is taken to be no quieter than this many milliseconds: on the same server the slowest
/// answer of a minute is 3 ms or 30, as the host of a virtual machine has time for it.
const QUIET: u128 = 10;

/// Upgrades and rollbacks of one round: an empty version is a rollback.
const ROUND: [&str; 6] = ["a", "b", "", "c", "d", ""];

const ROUNDS: usize = 4;

pub fn gunicorn_is_not_felt(machine: &Machine) {
    not_felt(machine, gunicorn(machine));
}

pub fn uvicorn_is_not_felt(machine: &Machine) {
    not_felt(machine, &UVICORN);
}

pub fn node_is_not_felt(machine: &Machine) {
    not_felt(machine, &NODE);
}

pub fn rust_is_not_felt(machine: &Machine) {
    not_felt(machine, &RUST);
}

pub fn a_server_behind_the_proxy_is_not_felt(machine: &Machine) {
    not_felt(machine, &PLAIN);
}

/// The proof tells the difference: without the overlap, clients wait for the new release.
pub fn a_plain_restart_is_felt(machine: &Machine) {
    let (moving, rest) = compared(machine, &gunicorn(machine).restarted(), 1);
    assert!(moving > bound(rest), "{moving} ms, {rest} ms at rest");
}

fn not_felt(machine: &Machine, server: &Server) {
    let (moving, rest) = compared(machine, server, ROUNDS);
    assert!(
        moving <= bound(rest),
        "the slowest answer took {moving} ms while releases changed, {rest} ms at rest"
    );
}

/// The most milliseconds that an answer may take while a release changes.
fn bound(rest: u128) -> u128 {
    TWICE * rest.max(QUIET)
}

/// The slowest answers while releases changed and at rest, in milliseconds, after as many rounds
/// as it takes, or `most`. Notes a line of the table.
fn compared(machine: &Machine, server: &Server, most: usize) -> (u128, u128) {
    server.deploy(machine, "0.0", "").exits(0);
    let (mut moving, mut rest) = (Vec::new(), Vec::new());
    let mut rounds = 0;
    while rounds == 0 || rounds < most && slowest(&moving) > bound(slowest(&rest)) {
        rounds += 1;
        let pairs = round(machine, server, rounds);
        for (while_moving, at_rest) in pairs {
            moving.push(while_moving);
            rest.push(at_rest);
        }
    }
    let (all_moving, all_rest) = (sum(&moving), sum(&rest));
    let (longest, longest_rest) = (slowest(&moving), slowest(&rest));
    machine.note(&format!(
        "| {} | {} | {} | {} / {} | {} / {} | {} / {} | {} / {} |",
        machine.suite,
        server.name,
        moving.len(),
        all_moving.answered,
        all_rest.answered,
        longest,
        longest_rest,
        median(&moving),
        median(&rest),
        all_moving.p99(),
        all_rest.p99(),
    ));
    let lost = all_moving.lost() + all_rest.lost();
    assert_eq!(lost, 0, "{:?} {:?}", all_moving.failed, all_rest.failed);
    (longest, longest_rest)
}

/// One round: for each change what was seen until a second after it, and in as long a rest.
fn round(machine: &Machine, server: &Server, number: usize) -> Vec<(Tally, Tally)> {
    let mut load = Load::start(machine, ADDRESS, CLIENTS);
    // The first answers of a server and of the clients are nobody's.
    std::thread::sleep(Duration::from_secs(1));
    for (at, version) in ROUND.iter().enumerate() {
        load.phase(&format!("moving {at}"));
        let begun = Instant::now();
        match *version {
            "" => machine.robotctl("rollback"),
            letter => server.deploy(machine, &format!("{number}.0{letter}"), ""),
        }
        .exits(0);
        // What went before is still felt.
        std::thread::sleep(Duration::from_secs(1));
        let took = begun.elapsed();
        load.phase(&format!("rest {at}"));
        std::thread::sleep(took);
    }
    let mut tallies = load.stop();
    assert_eq!(tallies["rest"].lost(), 0, "{:?}", tallies["rest"].failed);
    let pairs = (0..ROUND.len()).map(|at| {
        let mut seen = |phase: &str| tallies.remove(&format!("{phase} {at}")).unwrap();
        (seen("moving"), seen("rest"))
    });
    pairs.collect()
}

fn sum(tallies: &[Tally]) -> Tally {
    let mut all = Tally::default();
    for tally in tallies {
        all.add(tally);
    }
    all
}

/// The longest that anybody waited, in milliseconds: what takes two seconds by itself may take no
/// longer either.
fn slowest(tallies: &[Tally]) -> u128 {
    let waited = |tally: &Tally| {
        tally
            .slowest_ms
            .max(tally.slowest_slow_ms.saturating_sub(2000))
    };
    tallies.iter().map(waited).max().unwrap_or(0)
}

/// The slowest answer of a change, or of a rest, half of the time.
fn median(tallies: &[Tally]) -> u128 {
    let mut each: Vec<u128> = tallies
        .iter()
        .map(|tally| slowest(std::slice::from_ref(tally)))
        .collect();
    each.sort_unstable();
    each[each.len() / 2]
}
