//! Hosts on which a change stands halfway: what is left of it is for a recovery to end.

use super::bench::{Bench, Place, copy_tree, words};
use super::points::{Fault, Point, points, strike};
use super::seen::{Side, record};
use super::syscalls::Operation;
use std::path::{Path, PathBuf};

/// The recovery of a host on which an upgrade was going back.
pub(crate) fn going_back(bench: &Bench, operations: &[Operation]) -> Result<Operation, String> {
    let place = bench.place("halfway", 0);
    let upgrade = named(operations, "upgrade")?;
    let recover = words(&["recover"]);
    place.become_like(&upgrade.template);
    let switched = after(&upgrade.points, "/opt/demo/current\"")?;
    strike(&place, &upgrade.arguments, switched, Fault::Kill)?;
    let killed = kept(&place, "switched");
    place.become_like(&killed);
    let (_, found) = points(&place, &recover)?;
    place.become_like(&killed);
    strike(
        &place,
        &recover,
        after(&found, "/demo/journal.json\"")?,
        Fault::Kill,
    )?;
    let host = kept(&place, "going-back");
    recovery(&place, upgrade, "going-back", &host, "reverting", Side::Old)
}

/// The recovery of a host on which all that a removal left to do is to go on.
pub(crate) fn going_on(bench: &Bench, operations: &[Operation]) -> Result<Operation, String> {
    let place = bench.place("halfway", 0);
    let remove = named(operations, "remove")?;
    place.become_like(&remove.template);
    let removed = after(&remove.points, "/demo/journal.json\"")?;
    strike(&place, &remove.arguments, removed, Fault::Kill)?;
    let host = kept(&place, "going-on");
    recovery(&place, remove, "going-on", &host, "removed", Side::New)
}

/// A recovery as an operation that has one end only, whenever the power goes.
fn recovery(
    place: &Place<'_>,
    of: &Operation,
    name: &'static str,
    host: &Path,
    step: &str,
    side: Side,
) -> Result<Operation, String> {
    let journal = record(host, "var/lib/robotctl/demo/journal.json");
    if journal["step"] != step {
        return Err(format!("{name}: the journal says {}", journal["step"]));
    }
    let mut operation = Operation::new(place, name, name, words(&["recover"]))?;
    match operation.new.side(&of.old, &of.new) {
        Ok(ended) if ended == side => {}
        other => return Err(format!("{name} ends in {other:?}")),
    }
    operation.old = operation.new.clone();
    Ok(operation)
}

fn named<'a>(operations: &'a [Operation], name: &str) -> Result<&'a Operation, String> {
    let found = operations.iter().find(|one| one.name == name);
    found.ok_or_else(|| format!("there is no {name}"))
}

/// The point after the last at which a name came to be.
pub(crate) fn after<'a>(points: &'a [Point], name: &str) -> Result<&'a Point, String> {
    let is_it = |point: &Point| point.name.starts_with("rename") && point.line.contains(name);
    let at = points.iter().rposition(is_it);
    let next = at.and_then(|at| points.get(at + 1));
    next.ok_or_else(|| format!("nothing comes after {name}"))
}

/// A copy of a host under a name.
pub(crate) fn kept(place: &Place<'_>, name: &str) -> PathBuf {
    let dir = place.bench.dir.join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    copy_tree(&place.root, &dir);
    dir
}
