//! Making a plan.

use super::content::compare;
use super::data::{Action, OverlayPlan, PayloadPlan, Plan, UnitPlan};
use super::files::file_changes;
use super::input::{Candidate, Observed};
use super::rights::rights;
use super::units::units;
use crate::app::HostOverlay;
use crate::app::{Severity, lint};
use std::collections::BTreeSet;

/// Makes the plan that takes a host from what was observed to a candidate.
pub fn plan(new: &Candidate<'_>, observed: &Observed) -> Plan {
    let live = observed.live.as_ref();
    let (files, mut warnings) = file_changes(new, observed);
    let units = units(new, observed, &files);
    let mut notes = notes(&units, observed);
    for finding in lint(new.app, None) {
        match finding.severity {
            Severity::Note => notes.push(finding.message),
            Severity::Warning | Severity::Error => warnings.push(finding.message),
        }
    }
    let payload = new.payload.filter(|_| !observed.is_live(new.id));
    let old_payload = live
        .filter(|_| observed.repair.is_none())
        .and_then(|live| live.payload.as_ref());
    Plan {
        archive: None,
        app: new.app.name.to_string(),
        version: new.app.version.to_string(),
        from: live.map(|live| live.id.clone()),
        to: new.id.to_owned(),
        payload: payload.map_or_else(PayloadPlan::default, |payload| {
            compare(
                payload,
                old_payload,
                observed.keeps_source || new.app.release.build.is_empty(),
            )
        }),
        manifest: live.map_or(Vec::new(), |live| {
            new.app.manifest.differing(&live.app.manifest)
        }),
        overlay: overlay(new, observed),
        repair: observed.repair.clone().or_else(|| {
            let is_live = live.is_some_and(|live| live.id == new.id);
            observed.access.clone().filter(|_| is_live)
        }),
        files,
        commands: Vec::new(),
        outputs: Vec::new(),
        accounts: observed.missing.clone(),
        secrets: observed.missing_secrets.clone(),
        rights: rights(new.app, observed),
        notes,
        units,
        warnings,
        rollback_target: None,
    }
}

/// The overlay of the host, compared with the one that is in force.
fn overlay(new: &Candidate<'_>, observed: &Observed) -> Option<OverlayPlan> {
    let live = observed.live.as_ref();
    let before = live.and_then(|live| live.app.overlay.as_ref());
    let after = new.app.overlay.as_ref();
    Some(OverlayPlan {
        file: after.or(before)?.path.clone(),
        digest: after.map(HostOverlay::digest),
        keys: after.map_or_else(Vec::new, HostOverlay::keys),
        changed: HostOverlay::differing(before, after),
    })
}

/// The memory of units that change without a second instance; each text once.
fn notes(units: &[UnitPlan], observed: &Observed) -> Vec<String> {
    let changed = units.iter().filter(|unit| unit.action != Action::Unchanged);
    let low_memory = changed.filter_map(|unit| observed.low_memory.get(&unit.unit));
    let texts: BTreeSet<&String> = low_memory.collect();
    texts.into_iter().cloned().collect()
}
