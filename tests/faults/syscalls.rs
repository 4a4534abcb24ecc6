//! A fault at each state-changing system call: a kill, a full disk, a broken disk or an
//! interruption.

use super::fixture::{Fixture, Host, Outcome, PURGE, args};
use super::injection::{FAULTS, Fault, Point, inject, list_points};
use super::state::{HostState, Side, check_no_leftovers};
use std::path::PathBuf;

tests![Suite: a_fault_at_any_call_is_recovered];

/// A command, the host that it works on, and the host's state before and after.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) template: PathBuf,
    pub(crate) old: HostState,
    pub(crate) new: HostState,
    pub(crate) points: Vec<Point>,
}

impl Operation {
    pub(crate) fn new(
        host: &Host<'_>,
        name: &'static str,
        template: &str,
        arguments: Vec<String>,
    ) -> Result<Self, String> {
        let template = host.fixture.dir.join(template);
        host.restore(&template);
        let old = HostState::read(&host.root);
        let (ran, points) = list_points(host, &arguments)?;
        if ran.code != Some(0) {
            return Err(format!("{name} failed without a fault: {}", ran.stderr));
        }
        check_no_leftovers(&host.root)
            .map_err(|error| format!("{name} without a fault: {error}"))?;
        let new = HostState::read(&host.root);
        Ok(Self {
            name,
            arguments,
            template,
            old,
            new,
            points,
        })
    }

    /// Checks that the host is on one side of the change, with nothing left behind.
    pub(crate) fn verify(&self, host: &Host<'_>) -> Result<Side, String> {
        check_no_leftovers(&host.root)?;
        HostState::read(&host.root).side(&self.old, &self.new)
    }

    /// Checks that the same command, run again, succeeds.
    pub(crate) fn retry(&self, host: &Host<'_>, side: Side) -> Result<(), String> {
        if side == Side::New && self.name == "remove" {
            return Ok(());
        }
        host.run_ok(&self.arguments)
            .map_err(|said| format!("the retry: {said}"))?;
        match self.verify(host) {
            Ok(Side::New) => Ok(()),
            other => Err(format!("after the retry: {other:?}")),
        }
    }
}

/// The hosts to start from, and every command that changes one.
pub(crate) fn operations(fixture: &Fixture) -> Result<Vec<Operation>, String> {
    let host = fixture.host("templates", 0);
    let mut ids = Vec::new();
    for (name, versions) in [
        ("empty", vec![]),
        ("one", vec![1]),
        ("two", vec![1, 2]),
        ("many", vec![1, 2, 3, 4, 5]),
    ] {
        host.clear();
        for version in versions {
            host.run_ok(&host.deploy(version))?;
            ids = HostState::read(&host.root).releases.into_keys().collect();
        }
        let template = fixture.dir.join(name);
        if template.exists() {
            std::fs::remove_dir_all(&template).unwrap();
        }
        std::fs::create_dir(&template).unwrap();
        super::fixture::copy_tree(&host.root, &template);
    }
    let first = ids[0].as_str();
    Ok(vec![
        Operation::new(&host, "deploy", "empty", host.deploy(1))?,
        Operation::new(&host, "upgrade", "one", host.deploy(2))?,
        Operation::new(&host, "rollback", "two", args(&["rollback", first]))?,
        Operation::new(
            &host,
            "pin",
            "two",
            args(&["rollback", first, "--service", "web"]),
        )?,
        Operation::new(
            &host,
            "prune",
            "many",
            args(&["prune", "--apply", "--keep", "2"]),
        )?,
        Operation::new(&host, "remove", "two", args(&PURGE))?,
    ])
}

fn a_fault_at_any_call_is_recovered(fixture: &Fixture) -> Result<String, String> {
    let operations = operations(fixture)?;
    let shares = |one: &Operation| one.points.iter().any(|point| point.name == "linkat");
    if !operations
        .iter()
        .any(|one| one.name == "upgrade" && shares(one))
    {
        return Err(
            "the upgrade shares no file with the previous release: no link call is tested".into(),
        );
    }
    let mut cases = Vec::new();
    for operation in &operations {
        for point in &operation.points {
            cases.extend(FAULTS.map(|fault| (operation, point, fault)));
        }
    }
    fixture.run_cases(&cases, |host, (operation, point, fault)| {
        run_case(host, operation, point, *fault).map_err(|error| {
            format!(
                "{}, {} at {}: {error}",
                operation.name,
                fault.name(),
                point.shown()
            )
        })
    })?;
    let counts: Vec<String> = operations
        .iter()
        .map(|one| format!("{} {}", one.name, one.points.len()))
        .collect();
    let count: usize = operations.iter().map(|one| one.points.len()).sum();
    Ok(format!(
        "{count} points ({}), {} faults at each, {} cases",
        counts.join(", "),
        FAULTS.len(),
        cases.len()
    ))
}

fn run_case(
    host: &Host<'_>,
    operation: &Operation,
    point: &Point,
    fault: Fault,
) -> Result<(), String> {
    host.restore(&operation.template);
    let ran = inject(host, &operation.arguments, point, fault)?;
    if fault == Fault::Error("EINTR") && point.may_be_interrupted() && ran.code != Some(0) {
        return Err(format!(
            "an interrupted call was not repeated: {}",
            ran.stderr
        ));
    }
    check_outcome(host, operation, fault, &ran)
}

/// Checks that the result of a command with a fault is what it reported, and that recovery and a
/// retry succeed.
pub(crate) fn check_outcome(
    host: &Host<'_>,
    operation: &Operation,
    fault: Fault,
    ran: &Outcome,
) -> Result<(), String> {
    let recover = args(&["recover"]);
    if fault == Fault::Kill {
        host.run_ok(&recover)?;
        return operation.retry(host, operation.verify(host)?);
    }
    // What it reports must be true before anything else runs.
    let code = ran.code;
    if code != Some(4) {
        let side = HostState::read(&host.root).side(&operation.old, &operation.new);
        let side = side.map_err(|error| format!("exit {code:?}: {error}: {}", ran.stderr))?;
        let same = operation.old.files == operation.new.files
            && operation.old.recorded == operation.new.recorded;
        let honest = match code {
            Some(0) => side == Side::New,
            Some(2 | 3) => side == Side::Old || same,
            _ => false,
        };
        if !honest {
            return Err(format!(
                "exit {code:?}, and the host is {side:?}: {}",
                ran.stderr
            ));
        }
    } else if !(ran.stderr.contains("hint: ") && ran.stderr.ends_with(" recover")) {
        return Err(format!(
            "exit 4 without a hint to run recover: {}",
            ran.stderr
        ));
    }
    host.run_ok(&recover)?;
    operation.retry(host, operation.verify(host)?)
}
