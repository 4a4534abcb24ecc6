//! With two processors, `robotctl` uses threads: the calls of each thread are killed and made to
//! fail.
//!
//! Threads divide the work differently in every run, so the calls cannot be listed in advance. But
//! strace counts the calls of each thread separately: a fault is injected into the first call of
//! every thread, then into the second, until no thread makes that many.

use super::fixture::{Fixture, Host, LARGE, Outcome, args};
use super::injection::Fault;
use super::state::HostState;
use super::syscalls::{Operation, check_outcome};
use std::collections::BTreeSet;
use std::path::PathBuf;

tests![Suite: a_fault_in_any_thread_is_recovered];

/// Calls, each with an error that a disk can cause.
const CALLS: [(&str, &str); 3] = [("syncfs", "EIO"), ("fsync", "EIO"), ("write", "ENOSPC")];

/// The number of calls of one thread that get a fault.
const MAX_CALLS: usize = 12;

/// How often a deploy is started until the call is made in a thread other than the first. On a busy
/// host, the first thread often does all the work before another one gets a processor.
const MAX_ATTEMPTS: usize = 100;

/// Makes every thread but the first fail to start, and no process: the stack would be larger than
/// the address space.
const HUGE_STACK: [&str; 2] = ["env", "RUST_MIN_STACK=4611686018427387904"];

/// The outcome of a command, and where the fault was injected.
struct Injected {
    ran: Outcome,
    /// Whether the fault reached any thread.
    anywhere: bool,
    /// Whether the fault reached a thread other than the first.
    in_other_thread: bool,
}

fn a_fault_in_any_thread_is_recovered(fixture: &Fixture) -> Result<String, String> {
    let host = fixture.two_cpu_host("threads")?;
    let arguments = host.deploy(LARGE);
    let old = HostState::read(&host.root);
    let mut has_threads = false;
    for _ in 0..MAX_ATTEMPTS {
        host.clear();
        let (ran, log) = traced(&host, &arguments, "syncfs", None);
        if ran.code != Some(0) {
            return Err(format!("the deploy failed without a fault: {}", ran.stderr));
        }
        has_threads = is_in_other_thread(&log, "syncfs(");
        if has_threads {
            break;
        }
    }
    if !has_threads {
        return Err("no thread other than the first syncs: there is nothing to test".into());
    }
    let new = HostState::read(&host.root);
    let operation = Operation {
        name: "deploy",
        arguments,
        template: PathBuf::new(),
        old,
        new,
        points: Vec::new(),
    };
    errors_in_other_threads_refuse(&host, &operation)?;
    no_thread_can_start(&host)?;
    let (mut cases, mut counts) = (0, Vec::new());
    for (call, error) in CALLS {
        let mut in_other_thread = 0;
        for nth in (1..=MAX_CALLS).step_by(fixture.every) {
            let mut anywhere = false;
            for fault in [Fault::Kill, Fault::Error(error)] {
                let context =
                    |error| format!("{} at {call}#{nth} of each thread: {error}", fault.name());
                let injected = inject(&host, &operation, call, nth, fault).map_err(context)?;
                if injected.anywhere {
                    check_outcome(&host, &operation, fault, &injected.ran).map_err(context)?;
                    cases += 1;
                }
                anywhere |= injected.anywhere;
                in_other_thread += usize::from(injected.in_other_thread);
            }
            if !anywhere {
                break;
            }
        }
        if in_other_thread > 0 {
            counts.push(format!("{call} {in_other_thread}"));
        }
    }
    host.clear();
    Ok(format!(
        "{cases} faults with two processors; errors in a thread other than the first: {}",
        counts.join(", ")
    ))
}

