//! At each state-changing system call: a kill, a full disk, a broken disk, an interruption.

use super::bench::{Bench, Place, words};
use super::points::{FAULTS, Fault, Point, points, strike};
use super::seen::{Seen, Side, digest, leftovers};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A command, the host that it works on, and what the host is before and after.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) template: PathBuf,
    pub(crate) old: Seen,
    pub(crate) new: Seen,
    pub(crate) points: Vec<Point>,
}

impl Operation {
    fn new(
        place: &Place<'_>,
        name: &'static str,
        template: &str,
        arguments: Vec<String>,
    ) -> Result<Self, String> {
        let template = place.bench.dir.join(template);
        place.become_like(&template);
        let old = Seen::at(&place.root);
        let (ran, points) = points(place, &arguments)?;
        if ran.code != Some(0) {
            return Err(format!("{name} failed without a fault: {}", ran.said));
        }
        leftovers(&place.root).map_err(|wrong| format!("{name} without a fault: {wrong}"))?;
        let new = Seen::at(&place.root);
        Ok(Self {
            name,
            arguments,
            template,
            old,
            new,
            points,
        })
    }

    /// The host must be on one side, with nothing left behind.
    pub(crate) fn judge(&self, place: &Place<'_>) -> Result<Side, String> {
        leftovers(&place.root)?;
        Seen::at(&place.root).side(&self.old, &self.new)
    }

    /// The command, typed again, must get where it wanted to.
    pub(crate) fn retry(&self, place: &Place<'_>, side: Side) -> Result<(), String> {
        if side == Side::New && self.name == "remove" {
            return Ok(());
        }
        place
            .must(&self.arguments)
            .map_err(|said| format!("the retry: {said}"))?;
        match self.judge(place) {
            Ok(Side::New) => Ok(()),
            other => Err(format!("after the retry: {other:?}")),
        }
    }
}

/// Hosts to start from, and everything that changes one.
pub(crate) fn operations(bench: &Bench) -> Result<Vec<Operation>, String> {
    let place = bench.place("maker", 0);
    let mut ids = Vec::new();
    for (name, versions) in [
        ("empty", vec![]),
        ("one", vec![1]),
        ("two", vec![1, 2]),
        ("many", vec![1, 2, 3, 4, 5]),
    ] {
        place.clear();
        for version in versions {
            place.must(&place.deploy(version))?;
            ids = Seen::at(&place.root).releases.into_keys().collect();
        }
        let template = bench.dir.join(name);
        if template.exists() {
            std::fs::remove_dir_all(&template).unwrap();
        }
        std::fs::create_dir(&template).unwrap();
        super::bench::copy_tree(&place.root, &template);
    }
    let first = ids[0].as_str();
    Ok(vec![
        Operation::new(&place, "deploy", "empty", place.deploy(1))?,
        Operation::new(&place, "upgrade", "one", place.deploy(2))?,
        Operation::new(&place, "rollback", "two", words(&["rollback", first]))?,
        Operation::new(
            &place,
            "pin",
            "two",
            words(&["rollback", first, "--service", "web"]),
        )?,
        Operation::new(&place, "prune", "many", words(&["prune", "--keep", "2"]))?,
        Operation::new(&place, "remove", "two", words(&["remove", "--purge"]))?,
    ])
}

pub(crate) fn each_call(bench: &Bench) -> Result<String, String> {
    let operations = operations(bench)?;
    let mut cases = Vec::new();
    for operation in &operations {
        for point in &operation.points {
            cases.extend(FAULTS.map(|fault| (operation, point, fault)));
        }
    }
    bench.each(&cases, |place, (operation, point, fault)| {
        one(place, operation, point, *fault).map_err(|wrong| {
            format!(
                "{}, {} at {}: {wrong}",
                operation.name,
                fault.name(),
                point.shown()
            )
        })
    })?;
    let told: Vec<String> = operations
        .iter()
        .map(|one| format!("{} {}", one.name, one.points.len()))
        .collect();
    let count: usize = operations.iter().map(|one| one.points.len()).sum();
    Ok(format!(
        "{count} points ({}), {} faults at each, {} cases",
        told.join(", "),
        FAULTS.len(),
        cases.len()
    ))
}

