//! How long clients wait while a release changes, against the same load at rest.
//!
//! One machine at a time, and nothing else at work. After each change comes as much rest as the
//! change took, so that there are about as many answers of either kind: the slowest of many is
//! slower than the slowest of a few. The clients are a session of their own, as they would be on
//! another host: where no control groups share out the processors, the kernel gives them no less
//! time for what `robotctl` takes (sched(7), autogroups).
//!
//! Which minute meets the worst moment of a virtual machine is chance. While what changes looks worse
//! than it may, both go on, for up to [`ROUNDS`] rounds, all of which count. One bad moment at rest
//! excuses one as bad while something changes, but nothing excuses changes that are slower as a
//! rule: their median is judged as well. That both tell a difference is shown by the same server
//! without the overlap ([`a_plain_restart_is_felt`]).
//! Why it is so: `docs/decisions/0012-how-waiting-is-judged.md`.

use crate::load::Load;
use crate::machine::Machine;
use crate::servers::{
    ADDRESS, CLIENTS, HELD_UP, NODE, PLAIN, RUST, Server, UVICORN, crossed_at_most, gunicorn,
    gunicorn_restarted, journal,
};
use crate::tally::Tally;
use std::time::{Duration, Instant};

/// An answer may take so many times what it does at rest.
const TWICE: u128 = 2;

/// Rest is taken to be no quieter than this many milliseconds, for the slowest answer of all: on the
/// same server that is 3 ms in one minute and 50 in another, as the host of a virtual machine has
/// time for it.
const QUIET: u128 = 25;

/// The same for the median of the slowest answers of each change, which is not moved by a bad moment.
const USUALLY_QUIET: u128 = 10;

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
    let (slowest, usual) = compared(machine, &gunicorn_restarted(machine), 1);
    assert!(!slowest.is_as_at_rest(), "the slowest answer: {slowest:?}");
    assert!(!usual.is_as_at_rest(), "the median: {usual:?}");
    assert!(slowest.moving > HELD_UP, "{slowest:?}");
}

fn not_felt(machine: &Machine, server: &Server) {
    let (slowest, usual) = compared(machine, server, ROUNDS);
    assert!(slowest.is_as_at_rest(), "the slowest answer: {slowest:?}");
    assert!(usual.is_as_at_rest(), "the median: {usual:?}");
    assert!(slowest.moving < HELD_UP, "{slowest:?}");
}

/// Milliseconds for which clients waited.
#[derive(Debug)]
struct Waited {
    moving: u128,
    rest: u128,
    /// How long is waited at rest even in a minute that looks quieter.
    quiet: u128,
}

impl Waited {
    fn is_as_at_rest(&self) -> bool {
        self.moving <= TWICE * self.rest.max(self.quiet)
    }
}

/// The slowest answer of all, and the median of the slowest of each change and of each rest, after
/// as many rounds as it takes, or `most`. Notes a line of the table.
fn compared(machine: &Machine, server: &Server, most: usize) -> (Waited, Waited) {
    server.deploy(machine, "0.0", "").exits(0);
    let (mut moving, mut rest) = (Vec::new(), Vec::new());
    let mut rounds = 0;
    let (slowest, usual) = loop {
        rounds += 1;
        let pairs = round(machine, server, rounds);
        for (while_moving, at_rest) in pairs {
            moving.push(while_moving);
            rest.push(at_rest);
        }
        let by = |measure: fn(&[Tally]) -> u128, quiet| Waited {
            moving: measure(&moving),
            rest: measure(&rest),
            quiet,
        };
        let (slowest, usual) = (by(slowest, QUIET), by(median, USUALLY_QUIET));
        if rounds == most || slowest.is_as_at_rest() && usual.is_as_at_rest() {
            break (slowest, usual);
        }
    };
    let (all_moving, all_rest) = (sum(&moving), sum(&rest));
    machine.note(&format!(
        "| {} | {} | {} | {} / {} | {} / {} | {} / {} | {} / {} |",
        machine.suite,
        server.name,
        moving.len(),
        all_moving.answered,
        all_rest.answered,
        slowest.moving,
        slowest.rest,
        usual.moving,
        usual.rest,
        all_moving.p99(),
        all_rest.p99(),
    ));
    let crossed = all_moving.crossed + all_rest.crossed;
    assert!(crossed <= crossed_at_most(moving.len()), "{crossed}");
    (slowest, usual)
}

/// One round: for each change what was seen until a second after it, and in as long a rest.
fn round(machine: &Machine, server: &Server, number: usize) -> Vec<(Tally, Tally)> {
    let mut load = Load::start(machine, ADDRESS, CLIENTS);
    // The first answers of a server and of the clients are nobody's; some take two seconds.
    std::thread::sleep(Duration::from_secs(3));
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
    for (phase, tally) in &tallies {
        let said = || format!("{phase}: {:?}\n{}", tally.failed, journal(machine));
        assert_eq!(tally.lost(), 0, "{}", said());
    }
    let pairs = (0..ROUND.len()).map(|at| {
        let phase = |kind: &str| format!("{kind} {at}");
        let mut seen = |kind: &str| tallies.remove(&phase(kind)).expect("answers in each phase");
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

/// The longest that anybody waited.
fn slowest(tallies: &[Tally]) -> u128 {
    tallies.iter().map(Tally::waited_ms).max().unwrap_or(0)
}

/// The median of what was waited longest in each; their number is even.
fn median(tallies: &[Tally]) -> u128 {
    let mut each: Vec<u128> = tallies.iter().map(Tally::waited_ms).collect();
    each.sort_unstable();
    let middle = each.len() / 2;
    (each[middle - 1] + each[middle]).div_ceil(2)
}
