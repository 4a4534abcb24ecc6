//! At each state-changing system call of a recovery: a second kill, a full disk, a broken disk,
//! an interruption.
//!
//! Recoveries from neighbouring states make the same calls on the same disk. Where a second kill
//! leaves a disk that is known, with the same calls to come, what follows is known too, and the
//! walk ends there.

use super::bench::{Bench, Place, copy_tree, words};
use super::points::{FAULTS, Fault, Point, points, strike};
use super::seen::digest;
use super::syscalls::{Operation, operations};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

tests![Suite: each_call_of_recovery];

/// A state of the disk that a kill can leave.
struct Killed<'a> {
    operation: &'a Operation,
    at: String,
    template: PathBuf,
}

/// What has been seen so far, by all workers.
#[derive(Default)]
struct Known {
    /// Operation, disk after a second kill, and the calls that were to come.
    walked: Mutex<BTreeSet<(&'static str, String, String)>>,
    /// Operation, error, and the call that it was given to.
    tried: Mutex<BTreeSet<(&'static str, &'static str, String)>>,
    points: AtomicUsize,
    kills: AtomicUsize,
    errors: AtomicUsize,
}

/// A second fault, at each call of the recovery from each kill.
fn each_call_of_recovery(bench: &Bench) -> Result<String, String> {
    let operations = operations(bench)?;
    let mut kills = Vec::new();
    for operation in &operations {
        kills.extend(operation.points.iter().map(|point| (operation, point)));
    }
    let (killed, torn) = states(bench, &kills)?;
    let known = Known::default();
    let ended = bench.each(&killed, |place, killed| walk(place, killed, &known));
    for one in &killed {
        std::fs::remove_dir_all(&one.template).unwrap();
    }
    ended?;
    if torn == 0 {
        return Err("without the journal every kill was harmless: the test does not bite".into());
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

/// Every state of the disk that a kill leaves, and how many of them need the journal.
fn states<'a>(
    bench: &Bench,
    kills: &[(&'a Operation, &'a Point)],
) -> Result<(Vec<Killed<'a>>, usize), String> {
    let (known, killed) = (Mutex::new(BTreeSet::new()), Mutex::new(Vec::new()));
    let torn = AtomicUsize::new(0);
    bench.each(kills, |place, (operation, point)| {
        place.become_like(&operation.template);
        strike(place, &operation.arguments, point, Fault::Kill)?;
        let name = format!("{}-{}", operation.name, digest(&place.root));
        // Calls that only sync leave the disk as it was.
        if known.lock().unwrap().insert(name.clone()) {
            let template = bench.dir.join(format!("killed-{name}"));
            std::fs::create_dir(&template).unwrap();
            copy_tree(&place.root, &template);
            let one = Killed {
                operation,
                at: point.shown(),
                template,
            };
            torn.fetch_add(usize::from(without_journal(place, &one)), Ordering::Relaxed);
            killed.lock().unwrap().push(one);
        }
        Ok(())
    })?;
    Ok((killed.into_inner().unwrap(), torn.into_inner()))
}

/// Whether the host stays between old and new when the journal is taken away.
fn without_journal(place: &Place<'_>, killed: &Killed<'_>) -> bool {
    place.become_like(&killed.template);
    let _ = std::fs::remove_file(place.root.join("var/lib/robotctl/demo/journal.json"));
    let _ = place.run(&words(&["recover"]));
    killed.operation.judge(place).is_err()
}

/// Every call of the recovery from one state, as long as it is not known what follows.
fn walk(place: &Place<'_>, killed: &Killed<'_>, known: &Known) -> Result<(), String> {
    let name = killed.operation.name;
    place.become_like(&killed.template);
    let (ran, points) = points(place, &words(&["recover"]))?;
    if ran.code != Some(0) {
        return Err(format!("{name}, killed at {}: {}", killed.at, ran.said));
    }
    known.points.fetch_add(points.len(), Ordering::Relaxed);
    let kinds: Vec<String> = points.iter().map(Point::kind).collect();
    let mut new = true;
    for (at, point) in points.iter().enumerate() {
        let blame = |fault: Fault, wrong: String| {
            let (first, point) = (&killed.at, point.shown());
            let fault = fault.name();
            format!("{name}, killed at {first}; then {fault} at {point} of the recovery: {wrong}")
        };
        // The disk before a sync is the disk after the call before it: that kill is there.
        if new && !point.name.contains("sync") {
            known.kills.fetch_add(1, Ordering::Relaxed);
            place.become_like(&killed.template);
            strike(place, &words(&["recover"]), point, Fault::Kill)
                .map_err(|wrong| blame(Fault::Kill, wrong))?;
            let key = (name, digest(&place.root), kinds[at..].join("\n"));
            new = known.walked.lock().unwrap().insert(key);
            if new {
                recovered(place, killed).map_err(|wrong| blame(Fault::Kill, wrong))?;
            }
        }
        for fault in FAULTS {
            let Fault::Error(error) = fault else { continue };
            let key = (name, error, kinds[at].clone());
            if known.tried.lock().unwrap().insert(key) {
                known.errors.fetch_add(1, Ordering::Relaxed);
                failing(place, killed, point, fault).map_err(|wrong| blame(fault, wrong))?;
            }
        }
    }
    Ok(())
}

/// A recovery in which one call fails: it tells, and the next one ends well.
fn failing(
    place: &Place<'_>,
    killed: &Killed<'_>,
    point: &Point,
    fault: Fault,
) -> Result<(), String> {
    place.become_like(&killed.template);
    let ran = strike(place, &words(&["recover"]), point, fault)?;
    if !matches!(ran.code, Some(0 | 2 | 4)) {
        return Err(format!("exit {:?}: {}", ran.code, ran.said));
    }
    recovered(place, killed)
}

fn recovered(place: &Place<'_>, killed: &Killed<'_>) -> Result<(), String> {
    place.must(&words(&["recover"]))?;
    killed.operation.judge(place).map(drop)
}
