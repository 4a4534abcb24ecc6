//! Nothing that can happen to `robotctl` leaves a host between old and new.
//!
//! Everything here works offline, on trees of its own (`--root DIR`): every state-changing system
//! call is killed and made to fail, power is cut, several run at once, and random sequences are
//! held against a model. It needs root, strace and loop devices, and says so when one is missing.
//!
//! `cargo test --test faults -- [FILTER] [--exact] [--list] [--every N]`
//!
//! A test is named by its module and itself: `power::cuts`. `--every 10` tries every tenth case, for a
//! quick look. Each module registers its tests with `tests!` (see `registry.rs`). One test runs at a
//! time: the long ones use two processors by themselves.

#![deny(dead_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that stops at the first surprise; it plays the part of the host"
)]

#[macro_use]
mod registry;

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
use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[derive(Parser)]
#[command(help_template = "{all-args}")]
struct Options {
    /// Try every N-th case of each suite only; the counts that are printed stay those of all
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
    let bench = Arc::new(match options.common.list {
        true => None,
        false => Some(Bench::new(options.every.get())?),
    });
    let seen = Arc::new(Mutex::new(String::new()));
    let trials: Vec<Trial> = registry::all()
        .into_iter()
        .map(|test| {
            let (bench, seen) = (Arc::clone(&bench), Arc::clone(&seen));
            Trial::test(test.name(), move || {
                let start = Instant::now();
                let tried = test.run(bench.as_ref().as_ref().ok_or("only listed")?);
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
        return Err("no test has such a name: see `--list`".into());
    }
    let conclusion = libtest_mimic::run(&options.common, trials);
    print!("{}", seen.lock().unwrap());
    Ok(conclusion.exit_code())
}
