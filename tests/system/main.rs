//! System tests: the real binary on a real systemd, each test on a machine of its own.
//!
//! `cargo test --test system -- [FILTER] [--exact] [--full] [--list] [--test-threads N]`
//!
//! A test is named by the Debian release that it runs on, its module and its function:
//! `bookworm::rollback::rollback_by_name_and_twice`. FILTER is a part of a name, such as
//! `rollback::` or `bookworm::rollback`; with `--exact` it is the whole name.
//!
//! | form | runs |
//! |---|---|
//! | default | every test on bookworm (systemd 252), and the sample of `sample.rs` on trixie (257); few upgrades under load |
//! | `--full` | every test on both, every server with every fault, and what only measures |
//!
//! No test of the default form depends on how fast or how busy the host is. The report at the end
//! shows what the tests measured and how long they took.
//!
//! Each module registers its tests with `tests!` (see `registry.rs`). No test is skipped: without
//! root or the container's tools the whole run fails. `scripts/container` boots the machines.

#![deny(dead_code)]
#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and may touch files and processes"
)]

#[macro_use]
mod registry;

mod addresses;
mod admin;
mod app_package;
mod attacks;
mod between;
mod builds;
mod checks;
mod choice;
mod conditions;
mod crash;
mod crash_loops;
mod demo;
mod denials;
mod deploy;
mod diagnostics;
mod edge_cases;
mod endurance;
mod environments;
mod failures;

mod findings;
mod fix;
mod guides;
mod handover;
mod healthy;
mod hooks;
mod host_faults;
mod journald;
mod kept_builds;
mod latency;
mod leftovers;
mod load;
mod lock;
mod logs;
mod lost_state;
mod machine;
mod networks;
mod overdue;
mod overlap;
mod own_directories;
mod package;
mod probe;
mod readers;
mod relations;
mod remove;
mod rights;
mod rollback;
mod run;
mod sample;
mod secrets;
mod serve;
mod servers;
mod settings;
mod shapes;
mod stream_clients;
mod streams;
mod systemctl;
mod tally;
mod targets;
mod unchanged;
mod upgrades;
mod users;
mod values;
mod verbs;
mod volumes;
mod wiki;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};
use machine::Machine;
use registry::{Kind, Test};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, RwLock};
use std::time::Instant;

const SUITES: [&str; 2] = ["bookworm", "trixie"];

/// Tests wait for a third of their time, so three of them share two processors.
const THREADS: usize = 4;

#[derive(Parser)]
#[command(help_template = "{all-args}")]
struct Options {
    /// Run every test on bookworm and trixie, with long loads and all measurements
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    common: Arguments,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The same program runs on the machines, as the clients of a load and as a server.
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["load", address, clients] => {
            load::generate(address, clients);
            return ExitCode::SUCCESS;
        }
        ["streams", address, events, sockets] => {
            stream_clients::run(address, events, sockets);
            return ExitCode::SUCCESS;
        }
        ["serve"] => {
            serve::run();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let mut options = Options::parse();
    upgrades::FULL.store(options.full, Ordering::Relaxed);
    options.common.test_threads.get_or_insert(THREADS);
    match run(&options) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("system: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let trials = trials(options.full)?;
    let selected = trials
        .iter()
        .filter(|trial| !options.common.is_filtered_out(trial))
        .count();
    if selected == 0 {
        return Err("no test matches: see `--list` and `--full --list`".into());
    }
    if !options.common.list {
        machine::ready()?;
        std::panic::set_hook(Box::new(|info| {
            PANIC.with_borrow_mut(|text| *text = info.to_string());
        }));
    }
    let conclusion = libtest_mimic::run(&options.common, trials);
    print!("{}", report());
    Ok(conclusion.exit_code())
}

/// All tests of the form, on each suite.
fn trials(full: bool) -> Result<Vec<Trial>, String> {
    let tests = registry::all();
    let unknown = sample::TRIXIE
        .iter()
        .find(|(name, _)| tests.iter().all(|test| test.name() != *name));
    if let Some((name, _)) = unknown {
        return Err(format!("sample.rs names `{name}`, which does not exist"));
    }
    let is_in = |test: &Test, suite: &str| {
        let sampled = sample::TRIXIE.iter().any(|(name, _)| *name == test.name());
        full || (!test.only_full() && (suite != "trixie" || sampled))
    };
    let mut trials = Vec::new();
    for test in tests {
        for suite in SUITES.into_iter().filter(|suite| is_in(test, suite)) {
            let name = format!("{suite}::{}", test.name());
            trials.push(Trial::test(name.clone(), move || one(test, suite, name)));
        }
    }
    Ok(trials)
}

thread_local! {
    /// The message and the place of the last panic of this thread.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Tests that compare times hold this exclusively; all others share it.
static HOST: RwLock<()> = RwLock::new(());

/// Seconds and measurements of the tests that have run.
static RESULTS: Mutex<BTreeMap<String, (f32, String)>> = Mutex::new(BTreeMap::new());

/// Runs one test on a fresh machine.
fn one(test: &Test, suite: &str, name: String) -> Result<(), Failed> {
    let (_alone, _shared) = match test.kind {
        Kind::Alone => (Some(HOST.write().unwrap()), None),
        _ => (None, Some(HOST.read().unwrap())),
    };
    let start = Instant::now();
    let mut notes = String::new();
    let mut journal_tail = String::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let machine = match test.kind {
            Kind::Bare => Machine::bare(suite),
            _ => Machine::boot(suite),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| (test.run)(&machine)));
        notes = machine.notes();
        if outcome.is_err() {
            let message = PANIC.with_borrow(Clone::clone);
            journal_tail = machine.journal_tail();
            PANIC.set(message);
        }
        outcome.is_ok()
    }));
    let failed = !outcome.unwrap_or(false);
    let message = format!("{}\n{notes}{journal_tail}", PANIC.take());
    let seconds = start.elapsed().as_secs_f32();
    RESULTS.lock().unwrap().insert(name, (seconds, notes));
    if failed {
        Err(Failed::from(message))
    } else {
        Ok(())
    }
}

/// The duration of each test, longest first, and what it measured.
fn report() -> String {
    let results = RESULTS.lock().unwrap();
    let mut tests: Vec<_> = results.iter().collect();
    tests.sort_by(|(_, (one, _)), (_, (other, _))| other.total_cmp(one));
    let mut out = String::new();
    for (name, (seconds, notes)) in tests {
        out.push_str(&format!("{seconds:6.1} s  {name}\n"));
        for line in notes.lines() {
            out.push_str(&format!("          {line}\n"));
        }
    }
    out
}
