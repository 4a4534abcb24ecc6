//! How long clients wait during upgrades and rollbacks, compared with the same load at rest.
//!
//! The result is reported and not checked: the worst moment of a virtual machine comes at a random
//! time, and any other work of the host affects it. These tests run with `--full`, one machine at a
//! time.
//!
//! After each change comes a rest of the same length, so that both have about the same number of
//! answers: the slowest of many is slower than the slowest of a few. The clients run in a session of
//! their own, as they would on another host: without control groups, the kernel then gives them no
//! less processor time because of `robotctl` (sched(7), autogroups). The same server without the
//! overlap shows that the measurement detects a difference
//! ([`a_restart_without_overlap_delays_clients`]).

use crate::load::Load;
use crate::machine::Machine;
use crate::servers::{
    ADDRESS, CLIENTS, NODE, PLAIN, RUST, Server, UVICORN, describe_losses, gunicorn,
    gunicorn_restarted,
};
use crate::tally::Tally;
use std::borrow::Borrow;
use std::time::{Duration, Instant};

tests![
    Alone:
    measure_gunicorn,
    measure_uvicorn,
    measure_node,
    measure_rust,
    measure_a_server_behind_the_proxy,
    a_restart_without_overlap_delays_clients,
];

/// Upgrades and rollbacks of one round: an empty version is a rollback.
const ROUND: [&str; 6] = ["a", "b", "", "c", "d", ""];

const ROUNDS: usize = 1;

/// Without the overlap, some client waits longer than this many milliseconds on any host, because one
/// answer takes two seconds.
const MIN_DELAY_MS: u128 = 500;

fn measure_gunicorn(machine: &Machine) {
    compare(machine, gunicorn(machine));
}

fn measure_uvicorn(machine: &Machine) {
    compare(machine, &UVICORN);
}

fn measure_node(machine: &Machine) {
    compare(machine, &NODE);
}

fn measure_rust(machine: &Machine) {
    compare(machine, &RUST);
}

fn measure_a_server_behind_the_proxy(machine: &Machine) {
    compare(machine, &PLAIN);
}

/// The control: without the overlap, clients wait for the new release.
fn a_restart_without_overlap_delays_clients(machine: &Machine) {
    let comparison = compare(machine, &gunicorn_restarted(machine));
    let slowest = sum(comparison.upgrades.iter().chain(&comparison.rollbacks)).waited_ms();
    assert!(slowest > MIN_DELAY_MS, "{slowest} ms");
}

/// The tallies of each upgrade, rollback and rest.
#[derive(Default)]
struct Comparison {
    upgrades: Vec<Tally>,
    rollbacks: Vec<Tally>,
    rests: Vec<Tally>,
}

impl Comparison {
    /// One round: for each change, the tally until a second after it, and that of an equally long
    /// rest.
    fn round(&mut self, machine: &Machine, server: &Server, number: usize) {
        let mut load = Load::start(machine, ADDRESS, CLIENTS);
        // Discards the first answers of the server and of the clients, some of which take two
        // seconds.
        std::thread::sleep(Duration::from_secs(3));
        for (at, version) in ROUND.iter().enumerate() {
            load.phase(&format!("moving {at}"));
            let begun = Instant::now();
            match *version {
                "" => machine.robotctl("rollback"),
                letter => server.deploy(machine, &format!("{number}.0{letter}"), ""),
            }
            .exits(0);
            // The change may still have an effect.
            std::thread::sleep(Duration::from_secs(1));
            let took = begun.elapsed();
            load.phase(&format!("rest {at}"));
            std::thread::sleep(took);
        }
        let mut tallies = load.stop();
        assert_eq!(
            sum(tallies.values()).lost(),
            0,
            "{}",
            describe_losses(machine, &tallies)
        );
        for (at, version) in ROUND.iter().enumerate() {
            let phase = |kind: &str| format!("{kind} {at}");
            let mut seen =
                |kind: &str| tallies.remove(&phase(kind)).expect("answers in each phase");
            match *version {
                "" => self.rollbacks.push(seen("moving")),
                _ => self.upgrades.push(seen("moving")),
            }
            self.rests.push(seen("rest"));
        }
    }
}

/// Compares, and adds a row to a table. No answer may be lost.
fn compare(machine: &Machine, server: &Server) -> Comparison {
    server.deploy(machine, "0.0", "").exits(0);
    let mut comparison = Comparison::default();
    for number in 1..=ROUNDS {
        comparison.round(machine, server, number);
    }
    let Comparison {
        upgrades,
        rollbacks,
        rests,
    } = &comparison;
    let moving = sum(upgrades.iter().chain(rollbacks));
    let rest = sum(rests);
    let both = |of: &dyn Fn(&Tally) -> String| format!("{} / {}", of(&moving), of(&rest));
    machine.row(
        "latency",
        &[
            server.name.to_owned(),
            rests.len().to_string(),
            both(&|tally| tally.answered.to_string()),
            both(&|tally| tally.permille(500)),
            both(&|tally| tally.permille(990)),
            both(&|tally| tally.permille(999)),
            both(&|tally| tally.waited_ms().to_string()),
            format!(
                "{} / {} / {}",
                median(upgrades),
                median(rollbacks),
                median(rests)
            ),
            both(&|tally| tally.crossed.to_string()),
        ],
    );
    comparison
}

fn sum(tallies: impl IntoIterator<Item = impl Borrow<Tally>>) -> Tally {
    let mut all = Tally::default();
    for tally in tallies {
        all.add(tally.borrow());
    }
    all
}

/// The median of the longest wait in each tally; of two in the middle, the lower one.
fn median(tallies: &[Tally]) -> u128 {
    let mut each: Vec<u128> = tallies.iter().map(Tally::waited_ms).collect();
    each.sort_unstable();
    each[(each.len() - 1) / 2]
}
