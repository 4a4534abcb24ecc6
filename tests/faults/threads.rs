//! With two processors, threads share the work: the calls of each are killed and made to fail.
//!
//! Which thread does what is another matter in every run, so that no list of calls can be made.
//! But strace counts the calls of each thread alone: the first of every thread is struck, then the
//! second, until none makes as many.

use super::bench::{Bench, LARGE, Place, Ran, words};
use super::points::Fault;
use super::seen::Seen;
use super::syscalls::{Operation, settles};
use std::collections::BTreeSet;
use std::path::PathBuf;

tests![Suite: two_processors];

/// Calls, each with an error that a disk gives to it.
const CALLS: [(&str, &str); 3] = [("syncfs", "EIO"), ("fsync", "EIO"), ("write", "ENOSPC")];

/// Calls of one thread that are struck.
const MOST: usize = 12;

/// How often a deploy may begin until a thread beside the first does what is struck.
const TRIES: usize = 10;

/// What makes every thread but the first fail to start, and no process: its stack would be larger
/// than all that a process can address.
const NO_STACK: [&str; 2] = ["env", "RUST_MIN_STACK=4611686018427387904"];

/// A command that was struck, and where.
struct Struck {
    ran: Ran,
    /// Whether any thread was.
    anywhere: bool,
    /// Whether one was that is not the first.
    beside: bool,
}

fn two_processors(bench: &Bench) -> Result<String, String> {
    let place = bench.wide_place("threads")?;
    let arguments = place.deploy(LARGE);
    let old = Seen::at(&place.root);
    let (ran, log) = traced(&place, &arguments, "syncfs", None);
    if ran.code != Some(0) {
        return Err(format!("the deploy failed without a fault: {}", ran.said));
    }
    if !is_beside(&log, "syncfs(") {
        return Err("no thread beside the first syncs: there is nothing to strike".into());
    }
    let new = Seen::at(&place.root);
    let operation = Operation {
        name: "deploy",
        arguments,
        template: PathBuf::new(),
        old,
        new,
        points: Vec::new(),
    };
    early(&place, &operation)?;
    no_more(&place)?;
    let (mut cases, mut told) = (0, Vec::new());
    for (call, error) in CALLS {
        let mut beside = 0;
        for nth in (1..=MOST).step_by(bench.every) {
            let mut anywhere = false;
            for fault in [Fault::Kill, Fault::Error(error)] {
                let blame =
                    |wrong| format!("{} at {call}#{nth} of each thread: {wrong}", fault.name());
                let struck = strike(&place, &operation, call, nth, fault).map_err(blame)?;
                if struck.anywhere {
                    settles(&place, &operation, fault, &struck.ran).map_err(blame)?;
                    cases += 1;
                }
                anywhere |= struck.anywhere;
                beside += usize::from(struck.beside);
            }
            if !anywhere {
                break;
            }
        }
        if beside > 0 {
            told.push(format!("{call} {beside}"));
        }
    }
    place.clear();
    Ok(format!(
        "{cases} faults with two processors; errors in a thread beside the first: {}",
        told.join(", ")
    ))
}

/// What one thread beside the first cannot write, the deploy must hear of: it is refused.
fn early(place: &Place<'_>, operation: &Operation) -> Result<(), String> {
    // The first thread syncs once, at the end: a second time is of the one that writes early alone.
    // Before it begins to copy, the first one writes twice, and could do without the second.
    for (call, nth, error) in [
        ("syncfs", 1, "EIO"),
        ("syncfs", 2, "EIO"),
        ("write", 2, "ENOSPC"),
    ] {
        let fault = Fault::Error(error);
        let blame = |wrong: String| format!("{error} at {call}#{nth} of each thread: {wrong}");
        // Once in a while the other threads come too late to do as much.
        let mut tries = (0..TRIES).map(|_| strike(place, operation, call, nth, fault));
        let struck = tries.find(|struck| struck.as_ref().map_or(true, |struck| struck.beside));
        let struck = struck.unwrap_or_else(|| Err("no thread beside the first was struck".into()));
        let struck = struck.map_err(blame)?;
        let seen = Seen::at(&place.root);
        if struck.ran.code != Some(2) || seen.current.is_some() || !seen.releases.is_empty() {
            return Err(blame(format!(
                "exit {:?}, {:?} is live, {:?} are there: {}",
                struck.ran.code,
                seen.live(),
                seen.releases.keys(),
                struck.ran.said
            )));
        }
        settles(place, operation, fault, &struck.ran).map_err(blame)?;
    }
    Ok(())
}

