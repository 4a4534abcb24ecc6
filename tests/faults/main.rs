//! Nothing that can happen to `robotctl` leaves a host between old and new.
//!
//! Everything here works offline, on trees of its own (`--root DIR`): every state-changing system
//! call is killed and made to fail, power is cut, several run at once, and random sequences are
//! held against a model. It needs root, strace and loop devices, and says so when one is missing.
//!
//! `cargo test --test faults [-- SUITE...]`; `FAULTS_EVERY=10` tries every tenth case, for a
//! quick look.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that stops at the first surprise; it plays the part of the host"
)]

mod bench;
mod clones;
mod crowd;
mod ends;
mod full;
mod halfway;
mod keeps;
mod lost;
mod model;
mod order;
mod points;
mod power;
mod recovery;
mod regressions;
mod seen;
mod syscalls;
mod threads;

use bench::Bench;
use std::process::ExitCode;
use std::time::Instant;

/// Works on a bench and tells what it did, or what went wrong.
type Suite = fn(&Bench) -> Result<String, String>;

const SUITES: [(&str, Suite); 12] = [
    ("named", regressions::named),
    ("keeps", keeps::releases),
    ("order", order::of_calls),
    ("calls", syscalls::each_call),
    ("threads", threads::two_processors),
    ("recovery", recovery::each_call_of_recovery),
    ("full", full::going_back),
    ("power", power::cuts),
    ("clones", clones::cloned),
    ("crowd", crowd::at_once),
    ("signals", crowd::signals),
    ("model", model::sequences),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for name in &wanted {
        if !SUITES.iter().any(|(suite, _)| suite == name) {
            println!("there is no suite `{name}`");
            return ExitCode::FAILURE;
        }
    }
    let bench = match Bench::new() {
        Ok(bench) => bench,
        Err(error) => {
            println!("faults: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = false;
    if bench.every != 1 {
        println!(
            "a quick look: every {}th case only; the counts are those of all",
            bench.every
        );
    }
    for (name, suite) in SUITES {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        let start = Instant::now();
        let ended = suite(&bench);
        let seconds = start.elapsed().as_secs_f32();
        match ended {
            Ok(told) => println!("ok      {name}: {told} ({seconds:.0} s)"),
            Err(error) => {
                failed = true;
                println!("FAILED  {name} ({seconds:.0} s): {error}");
            }
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
