//! How long clients wait during upgrades and rollbacks, compared with the same load at rest.
//!
//! One machine runs at a time, and no other test. After each change comes a rest of the same
//! length, so that both have about the same number of answers: the slowest of many is slower than
//! the slowest of a few. The clients run in a session of their own, as they would on another host:
//! without control groups, the kernel then gives them no less processor time because of `robotctl`
//! (sched(7), autogroups).
//!
//! The worst moment of a virtual machine comes at a random time. If the changes look too slow, up
//! to [`ROUNDS`] rounds follow, all of which count. One bad moment at rest excuses one equally bad
//! moment during a change, but not upgrades or rollbacks that are usually slower: the median of
//! each is checked as well. The same server without the overlap shows that both checks detect a
//! difference ([`a_plain_restart_delays_clients`]). The reasons are in
//! `docs/decisions/0012-how-waiting-is-judged.md`.

use crate::load::Load;
use crate::machine::Machine;
use crate::servers::{
    ADDRESS, CLIENTS, MAX_WAIT_MS, NODE, PLAIN, RUST, Server, UVICORN, describe_losses, gunicorn,
    gunicorn_restarted, max_crossed,
};
use crate::tally::Tally;
use std::borrow::Borrow;
use std::time::{Duration, Instant};

tests![
    Alone:
    gunicorn_delays_no_client,
    uvicorn_delays_no_client,
    node_delays_no_client,
    rust_delays_no_client,
    a_server_behind_the_proxy_delays_no_client,
    a_plain_restart_delays_clients,
];

/// An answer may take this many times as long as at rest.
const MAX_RATIO: u128 = 2;

/// The minimum for the slowest answer of all at rest, in milliseconds. On the same server it is 3
/// ms in one minute and 50 in another, depending on the host of the virtual machine.
const SLOWEST_AT_REST: u128 = 25;

/// The same for the median of the slowest answers of each upgrade or rollback, which one bad moment
/// does not change.
const MEDIAN_AT_REST: u128 = 10;

/// Upgrades and rollbacks of one round: an empty version is a rollback.
const ROUND: [&str; 6] = ["a", "b", "", "c", "d", ""];

const ROUNDS: usize = 4;

fn gunicorn_delays_no_client(machine: &Machine) {
    delays_no_client(machine, gunicorn(machine));
}

fn uvicorn_delays_no_client(machine: &Machine) {
    delays_no_client(machine, &UVICORN);
}

fn node_delays_no_client(machine: &Machine) {
    delays_no_client(machine, &NODE);
}

fn rust_delays_no_client(machine: &Machine) {
    delays_no_client(machine, &RUST);
}

fn a_server_behind_the_proxy_delays_no_client(machine: &Machine) {
    delays_no_client(machine, &PLAIN);
}

/// The control: without the overlap, clients wait for the new release.
fn a_plain_restart_delays_clients(machine: &Machine) {
    let comparison = compare(machine, &gunicorn_restarted(machine), 1);
    for waited in comparison.measured() {
        assert!(!waited.is_as_at_rest(), "{waited:?}");
    }
    assert!(
        comparison.slowest().moving > MAX_WAIT_MS,
        "{:?}",
        comparison.slowest()
    );
}

fn delays_no_client(machine: &Machine, server: &Server) {
    let comparison = compare(machine, server, ROUNDS);
    for waited in comparison.measured() {
        assert!(waited.is_as_at_rest(), "{waited:?}");
        assert!(waited.moving.max(waited.rest) < MAX_WAIT_MS, "{waited:?}");
    }
}

/// Milliseconds that clients waited.
#[derive(Debug)]
struct Waited {
    #[expect(dead_code, reason = "shown when a test fails")]
    what: &'static str,
    moving: u128,
    rest: u128,
    /// The minimum that counts as waiting at rest.
    quiet: u128,
}

impl Waited {
    fn is_as_at_rest(&self) -> bool {
        self.moving <= MAX_RATIO * self.rest.max(self.quiet)
    }
}

/// The tallies of each upgrade, rollback and rest.
#[derive(Default)]
struct Comparison {
    upgrades: Vec<Tally>,
    rollbacks: Vec<Tally>,
    rests: Vec<Tally>,
}

impl Comparison {
    fn moving(&self) -> Tally {
        sum(self.upgrades.iter().chain(&self.rollbacks))
    }

    fn rest(&self) -> Tally {
        sum(&self.rests)
    }

    fn slowest(&self) -> Waited {
        Waited {
            what: "the slowest answer of all",
            moving: self.moving().waited_ms(),
            rest: self.rest().waited_ms(),
            quiet: SLOWEST_AT_REST,
        }
    }

    fn usual(&self, what: &'static str, changes: &[Tally]) -> Waited {
        Waited {
            what,
            moving: median(changes),
            rest: median(&self.rests),
            quiet: MEDIAN_AT_REST,
        }
    }

    fn measured(&self) -> [Waited; 3] {
        [
            self.slowest(),
            self.usual("the slowest of most upgrades", &self.upgrades),
            self.usual("the slowest of most rollbacks", &self.rollbacks),
        ]
    }

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

/// Compares for up to `max_rounds` rounds, until the result is good. Notes a row of the table.
fn compare(machine: &Machine, server: &Server, max_rounds: usize) -> Comparison {
    server.deploy(machine, "0.0", "").exits(0);
    let mut comparison = Comparison::default();
    for number in 1..=max_rounds {
        comparison.round(machine, server, number);
        if comparison.measured().iter().all(Waited::is_as_at_rest) {
            break;
        }
    }
    let (moving, rest) = (comparison.moving(), comparison.rest());
    let [slowest, upgrades, rollbacks] = comparison.measured();
    let changes = comparison.rests.len();
    let crossed = moving.crossed + rest.crossed;
    machine.note(&format!(
        "| {} | {} | {changes} | {} / {} | {} / {} | {} / {} / {} | {} / {} | {crossed} |",
        machine.suite,
        server.name,
        moving.answered,
        rest.answered,
        slowest.moving,
        slowest.rest,
        upgrades.moving,
        rollbacks.moving,
        upgrades.rest,
        moving.p99(),
        rest.p99(),
    ));
    assert!(crossed <= max_crossed(changes), "{crossed} crossed");
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
