//! Hosts with an interrupted change that recovery has to finish.

use super::fixture::{Fixture, Host, args, copy_tree};
use super::injection::{Fault, Point, inject, list_points};
use super::state::{Side, record};
use super::syscalls::Operation;
use std::path::{Path, PathBuf};

/// Recovery on a host whose upgrade was being reverted.
pub(crate) fn reverting(fixture: &Fixture, operations: &[Operation]) -> Result<Operation, String> {
    let host = fixture.host("midway", 0);
    let upgrade = named(operations, "upgrade")?;
    let recover = args(&["recover"]);
    host.restore(&upgrade.template);
    let switched = point_after(&upgrade.points, "/opt/demo/current\"")?;
    inject(&host, &upgrade.arguments, switched, Fault::Kill)?;
    let killed = snapshot(&host, "switched");
    host.restore(&killed);
    let (_, found) = list_points(&host, &recover)?;
    host.restore(&killed);
    inject(
        &host,
        &recover,
        point_after(&found, "/demo/journal.json\"")?,
        Fault::Kill,
    )?;
    let template = snapshot(&host, "reverting-host");
    recovery(
        &host,
        upgrade,
        "reverting-host",
        &template,
        "reverting",
        Side::Old,
    )
}

/// Recovery on a host whose removal can only be completed.
pub(crate) fn removing(fixture: &Fixture, operations: &[Operation]) -> Result<Operation, String> {
    let host = fixture.host("midway", 0);
    let remove = named(operations, "remove")?;
    host.restore(&remove.template);
    let removed = point_after(&remove.points, "/demo/journal.json\"")?;
    inject(&host, &remove.arguments, removed, Fault::Kill)?;
    let template = snapshot(&host, "removing-host");
    recovery(
        &host,
        remove,
        "removing-host",
        &template,
        "removed",
        Side::New,
    )
}

/// Recovery as an operation with a single valid result, whenever the power fails.
fn recovery(
    host: &Host<'_>,
    of: &Operation,
    name: &'static str,
    template: &Path,
    step: &str,
    side: Side,
) -> Result<Operation, String> {
    let journal = record(template, "var/lib/robotctl/demo/journal.json");
    if journal["step"] != step {
        return Err(format!("{name}: the journal says {}", journal["step"]));
    }
    let mut operation = Operation::new(host, name, name, args(&["recover"]))?;
    match operation.new.side(&of.old, &of.new) {
        Ok(ended) if ended == side => {}
        other => return Err(format!("{name} ends as {other:?}")),
    }
    operation.old = operation.new.clone();
    Ok(operation)
}

fn named<'a>(operations: &'a [Operation], name: &str) -> Result<&'a Operation, String> {
    let found = operations.iter().find(|one| one.name == name);
    found.ok_or_else(|| format!("there is no {name}"))
}

/// The point after the last rename to a name.
pub(crate) fn point_after<'a>(points: &'a [Point], name: &str) -> Result<&'a Point, String> {
    let is_it = |point: &Point| point.name.starts_with("rename") && point.line.contains(name);
    let at = points.iter().rposition(is_it);
    let next = at.and_then(|at| points.get(at + 1));
    next.ok_or_else(|| format!("no call follows {name}"))
}

/// Copies a host to a directory of this name.
pub(crate) fn snapshot(host: &Host<'_>, name: &str) -> PathBuf {
    let dir = host.fixture.dir.join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    copy_tree(&host.root, &dir);
    dir
}
