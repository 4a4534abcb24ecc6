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
//! excuses one as bad while something changes, but not upgrades or rollbacks that are slower as a
//! rule: the median of each is judged as well. That both tell a difference is shown by the same server
//! without the overlap ([`a_plain_restart_is_felt`]).
//! Why it is so: `docs/decisions/0012-how-waiting-is-judged.md`.

use crate::load::Load;
use crate::machine::Machine;
use crate::servers::{
    ADDRESS, CLIENTS, HELD_UP, NODE, PLAIN, RUST, Server, UVICORN, crossed_at_most, gunicorn,
    gunicorn_restarted, losses,
};
use crate::tally::Tally;
use std::borrow::Borrow;
use std::time::{Duration, Instant};

tests![
    Alone:
    gunicorn_is_not_felt,
    uvicorn_is_not_felt,
    node_is_not_felt,
    rust_is_not_felt,
    a_server_behind_the_proxy_is_not_felt,
    a_plain_restart_is_felt,
];

/// An answer may take so many times what it does at rest.
const TWICE: u128 = 2;

/// Rest is taken to be no quieter than this many milliseconds, for the slowest answer of all: on the
/// same server that is 3 ms in one minute and 50 in another, as the host of a virtual machine has
/// time for it.
const QUIET: u128 = 25;

/// The same for the median of the slowest answers of each upgrade or rollback, which a bad moment does
/// not move.
const USUALLY_QUIET: u128 = 10;

/// Upgrades and rollbacks of one round: an empty version is a rollback.
const ROUND: [&str; 6] = ["a", "b", "", "c", "d", ""];

const ROUNDS: usize = 4;

fn gunicorn_is_not_felt(machine: &Machine) {
    not_felt(machine, gunicorn(machine));
}

fn uvicorn_is_not_felt(machine: &Machine) {
    not_felt(machine, &UVICORN);
}

fn node_is_not_felt(machine: &Machine) {
    not_felt(machine, &NODE);
}

fn rust_is_not_felt(machine: &Machine) {
    not_felt(machine, &RUST);
}

fn a_server_behind_the_proxy_is_not_felt(machine: &Machine) {
    not_felt(machine, &PLAIN);
}

/// The proof tells the difference: without the overlap, clients wait for the new release.
fn a_plain_restart_is_felt(machine: &Machine) {
    let seen = compared(machine, &gunicorn_restarted(machine), 1);
    for waited in seen.judged() {
        assert!(!waited.is_as_at_rest(), "{waited:?}");
    }
    assert!(seen.slowest().moving > HELD_UP, "{:?}", seen.slowest());
}

fn not_felt(machine: &Machine, server: &Server) {
    let seen = compared(machine, server, ROUNDS);
    for waited in seen.judged() {
        assert!(waited.is_as_at_rest(), "{waited:?}");
        assert!(waited.moving.max(waited.rest) < HELD_UP, "{waited:?}");
    }
}

/// Milliseconds for which clients waited.
#[derive(Debug)]
struct Waited {
    #[expect(dead_code, reason = "shown when a test fails")]
    what: &'static str,
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

/// What clients saw in each upgrade, rollback and rest.
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
            quiet: QUIET,
        }
    }

    fn usual(&self, what: &'static str, changes: &[Tally]) -> Waited {
        Waited {
            what,
            moving: median(changes),
            rest: median(&self.rests),
            quiet: USUALLY_QUIET,
        }
    }

    fn judged(&self) -> [Waited; 3] {
        [
            self.slowest(),
            self.usual("the slowest of most upgrades", &self.upgrades),
            self.usual("the slowest of most rollbacks", &self.rollbacks),
        ]
    }

    /// One round: for each change what was seen until a second after it, and in as long a rest.
    fn round(&mut self, machine: &Machine, server: &Server, number: usize) {
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
        assert_eq!(
            sum(tallies.values()).lost(),
            0,
            "{}",
            losses(machine, &tallies)
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

/// Compares for as many rounds as it takes, or `most`. Notes a line of the table.
fn compared(machine: &Machine, server: &Server, most: usize) -> Comparison {
    server.deploy(machine, "0.0", "").exits(0);
    let mut seen = Comparison::default();
    for number in 1..=most {
        seen.round(machine, server, number);
        if seen.judged().iter().all(Waited::is_as_at_rest) {
            break;
        }
    }
    let (moving, rest) = (seen.moving(), seen.rest());
    let [slowest, upgrades, rollbacks] = seen.judged();
    let changes = seen.rests.len();
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
    assert!(crossed <= crossed_at_most(changes), "{crossed} crossed");
    seen
}

fn sum(tallies: impl IntoIterator<Item = impl Borrow<Tally>>) -> Tally {
    let mut all = Tally::default();
    for tally in tallies {
        all.add(tally.borrow());
    }
    all
}

/// The median of what was waited longest in each; of two in the middle the lower one.
fn median(tallies: &[Tally]) -> u128 {
    let mut each: Vec<u128> = tallies.iter().map(Tally::waited_ms).collect();
    each.sort_unstable();
    each[(each.len() - 1) / 2]
}
