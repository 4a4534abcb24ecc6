//! A second fault at each state-changing system call of a recovery: a kill, a full disk, a broken
//! disk or an interruption.
//!
//! Recoveries from similar states make the same calls on the same disk. If a second kill leaves a
//! known disk, and the calls that follow are known as well, the rest was tested already and the
//! walk ends there.

use super::fixture::{Fixture, Host, args, copy_tree};
use super::injection::{FAULTS, Fault, Point, inject, list_points};
use super::state::digest;
use super::syscalls::{Operation, operations};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

tests![Suite: recovery_survives_a_second_fault];

/// A disk state that a kill can leave.
struct Killed<'a> {
    operation: &'a Operation,
    at: String,
    template: PathBuf,
}

/// What all workers have tested so far.
#[derive(Default)]
struct Known {
    /// Operation, disk after a second kill, and the calls that would follow.
    walked: Mutex<BTreeSet<(&'static str, String, String)>>,
    /// Operation, error, and the call that failed with it.
    tried: Mutex<BTreeSet<(&'static str, &'static str, String)>>,
    points: AtomicUsize,
    kills: AtomicUsize,
    errors: AtomicUsize,
}

/// Injects a second fault at each call of the recovery from each kill.
fn recovery_survives_a_second_fault(fixture: &Fixture) -> Result<String, String> {
    let operations = operations(fixture)?;
    let mut kills = Vec::new();
    for operation in &operations {
        kills.extend(operation.points.iter().map(|point| (operation, point)));
    }
    let (killed, torn) = states(fixture, &kills)?;
    let known = Known::default();
    let ended = fixture.run_cases(&killed, |host, killed| walk(host, killed, &known));
    for one in &killed {
        std::fs::remove_dir_all(&one.template).unwrap();
    }
    ended?;
    if torn == 0 {
        return Err("without the journal every kill was harmless: the test detects nothing".into());
    }
    Ok(format!(
        "{torn} of {} states that {} kills leave need the journal; {} points of their recoveries, \
         {} second kills and {} errors until all that follows is known",
        killed.len(),
        kills.len(),
        known.points.into_inner(),
        known.kills.into_inner(),
        known.errors.into_inner()
    ))
}

/// All disk states that a kill leaves, and how many of them need the journal.
fn states<'a>(
    fixture: &Fixture,
    kills: &[(&'a Operation, &'a Point)],
) -> Result<(Vec<Killed<'a>>, usize), String> {
    let (known, killed) = (Mutex::new(BTreeSet::new()), Mutex::new(Vec::new()));
    let torn = AtomicUsize::new(0);
    fixture.run_cases(kills, |host, (operation, point)| {
        host.restore(&operation.template);
        inject(host, &operation.arguments, point, Fault::Kill)?;
        let name = format!("{}-{}", operation.name, digest(&host.root));
        // Calls that only sync do not change the disk.
        if known.lock().unwrap().insert(name.clone()) {
            let template = fixture.dir.join(format!("killed-{name}"));
            std::fs::create_dir(&template).unwrap();
            copy_tree(&host.root, &template);
            let one = Killed {
                operation,
                at: point.shown(),
                template,
            };
            torn.fetch_add(usize::from(without_journal(host, &one)), Ordering::Relaxed);
            killed.lock().unwrap().push(one);
        }
        Ok(())
    })?;
    Ok((killed.into_inner().unwrap(), torn.into_inner()))
}

/// Whether the host stays incomplete if the journal is removed.
fn without_journal(host: &Host<'_>, killed: &Killed<'_>) -> bool {
    host.restore(&killed.template);
    let _ = std::fs::remove_file(host.root.join("var/lib/robotctl/demo/journal.json"));
    let _ = host.run(&args(&["recover"]));
    killed.operation.verify(host).is_err()
}

/// Tests every call of the recovery from one state, until the rest is known.
fn walk(host: &Host<'_>, killed: &Killed<'_>, known: &Known) -> Result<(), String> {
    let name = killed.operation.name;
    host.restore(&killed.template);
    let (ran, points) = list_points(host, &args(&["recover"]))?;
    if ran.code != Some(0) {
        return Err(format!("{name}, killed at {}: {}", killed.at, ran.stderr));
    }
    known.points.fetch_add(points.len(), Ordering::Relaxed);
    let kinds: Vec<String> = points.iter().map(Point::kind).collect();
    let mut new = true;
    for (at, point) in points.iter().enumerate() {
        let context = |fault: Fault, error: String| {
            let (first, point) = (&killed.at, point.shown());
            let fault = fault.name();
            format!("{name}, killed at {first}; then {fault} at {point} of the recovery: {error}")
        };
        // The disk before a sync equals the disk after the call before it, which has its own kill.
        if new && !point.name.contains("sync") {
            known.kills.fetch_add(1, Ordering::Relaxed);
            host.restore(&killed.template);
            inject(host, &args(&["recover"]), point, Fault::Kill)
                .map_err(|error| context(Fault::Kill, error))?;
            let key = (name, digest(&host.root), kinds[at..].join("\n"));
            new = known.walked.lock().unwrap().insert(key);
            if new {
                recovered(host, killed).map_err(|error| context(Fault::Kill, error))?;
            }
        }
        for fault in FAULTS {
            let Fault::Error(error) = fault else { continue };
            let key = (name, error, kinds[at].clone());
            if known.tried.lock().unwrap().insert(key) {
                known.errors.fetch_add(1, Ordering::Relaxed);
                failing(host, killed, point, fault).map_err(|error| context(fault, error))?;
            }
        }
    }
    Ok(())
}

/// One call of a recovery fails: this recovery reports it, and the next one succeeds.
fn failing(
    host: &Host<'_>,
    killed: &Killed<'_>,
    point: &Point,
    fault: Fault,
) -> Result<(), String> {
    host.restore(&killed.template);
    let ran = inject(host, &args(&["recover"]), point, fault)?;
    if !matches!(ran.code, Some(0 | 2 | 4)) {
        return Err(format!("exit {:?}: {}", ran.code, ran.stderr));
    }
    recovered(host, killed)
}

fn recovered(host: &Host<'_>, killed: &Killed<'_>) -> Result<(), String> {
    host.run_ok(&args(&["recover"]))?;
    killed.operation.verify(host).map(drop)
}
