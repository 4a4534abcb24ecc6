//! At each state-changing system call: a kill, a full disk, a broken disk, an interruption.

use super::bench::{Bench, Place, Ran, words};
use super::points::{FAULTS, Fault, Point, points, strike};
use super::seen::{Seen, Side, leftovers};
use std::path::PathBuf;

tests![Suite: each_call];

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
    pub(crate) fn new(
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

fn each_call(bench: &Bench) -> Result<String, String> {
    let operations = operations(bench)?;
    let shares = |one: &Operation| one.points.iter().any(|point| point.name == "linkat");
    if !operations
        .iter()
        .any(|one| one.name == "upgrade" && shares(one))
    {
        return Err("the upgrade shares no file with the release before: no link is struck".into());
    }
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
    if fault == Fault::Error("EINTR") && point.may_be_interrupted() && ran.code != Some(0) {
        return Err(format!(
            "an interrupted call was not made again: {}",
            ran.said
        ));
    }
    settles(place, operation, fault, &ran)
}

/// What a command says that was struck must be so, and all ends well after it.
pub(crate) fn settles(
    place: &Place<'_>,
    operation: &Operation,
    fault: Fault,
    ran: &Ran,
) -> Result<(), String> {
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
    } else if !(ran.said.contains("hint: ") && ran.said.ends_with(" recover")) {
        return Err(format!("exit 4 does not say what to type: {}", ran.said));
    }
    place.must(&recover)?;
    operation.retry(place, operation.judge(place)?)
}
