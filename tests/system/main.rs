//! System tests: the real binary on a real systemd, each test on a machine of its own.
//!
//! `cargo test --test system -- [NAME]... [--suite SUITE]... [--jobs N] [--full] [--list]`
//!
//! `--full` proves upgrades with every kind of broken release on every server: twenty changes
//! each, in place of four or eight. Of `latency`, one machine runs at a time.
//!
//! A test runs once a suite; it is skipped nowhere: without root or the container's tools the
//! whole run fails. `scripts/container` boots the machines.

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

mod admin;
mod broken;
mod builds;
mod checks;
mod crash;
mod demo;
mod deploy;
mod doctor;
mod hooks;
mod latency;
mod leftovers;
mod load;
mod lock;
mod lost;
mod machine;
mod manager;
mod mistakes;
mod overlap;
mod package;
mod remove;
mod rollback;
mod serve;
mod servers;
mod shapes;
mod tally;
mod targets;
mod traps;
mod upgrades;
mod values;
mod wiki;
mod words;

use machine::Machine;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// One test: what must hold, and how it is found out.
struct Test {
    module: &'static str,
    name: &'static str,
    run: fn(&Machine),
}

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$(Test { module: stringify!($module), name: stringify!($name), run: $module::$name }),*]
    };
}

/// Every test; the longest first, so that the lanes end at about the same time.
const TESTS: &[Test] = tests![
    crash::killed_anywhere_it_ends_in_the_old_release,
    manager::a_manager_that_fails_leaves_no_release_half_live,
    package::it_is_installed_used_removed_and_purged,
    package::apt_waits_for_a_deploy,
    package::other_apps_outlive_the_package,
    remove::prune_leaves_what_a_process_uses,
    package::purge_stops_what_could_not_be_removed,
    crash::killed_while_rolling_back_it_ends_in_the_release_that_was_live,
    crash::power_cut_in_a_change_is_ended_before_services_start,
    wiki::the_wiki_is_deployed_upgraded_and_rolled_back,
    upgrades::gunicorn_loses_nothing,
    upgrades::uvicorn_loses_nothing,
    upgrades::node_loses_nothing,
    upgrades::rust_loses_nothing,
    upgrades::a_server_behind_the_proxy_loses_nothing,
    upgrades::node_on_a_blocking_socket_for_comparison,
    upgrades::uvicorn_on_its_own_for_comparison,
    upgrades::a_plain_restart_for_comparison,
    upgrades::gunicorn_at_its_limit,
    upgrades::uvicorn_at_its_limit,
    upgrades::node_at_its_limit,
    upgrades::rust_at_its_limit,
    upgrades::a_server_behind_the_proxy_at_its_limit,
    latency::gunicorn_is_not_felt,
    latency::uvicorn_is_not_felt,
    latency::node_is_not_felt,
    latency::rust_is_not_felt,
    latency::a_server_behind_the_proxy_is_not_felt,
    latency::a_plain_restart_is_felt,
    overlap::no_request_is_lost_in_upgrades_and_rollbacks,
    overlap::who_says_ready_too_early_is_waited_for,
    doctor::each_fault_is_found_with_its_hint,
    broken::failing_upgrade_is_put_back_and_marked,
    broken::when_no_release_works_a_person_is_told,
    broken::going_back_starts_nothing_that_did_not_run,
    broken::units_of_others_are_not_held_against_it,
    broken::failing_first_deploy_leaves_nothing,
    broken::failing_trial_changes_nothing,
    broken::refused_before_anything_changes,
    targets::portable_units_keep_their_promises_on_every_version,
    values::arbitrary_values_arrive_byte_for_byte,
    shapes::every_shape_works_at_its_floor,
    shapes::first_request_wakes_what_sleeps,
    shapes::sandbox_bites,
    shapes::hanging_service_is_ended_by_its_watchdog,
    builds::what_was_built_is_nobody_else_s,
    builds::a_package_with_a_file_that_does_not_compile_is_taken,
    builds::a_build_ends_with_its_robotctl,
    builds::a_build_that_was_left_is_stopped,
    remove::what_is_mounted_or_deep_is_dealt_with,
    remove::prune_that_sees_no_processes_removes_nothing,
    remove::prune_leaves_the_release_of_a_job_under_way,
    crash::a_recovery_that_fails_at_boot_holds_nobody_up,
    rollback::rollback_brings_back_code_units_and_timers,
    rollback::rollback_by_name_and_twice,
    rollback::a_rollback_that_fails_ends_where_it_began,
    manager::a_restart_that_did_nothing_is_no_success,
    manager::a_service_on_another_release_is_named,
    manager::a_copy_that_does_not_stop_is_found_again,
    leftovers::what_does_not_stop_takes_no_release_back,
    leftovers::what_an_earlier_trial_left_is_not_tried,
    leftovers::a_job_of_an_earlier_run_is_not_waited_for,
    lost::nothing_that_ran_is_stopped,
    words::only_a_unit_s_own_words_are_shown,
    words::a_journal_that_hangs_holds_no_deploy_up,
    leftovers::a_job_that_was_taken_away_is_not_said_to_be_there,
    lost::what_ran_runs_again_however_the_link_is_written,
    leftovers::all_that_does_not_stop_is_told,
    manager::a_job_that_fails_and_does_not_stop_tells_both,
    hooks::a_release_that_loops_later_is_taken_back,
    hooks::hooks_run_once_and_stop_or_undo_a_deploy,
    hooks::jobs_headers_and_json_are_checked,
    hooks::what_systemd_remembers_is_read_anew,
    checks::a_check_that_hangs_is_over_in_time,
    checks::a_command_check_runs_as_its_service_in_its_sandbox,
    checks::addresses_that_nobody_accepts_at_are_told,
    checks::who_does_not_want_to_wait_gets_the_release_before,
    traps::a_socket_that_a_crash_loop_killed_is_opened_again,
    traps::a_service_that_ignores_its_end_holds_nobody_up,
    traps::without_memory_for_two_copies_it_restarts_and_says_so,
    traps::an_address_that_changes_is_rebound_and_comes_back,
    traps::addresses_are_exchanged_and_come_back,
    traps::a_new_address_that_is_taken_is_refused,
    traps::a_socket_file_of_the_service_s_own_is_left_alone,
    traps::a_trial_that_was_killed_leaves_nothing,
    traps::causes_are_named_with_what_to_do,
    traps::a_stranger_on_the_port_is_named,
    mistakes::a_program_without_its_port_is_told_how_to_get_it,
    mistakes::a_program_that_crashes_is_said_to_have_ended,
    mistakes::a_plan_that_cannot_be_done_is_no_plan,
    mistakes::a_stopped_service_is_tried_or_named,
    mistakes::a_port_changes_hands_and_comes_back,
    mistakes::a_service_of_a_new_user_is_tried,
    admin::masked_disabled_and_stopped_stay_so,
    admin::drop_in_of_the_administrator_wins,
    lock::second_robotctl_is_told_who_works,
    lock::nobody_works_beside_a_hook,
    deploy::first_deploy_is_healthy_and_repeats_as_nothing,
    remove::remove_and_purge_leave_nothing,
];