/// The deploy must notice an error in a thread other than the first, and be refused.
fn errors_in_other_threads_refuse(host: &Host<'_>, operation: &Operation) -> Result<(), String> {
    // The first thread syncs once, at the end, so only the thread that writes early syncs a second
    // time. The first thread writes twice before it starts to copy, and the second of these writes
    // may fail.
    for (call, nth, error) in [
        ("syncfs", 1, "EIO"),
        ("syncfs", 2, "EIO"),
        ("write", 2, "ENOSPC"),
    ] {
        let fault = Fault::Error(error);
        let context = |cause: String| format!("{error} at {call}#{nth} of each thread: {cause}");
        // Sometimes the other threads start too late to reach the call.
        let mut tries = (0..MAX_ATTEMPTS).map(|_| inject(host, operation, call, nth, fault));
        let injected = tries.find(|injected| {
            injected
                .as_ref()
                .map_or(true, |injected| injected.in_other_thread)
        });
        let injected = injected
            .unwrap_or_else(|| Err("no fault reached a thread other than the first".into()));
        let injected = injected.map_err(context)?;
        let state = HostState::read(&host.root);
        if injected.ran.code != Some(2) || state.current.is_some() || !state.releases.is_empty() {
            return Err(context(format!(
                "exit {:?}, {:?} is live, {:?} are there: {}",
                injected.ran.code,
                state.live(),
                state.releases.keys(),
                injected.ran.stderr
            )));
        }
        check_outcome(host, operation, fault, &injected.ran).map_err(context)?;
    }
    Ok(())
}

/// If the system cannot start more threads, the first thread does all the work. A first deploy and
/// an upgrade then have the same result.
fn no_thread_can_start(host: &Host<'_>) -> Result<(), String> {
    for before in [None, Some(1)] {
        let mut ends = Vec::new();
        for wrapper in [args(&[]), args(&HUGE_STACK)] {
            host.clear();
            if let Some(version) = before {
                host.run_ok(&host.deploy(version))?;
            }
            let is_alone = !wrapper.is_empty();
            let arguments = host.deploy(LARGE);
            let (ran, log) = traced_in(&wrapper, host, &arguments, "?clone3,clone", None);
            let fine = ran.code == Some(0) && log.contains("CLONE_THREAD") != is_alone;
            if !fine {
                let (code, said) = (ran.code, ran.stderr);
                return Err(format!("alone: {is_alone}, exit {code:?}: {said}; {log}"));
            }
            ends.push(HostState::read(&host.root));
        }
        if ends[0] != ends[1] {
            return Err("without threads the result differs".into());
        }
    }
    Ok(())
}

/// Runs a first deploy and injects a fault into one call of each thread.
fn inject(
    host: &Host<'_>,
    operation: &Operation,
    call: &str,
    nth: usize,
    fault: Fault,
) -> Result<Injected, String> {
    host.clear();
    let what = match fault {
        Fault::Kill => "signal=KILL".to_owned(),
        Fault::Error(errno) => format!("error={errno}"),
    };
    let inject = format!("inject={call}:{what}:when={nth}");
    let (ran, log) = traced(host, &operation.arguments, call, Some(&inject));
    let hit = match fault {
        Fault::Kill => "killed by SIGKILL",
        Fault::Error(_) => "(INJECTED)",
    };
    let anywhere = log.contains(hit);
    if anywhere == (ran.code == Some(0)) && fault == Fault::Kill {
        return Err(format!("exit {:?} although it was killed", ran.code));
    }
    Ok(Injected {
        anywhere,
        // A kill ends all threads, so it does not count.
        in_other_thread: fault != Fault::Kill && is_in_other_thread(&log, hit),
        ran,
    })
}

/// Runs a command with all its threads under strace. Returns its outcome and the output of strace.
fn traced(
    host: &Host<'_>,
    arguments: &[String],
    call: &str,
    inject: Option<&str>,
) -> (Outcome, String) {
    traced_in(&[], host, arguments, call, inject)
}

/// Like [`traced`], run through another command.
fn traced_in(
    through: &[String],
    host: &Host<'_>,
    arguments: &[String],
    call: &str,
    inject: Option<&str>,
) -> (Outcome, String) {
    let log = host.root.with_extension("strace").display().to_string();
    let trace = format!("trace=execve,{call}");
    let mut wrapper = vec!["strace", "-f", "-o", &log, "-e", &trace];
    if let Some(inject) = inject {
        wrapper.extend(["-e", inject]);
    }
    let wrapper = [through, &args(&wrapper)].concat();
    let ran = host.run_under(&wrapper, arguments);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    (ran, text)
}

/// Whether a line with `what` belongs to a thread that is not the first of a process.
fn is_in_other_thread(log: &str, what: &str) -> bool {
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    let first = lines.clone().filter(|(_, rest)| rest.contains("execve("));
    let first: BTreeSet<&str> = first.map(|(id, _)| id).collect();
    let mut found = lines.filter(|(_, rest)| rest.contains(what));
    found.any(|(id, _)| !first.contains(id))
}