/// Where the system gives no thread more, the first one does all of it: a first deploy and an
/// upgrade come to the same end.
fn no_more(place: &Place<'_>) -> Result<(), String> {
    for before in [None, Some(1)] {
        let mut ends = Vec::new();
        for wrapper in [words(&[]), words(&NO_STACK)] {
            place.clear();
            if let Some(version) = before {
                place.must(&place.deploy(version))?;
            }
            let is_alone = !wrapper.is_empty();
            let arguments = place.deploy(LARGE);
            let (ran, log) = traced_in(&wrapper, place, &arguments, "?clone3,clone", None);
            let fine = ran.code == Some(0) && log.contains("CLONE_THREAD") != is_alone;
            if !fine {
                let (code, said) = (ran.code, ran.said);
                return Err(format!("alone: {is_alone}, exit {code:?}: {said}; {log}"));
            }
            ends.push(Seen::at(&place.root));
        }
        if ends[0] != ends[1] {
            return Err("without threads it is another host".into());
        }
    }
    Ok(())
}

/// Runs a first deploy with a fault at a call of each thread.
fn strike(
    place: &Place<'_>,
    operation: &Operation,
    call: &str,
    nth: usize,
    fault: Fault,
) -> Result<Struck, String> {
    place.clear();
    let what = match fault {
        Fault::Kill => "signal=KILL".to_owned(),
        Fault::Error(errno) => format!("error={errno}"),
    };
    let inject = format!("inject={call}:{what}:when={nth}");
    let (ran, log) = traced(place, &operation.arguments, call, Some(&inject));
    let hit = match fault {
        Fault::Kill => "killed by SIGKILL",
        Fault::Error(_) => "(INJECTED)",
    };
    let anywhere = log.contains(hit);
    if anywhere == (ran.code == Some(0)) && fault == Fault::Kill {
        return Err(format!("exit {:?} of who was killed", ran.code));
    }
    Ok(Struck {
        anywhere,
        // A kill ends all of them, whoever was struck.
        beside: fault != Fault::Kill && is_beside(&log, hit),
        ran,
    })
}

/// Runs a command with all its threads under strace: how it ended, and what strace wrote.
fn traced(
    place: &Place<'_>,
    arguments: &[String],
    call: &str,
    inject: Option<&str>,
) -> (Ran, String) {
    traced_in(&[], place, arguments, call, inject)
}

/// As [`traced`], through another command.
fn traced_in(
    through: &[String],
    place: &Place<'_>,
    arguments: &[String],
    call: &str,
    inject: Option<&str>,
) -> (Ran, String) {
    let log = place.root.with_extension("strace").display().to_string();
    let trace = format!("trace=execve,{call}");
    let mut wrapper = vec!["strace", "-f", "-o", &log, "-e", &trace];
    if let Some(inject) = inject {
        wrapper.extend(["-e", inject]);
    }
    let wrapper = [through, &words(&wrapper)].concat();
    let ran = place.under(&wrapper, arguments);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    (ran, text)
}

/// Whether a line with `what` is of a thread that is not the first of a process.
fn is_beside(log: &str, what: &str) -> bool {
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    let first = lines.clone().filter(|(_, rest)| rest.contains("execve("));
    let first: BTreeSet<&str> = first.map(|(id, _)| id).collect();
    let mut found = lines.filter(|(_, rest)| rest.contains(what));
    found.any(|(id, _)| !first.contains(id))
}