/// Proofs under load, in stages of their own; only when asked for by name: `-- --full upgrades`, and
/// `-- latency`.
const LONG: [&str; 2] = ["upgrades", "latency"];

const SUITES: [&str; 2] = ["bookworm", "trixie"];

impl Test {
    /// What the machine's root file system must have besides.
    fn variant(&self) -> &'static str {
        match self.module {
            "upgrades" | "latency" => "+servers",
            _ => "",
        }
    }
}

/// What the command line asks for.
struct Asked {
    names: Vec<String>,
    suites: Vec<String>,
    jobs: Option<usize>,
}

impl Asked {
    /// Whether a test is among those that were named.
    fn wants(&self, test: &Test) -> bool {
        // The name of a module stands for the tests in it, and not for others that have the word.
        let named = |name: &String| match TESTS.iter().any(|other| other.module == name) {
            true => test.module == name,
            false => test.name.contains(name),
        };
        let proof = LONG.contains(&test.module);
        (self.names.is_empty() && !proof) || self.names.iter().any(named)
    }

    /// How many machines run at a time: one where how long clients wait is compared.
    fn lanes(&self) -> Result<usize, String> {
        let alone = |test: &&Test| test.module == "latency" && self.wants(test);
        match (TESTS.iter().find(alone), self.jobs) {
            (Some(test), Some(jobs)) if jobs > 1 => Err(format!(
                "`{}` needs the host for itself: `--jobs 1`",
                test.name
            )),
            (Some(_), _) => Ok(1),
            (None, jobs) => Ok(jobs.unwrap_or(2).max(1)),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, address, clients] = arguments.as_slice()
        && verb == "load"
    {
        load::generate(address, clients);
        return ExitCode::SUCCESS;
    }
    if arguments == ["serve"] {
        serve::run();
        return ExitCode::SUCCESS;
    }
    let refused = |message: String| {
        eprintln!("system: {message}");
        ExitCode::from(2)
    };
    let asked = match parse(&arguments) {
        Ok(Some(asked)) => asked,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => return refused(message),
    };
    let lanes = match asked.lanes() {
        Ok(lanes) => lanes,
        Err(message) => return refused(message),
    };
    let roots: BTreeSet<String> = TESTS
        .iter()
        .filter(|test| asked.wants(test))
        .flat_map(|test| {
            let suites = asked.suites.iter();
            suites.map(|suite| format!("{suite}{}", test.variant()))
        })
        .collect();
    if let Err(message) = machine::ready(&roots) {
        eprintln!("system: {message}");
        return ExitCode::FAILURE;
    }
    if asked.names.is_empty() {
        println!(
            "left out, as they have stages of their own: {}",
            LONG.join(", ")
        );
    }
    run(&asked, lanes)
}

fn parse(arguments: &[String]) -> Result<Option<Asked>, String> {
    let mut asked = Asked {
        names: Vec::new(),
        suites: Vec::new(),
        jobs: None,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--list" => {
                for test in TESTS {
                    println!("{}", test.name);
                }
                return Ok(None);
            }
            "--full" => upgrades::FULL.store(true, Ordering::Relaxed),
            "--suite" => asked.suites.push(value()?.clone()),
            "--jobs" => {
                let jobs = value()?.parse().map_err(|_| "`--jobs` needs a number")?;
                asked.jobs = Some(jobs);
            }
            flag if flag.starts_with('-') => return Err(format!("unknown option `{flag}`")),
            name => asked.names.push(name.to_owned()),
        }
    }
    if asked.suites.is_empty() {
        asked.suites = SUITES.map(str::to_owned).to_vec();
    }
    Ok(Some(asked))
}

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