fn one(
    place: &Place<'_>,
    operation: &Operation,
    point: &Point,
    fault: Fault,
) -> Result<(), String> {
    place.become_like(&operation.template);
    let ran = strike(place, &operation.arguments, point, fault)?;
    let recover = words(&["recover"]);
    if fault == Fault::Kill {
        place.must(&recover)?;
        return operation.retry(place, operation.judge(place)?);
    }
    // What it says must be so, before anything else runs.
    let told = ran.code;
    if told != Some(4) {
        let side = Seen::at(&place.root).side(&operation.old, &operation.new);
        let side = side.map_err(|wrong| format!("exit {told:?}: {wrong}: {}", ran.said))?;
        let same = operation.old.files == operation.new.files
            && operation.old.state == operation.new.state;
        let honest = match told {
            Some(0) => side == Side::New,
            Some(2 | 3) => side == Side::Old || same,
            _ => false,
        };
        if !honest {
            return Err(format!(
                "exit {told:?}, and the host is {side:?}: {}",
                ran.said
            ));
        }
    } else if !ran.said.contains("robotctl recover") {
        return Err(format!("exit 4 does not say what to type: {}", ran.said));
    }
    if fault == Fault::Error("EINTR") && point.may_be_interrupted() && told != Some(0) {
        return Err(format!(
            "an interrupted call was not made again: {}",
            ran.said
        ));
    }
    place.must(&recover)?;
    operation.retry(place, operation.judge(place)?)
}

/// A state of the disk that a kill can leave.
struct Killed<'a> {
    operation: &'a Operation,
    at: String,
    template: PathBuf,
}

/// A second fault, at each call of the recovery from each kill.
pub(crate) fn each_call_of_recovery(bench: &Bench) -> Result<String, String> {
    let operations = operations(bench)?;
    let (known, killed) = (Mutex::new(BTreeSet::new()), Mutex::new(Vec::new()));
    let torn = AtomicUsize::new(0);
    let mut kills = Vec::new();
    for operation in operations.iter().filter(|one| one.name != "pin") {
        kills.extend(operation.points.iter().map(|point| (operation, point)));
    }
    bench.each(&kills, |place, (operation, point)| {
        place.become_like(&operation.template);
        strike(place, &operation.arguments, point, Fault::Kill)?;
        let digest = digest(&place.root);
        // Calls that only sync leave the disk as it was.
        if known
            .lock()
            .unwrap()
            .insert(format!("{}{digest}", operation.name))
        {
            let template = bench
                .dir
                .join(format!("killed-{}-{digest}", operation.name));
            std::fs::create_dir(&template).unwrap();
            super::bench::copy_tree(&place.root, &template);
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
    let killed = killed.into_inner().unwrap();
    let (count, strikes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ended = bench.each(&killed, |place, killed| {
        place.become_like(&killed.template);
        let recover = words(&["recover"]);
        let (ran, points) = points(place, &recover)?;
        if ran.code != Some(0) {
            return Err(format!(
                "{}, killed at {}: {}",
                killed.operation.name, killed.at, ran.said
            ));
        }
        count.fetch_add(points.len(), Ordering::Relaxed);
        for (at, point) in points.iter().enumerate() {
            // The disk before a sync is the disk after the call before it: that kill is there.
            let kill = !point.name.contains("sync");
            // Other faults in turn, at every fourth call; another call in every state.
            let other = (at + count.load(Ordering::Relaxed)).is_multiple_of(4);
            let faults = [(kill, Fault::Kill), (other, FAULTS[1 + at % 3])];
            for (_, fault) in faults.into_iter().filter(|(wanted, _)| *wanted) {
                strikes.fetch_add(1, Ordering::Relaxed);
                again(place, killed, point, fault).map_err(|wrong| {
                    let (name, at) = (killed.operation.name, &killed.at);
                    format!(
                        "{name}, killed at {at}; then {} at {} of the recovery: {wrong}",
                        fault.name(),
                        point.shown()
                    )
                })?;
            }
        }
        Ok(())
    });
    for one in &killed {
        std::fs::remove_dir_all(&one.template).unwrap();
    }
    ended?;
    let torn = torn.into_inner();
    if torn == 0 {
        return Err("without the journal every kill was harmless: the test does not bite".into());
    }
    Ok(format!(
        "{torn} of {} states that {} kills leave need the journal, {} points of their recoveries, {} second faults",
        killed.len(),
        kills.len(),
        count.into_inner(),
        strikes.into_inner()
    ))
}

/// Whether the host stays between old and new when the journal is taken away.
fn without_journal(place: &Place<'_>, killed: &Killed<'_>) -> bool {
    place.become_like(&killed.template);
    let _ = std::fs::remove_file(place.root.join("var/lib/robotctl/demo/journal.json"));
    let _ = place.run(&words(&["recover"]));
    killed.operation.judge(place).is_err()
}

fn again(
    place: &Place<'_>,
    killed: &Killed<'_>,
    point: &Point,
    fault: Fault,
) -> Result<(), String> {
    place.become_like(&killed.template);
    let recover = words(&["recover"]);
    let ran = strike(place, &recover, point, fault)?;
    if fault != Fault::Kill && !matches!(ran.code, Some(0 | 2 | 4)) {
        return Err(format!("exit {:?}: {}", ran.code, ran.said));
    }
    place.must(&recover)?;
    killed.operation.judge(place).map(drop)
}
