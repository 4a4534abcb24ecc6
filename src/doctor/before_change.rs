//! The checks that a deploy and a rollback ask before they change anything, for the release that is about to
//! go live.

use super::checks;
use crate::app::layout::TMPFILES_DIR;
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Host, MissingFilters};
use crate::prerequisites::{
    Needed, PlannedChange, misplaced_directories, missing_enforcement, missing_programs,
    missing_tools, replaceable_directories, shadowed_files, shadowed_units, shortages_of,
    taken_addresses, unusable_addresses, unwritable_files,
};
use crate::settings::{disagreements, env_file_faults, in_words, missing_variables, secret_faults};
use crate::tree::Entry;
use crate::units::UnitFile;
use anyhow::Result;

pub(super) fn shadowed(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let units = change.tree.paths();
    let units = units.filter_map(|path| UnitFile::parse(path)?.main());
    let root = &change.host.root;
    let mut faults = shadowed_units(root, &units.collect::<Vec<_>>())?;
    let app = change.app.name.as_str();
    let tmpfiles = change.tree.get(&format!("{TMPFILES_DIR}/{app}.conf"));
    let tmpfiles = tmpfiles.map(Entry::text).unwrap_or_default();
    faults.extend(shadowed_files(root, app, &tmpfiles)?);
    Ok(faults)
}

pub(super) fn directories(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    misplaced_directories(&change.host.root, change.app, change.tree)
}

pub(super) fn replaceable(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let faults = replaceable_directories(change.host, change.app)?;
    // The directories of an earlier release exist, so systemd-tmpfiles has nothing to do there.
    Ok(warned_in_a_rollback(change, faults))
}

/// A rollback is typed in an emergency: what may still work does not prevent it.
fn warned_in_a_rollback(change: &PlannedChange<'_>, mut faults: Vec<Fault>) -> Vec<Fault> {
    for fault in faults.iter_mut().filter(|_| change.is_rollback) {
        if fault.impact == Impact::Blocking {
            fault.impact = Impact::Serious;
        }
    }
    faults
}

pub(super) fn secrets(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let mut faults = secret_faults(&change.host.root, change.app)?;
    // A rollback generates no secret.
    for fault in faults.iter_mut().filter(|_| change.is_rollback) {
        if fault.impact == Impact::Created {
            fault.impact = Impact::Blocking;
        }
    }
    Ok(faults)
}

/// Services that would have different values of one secret, because one of them does not restart.
pub(super) fn settings(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let mut units = change.plan.units.iter();
    let secrets_differ = units.any(|unit| unit.settings.is_some() || unit.action.starts());
    if !secrets_differ {
        return Ok(Vec::new());
    }
    let restarts = |unit: &str| !change.plan.leaves(unit);
    let found = disagreements(change.host, change.app, &restarts)?.into_iter();
    let faults = found.map(|found| {
        let mut stop = CommandLine::sudo(["systemctl", "stop"]);
        stop = stop.args(&found.older);
        let message = format!(
            "{} would have the new value of the secret `{}`, and another one stays in use in {}, which would not restart",
            in_words(&found.current),
            found.secret,
            in_words(&found.older)
        );
        Fault::new(Impact::Blocking, message, Hint::to("stop it first, or return to the previous value", stop))
    });
    Ok(warned_in_a_rollback(change, faults.collect()))
}

/// Two environments of one manifest whose secrets are the same.
pub(super) fn same_secrets(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let same = checks::same_in_environments(&change.host.root, change.app)?.into_iter();
    let fault = |(message, hint)| Fault::new(Impact::Serious, message, hint);
    Ok(same.map(fault).collect())
}

pub(super) fn env_file(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let mut faults = env_file_faults(&change.host.root, &change.app.layout)?;
    faults.extend(missing_variables(&change.host.root, change.app)?);
    // The release that runs has the same file.
    Ok(warned_in_a_rollback(change, faults))
}

pub(super) fn addresses(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let mut faults = taken_addresses(change.host, change.app, change.observed);
    let unusable = unusable_addresses(change.host, change.app)?;
    faults.extend(warned_in_a_rollback(change, unusable));
    Ok(faults)
}

pub(super) fn programs(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    // A rollback runs no hook, and its checks say whether their commands work.
    let needed = match change.is_rollback {
        true => Needed::ToStart,
        false => Needed::All,
    };
    missing_programs(change.host, change.app, needed, change.in_release)
}

#[expect(clippy::unnecessary_wraps, reason = "every check may fail to run")]
pub(super) fn enforcement(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    // A plan starts no unit.
    let known = |_: &Host| MissingFilters::known();
    Ok(missing_enforcement(change.host, change.app, known))
}

#[expect(clippy::unnecessary_wraps, reason = "every check may fail to run")]
pub(super) fn tools(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    Ok(warned_in_a_rollback(change, missing_tools(change.host)))
}

pub(super) fn writable(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    unwritable_files(change)
}

pub(super) fn space(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    shortages_of(change)
}
