//! Faults at every point of a change: no fault leaves a host with an incomplete change.
//!
//! Everything here works offline, on trees of its own (`--root DIR`). Every state-changing system
//! call is killed and made to fail, the power is cut, several commands run at the same time, and
//! random sequences are compared with a model. The tests need root, strace and loop devices, and
//! fail with a message if one is missing.
//!
//! `cargo test --test faults -- [FILTER] [--exact] [--list] [--every N]`
//!
//! A test is named by its module and its function: `power_cuts::recovery_works_after_power_cuts`. `--every 10` runs every
//! tenth case, for a quick check. Each module registers its tests with `tests!` (see
//! `registry.rs`). One test runs at a time; the long ones use two processors themselves.

#![deny(dead_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that stops at the first surprise; it acts as the host"
)]

#[macro_use]
mod registry;

mod after_commit;
mod call_order;
mod concurrency;
mod dead_ends;
mod fixture;
mod full_disk;
mod injection;
mod invariants;
mod lost_state;
mod midway;
mod model;
mod power_cuts;
mod recovery;
mod reflinks;
mod regressions;
mod state;
mod syscalls;
mod threads;

use clap::Parser;
use fixture::Fixture;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[derive(Parser)]
#[command(help_template = "{all-args}")]
struct Options {
    /// Run only every N-th case of each suite; the printed counts are still those of all cases
    #[arg(long, value_name = "N", default_value = "1")]
    every: std::num::NonZero<usize>,
    #[command(flatten)]
    common: Arguments,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    options.common.test_threads = Some(1);
    match run(&options) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("faults: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let fixture = Arc::new(match options.common.list {
        true => None,
        false => Some(Fixture::new(options.every.get())?),
    });
    let seen = Arc::new(Mutex::new(String::new()));
    let trials: Vec<Trial> = registry::all()
        .into_iter()
        .map(|test| {
            let (fixture, seen) = (Arc::clone(&fixture), Arc::clone(&seen));
            Trial::test(test.name(), move || {
                let start = Instant::now();
                let tried = test.run(fixture.as_ref().as_ref().ok_or("only listed")?);
                let (seconds, tried) =
                    (start.elapsed().as_secs_f32(), tried.map_err(Failed::from)?);
                let line = format!("{seconds:6.1} s  {}{tried}\n", test.name());
                seen.lock().unwrap().push_str(&line);
                Ok(())
            })
        })
        .collect();
    let wanted = |trial: &Trial| !options.common.is_filtered_out(trial);
    if !trials.iter().any(wanted) {
        return Err("no test matches: see `--list`".into());
    }
    let conclusion = libtest_mimic::run(&options.common, trials);
    print!("{}", seen.lock().unwrap());
    Ok(conclusion.exit_code())
}