fn run(asked: &Asked, lanes: usize) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|text| *text = info.to_string());
    }));
    let queue: VecDeque<(&Test, &str)> = TESTS
        .iter()
        .filter(|test| asked.wants(test))
        .flat_map(|test| asked.suites.iter().map(move |suite| (test, suite.as_str())))
        .collect();
    let queue = Mutex::new(queue);
    let counts = Mutex::new((0_usize, 0_usize));
    let lane = || {
        while let Some((test, suite)) = { queue.lock().unwrap().pop_front() } {
            let passed = one(test, suite);
            let mut counts = counts.lock().unwrap();
            if passed {
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(lane);
        }
    });
    let (passed, failed) = counts.into_inner().unwrap();
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one test on a fresh machine and prints one line, and what it measured or why it failed.
fn one(test: &Test, suite: &str) -> bool {
    let start = Instant::now();
    let mut tail = String::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let machine = match test.module {
            "package" => Machine::bare(suite),
            _ => Machine::boot(&format!("{suite}{}", test.variant())),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| (test.run)(&machine)));
        match outcome {
            Ok(()) => tail = machine.notes(),
            Err(_) => tail = machine.notes() + &machine.last_words(),
        }
        outcome.is_ok()
    }));
    let passed = outcome.unwrap_or(false);
    let word = if passed { "ok" } else { "FAILED" };
    let mut report = format!(
        "test {suite:8} {} ... {word} ({:.1} s)\n",
        test.name,
        start.elapsed().as_secs_f32()
    );
    if !passed {
        report.push_str(&indented(&PANIC.with_borrow(Clone::clone)));
    }
    report.push_str(&indented(&tail));
    print!("{report}");
    passed
}

fn indented(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(&format!("     {line}\n"));
    }
    out
}
