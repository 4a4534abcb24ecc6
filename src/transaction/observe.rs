//! What the host looks like, for the plan.

use super::accounts::missing;
use crate::app::{App, Layout};
use crate::bytesize::format_bytes;
use crate::host::{Host, memory_available, memory_of};
use crate::plan::{LiveRelease, Observed};
use crate::store::{Damaged, Store};
use crate::tree::FileTree;
use anyhow::{Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};

/// Looks at everything that a plan from the live release to `app` depends on; changes nothing.
///
/// # Errors
/// When something is there and cannot be read.
pub fn observe(host: &Host, store: &Store, app: &App, tree: &FileTree) -> Result<Observed> {
    let mut observed = Observed::default();
    let state = store.state()?;
    for service in state.pins.keys() {
        observed
            .pinned
            .push(crate::render::execstart_path(&app.unit_called(service)));
    }
    if let Some(id) = state.live {
        let record = store.release(&id)?;
        let record = record.ok_or_else(|| unknown(host, &app.layout, &id))?;
        observed.live = Some(LiveRelease {
            app: record.app()?,
            tree: record.tree()?,
            payload: None,
            id,
        });
    }
    observed.repair = repair(host, &app.layout, observed.live.as_ref())?;
    let old = observed.live.iter().flat_map(|live| live.tree.paths());
    let paths: BTreeSet<String> = tree.paths().chain(old).map(str::to_owned).collect();
    for path in paths {
        if let Some(entry) = host.root.entry(&path)? {
            observed.files.insert(path, entry);
        }
    }
    let mut units = BTreeSet::new();
    for app in observed.live.iter().map(|live| &live.app).chain([app]) {
        units.insert(app.target_unit());
        for service in &app.services {
            units.extend(app.units_of(service));
        }
    }
    let units: Vec<String> = units.into_iter().collect();
    let states = host.systemd.show(&units)?;
    for (unit, state) in units.into_iter().zip(states) {
        if state.is_masked() {
            observed.masked.insert(unit);
        } else if state.is_active() || state.get("ActiveState") == "activating" {
            observed.active.insert(unit);
        } else if state.is_failed() {
            observed.failed.insert(unit);
        }
    }
    observed.missing = missing(host, app)?;
    observed.low_memory = low_memory(host, app)?;
    Ok(observed)
}

/// Nothing is known of the release that is recorded as live.
pub(super) fn unknown(host: &Host, layout: &Layout, id: &str) -> anyhow::Error {
    let state = host.root.path(&format!("{}/state.json", layout.store()));
    let why = format!("the live release {id} has no record");
    let state = Damaged {
        path: state.display().to_string(),
        why: why.clone(),
    };
    anyhow!("{why}\n\nhint: {}", state.recovery_hint())
}

/// What is wrong with the place of the live release: the records alone do not tell.
fn repair(host: &Host, layout: &Layout, live: Option<&LiveRelease>) -> Result<Option<String>> {
    let current = layout.current();
    let meta = host.root.meta(&current)?;
    if meta.as_ref().is_some_and(|meta| !meta.is_symlink) {
        bail!("`{current}` is no link\n\nhint: move it away, then try again");
    }
    let Some(LiveRelease { id, .. }) = live else {
        return Ok(None);
    };
    if host.root.meta(&layout.release(id))?.is_none() {
        return Ok(Some(format!("the live release {id} is gone")));
    }
    let target = match meta {
        Some(_) => host.root.read_link(&current)?,
        None => None,
    };
    let wanted = Layout::target(id);
    Ok(match target {
        Some(target) if target == wanted => None,
        Some(target) => Some(format!("`{current}` points at `{target}`")),
        None => Some(format!("`{current}` is missing")),
    })
}

/// What stays free for everything else when a second copy runs.
const MEMORY_RESERVE: u64 = 32 * 1024 * 1024;

/// The services that cannot run twice for a moment: all that overlap do so together.
fn low_memory(host: &Host, app: &App) -> Result<BTreeMap<String, String>> {
    let units: Vec<String> = app
        .services
        .iter()
        .filter(|service| service.overlaps() || service.pre_check)
        .map(|service| app.unit(service))
        .collect();
    let states = host.systemd.show(&units)?;
    let needed: u64 = states.iter().map(memory_of).sum();
    match memory_available() {
        Some(there) if needed > 0 && needed + MEMORY_RESERVE > there => {
            let text = format!(
                "second copies need {}, {} are available",
                format_bytes(needed),
                format_bytes(there)
            );
            Ok(units.into_iter().map(|unit| (unit, text.clone())).collect())
        }
        _ => Ok(BTreeMap::new()),
    }
}
