//! Reading the host for a plan. Nothing here changes it.

use super::accounts::missing_accounts;
use super::host_facts::host_facts;
use crate::app::{App, Layout};
use crate::bytesize::format_bytes;
use crate::error::fail;
use crate::host::{
    Host, PlannedAs, UnitStatus, has_inner_groups, is_root, memory_available, memory_of,
    release_of_unit,
};
use crate::plan::{Candidate, LiveRelease, Observed, built_services};
use crate::render::{execstart_path, possible_links};
use crate::settings::{missing_to_generate, stale_among};
use crate::stage::have_same_files;
use crate::store::Store;
use crate::tree::FileTree;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Reads everything that a plan from the live release to `app` depends on.
pub(super) fn observe(host: &Host, store: &Store, app: &App, tree: &FileTree) -> Result<Observed> {
    let mut observed = Observed::default();
    let state = store.state()?;
    for service in state.pins.keys() {
        let drop_in = execstart_path(&app.unit_called(service));
        observed.pinned.push(drop_in);
    }
    observed.live = live_release(store)?;
    observed.same_files = state.same_files;
    observed.repair = repair(host, &app.layout, observed.live.as_ref())?;
    observed.access = access(store, &observed)?;
    let old = observed.live.iter().flat_map(|live| live.tree.paths());
    let links = observed.live.iter().map(|live| possible_links(&live.app));
    let links: Vec<FileTree> = links.collect();
    let old = old.chain(links.iter().flat_map(FileTree::paths));
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
    observed.low_memory = low_memory(app, &states);
    for (unit, state) in units.into_iter().zip(&states) {
        if let Ok(runs) = release_of_unit(state, app.name.as_str()) {
            observed.runs.insert(unit.clone(), runs);
        }
        if state.is_delegated || has_inner_groups(state) {
            observed.own_groups.insert(unit.clone());
        }
        if state.is_enabled() {
            observed.enabled.insert(unit.clone());
        }
        if state.is_active() {
            observed.holding.insert(unit.clone());
        }
        match state.phase().row().planned {
            _ if state.is_masked() => observed.masked.insert(unit),
            PlannedAs::Running => observed.active.insert(unit),
            PlannedAs::InBetween => {
                observed.in_between.insert(unit.clone());
                observed.active.insert(unit)
            }
            PlannedAs::Failed => observed.failed.insert(unit),
            PlannedAs::Stopped if state.is_skipped() => observed.skipped.insert(unit),
            PlannedAs::Stopped => false,
        };
    }
    observed.missing = missing_accounts(host, app)?;
    observed.facts = host_facts(host, app)?;
    // Only root can read what the services got, and whether a secret exists.
    if is_root() {
        observed.missing_secrets = missing_to_generate(&host.root, app)?;
        if let Some(live) = &observed.live {
            observed.stale = stale_among(host, &live.app, &states)?;
            add_generated(&live.app, &observed.missing_secrets, &mut observed.stale);
        }
    }
    Ok(observed)
}

/// Adds the services whose secret a deploy generates again: they have another value then.
fn add_generated(live: &App, generated: &[String], stale: &mut BTreeMap<String, String>) {
    for service in &live.services {
        let own = service.secrets.iter();
        for name in own.filter(|name| generated.iter().any(|one| one == name.as_str())) {
            let text = stale.entry(live.unit(service)).or_default();
            let separator = if text.is_empty() { "" } else { ", " };
            text.push_str(&format!("{separator}secret `{name}`"));
        }
    }
}

/// The services for which a release on the disk has the same files as the release that they run, although a
/// build makes some of them.
pub(super) fn same_built_files(
    host: &Host,
    new: &Candidate<'_>,
    observed: &Observed,
) -> Result<BTreeSet<String>> {
    let mut same = BTreeSet::new();
    for (service, patterns, runs) in built_services(new, observed) {
        if have_same_files(host, new.app, patterns, [runs, new.id])? {
            same.insert(service.name.to_string());
        }
    }
    Ok(same)
}

/// The release that the records call live.
pub(super) fn live_release(store: &Store) -> Result<Option<LiveRelease>> {
    let Some(id) = store.state()?.live else {
        return Ok(None);
    };
    let record = store.release(&id)?;
    let record = record.ok_or_else(|| store.missing_record(&id))?;
    Ok(Some(LiveRelease {
        app: record.app()?,
        tree: record.tree()?,
        payload: None,
        origin: record.origin,
        id,
    }))
}

/// What is wrong with the directory or the link of the live release.
fn repair(host: &Host, layout: &Layout, live: Option<&LiveRelease>) -> Result<Option<String>> {
    let current = layout.current();
    let meta = host.root.meta(&current)?;
    if meta.as_ref().is_some_and(|meta| !meta.is_symlink) {
        return fail(
            format!("`{current}` is not a link"),
            "move it to another place, then try again",
        );
    }
    let Some(LiveRelease { id, .. }) = live else {
        return Ok(None);
    };
    if host.root.meta(&layout.release(id))?.is_none() {
        return Ok(Some(format!("the live release {id} is missing")));
    }
    let target = match meta {
        Some(_) => host.root.read_link(&current)?,
        None => None,
    };
    let wanted = Layout::current_link_text(id);
    Ok(match target {
        Some(target) if target == wanted => None,
        Some(target) => Some(format!("`{current}` points at `{target}`")),
        None => Some(format!("`{current}` is missing")),
    })
}

/// What is wrong with who can read the releases in use. Only root can enter them and see it.
fn access(store: &Store, observed: &Observed) -> Result<Option<String>> {
    match &observed.live {
        Some(live) if is_root() && observed.repair.is_none() => {
            store.access_fault(&live.id, &live.app, &store.state()?)
        }
        _ => Ok(None),
    }
}

/// Bytes that stay free for everything else while a pre-check instance or the previous release runs too.
const MEMORY_RESERVE: u64 = 32 * 1024 * 1024;

/// The units that this host has no memory to run twice. All services that overlap do so at the same
/// time, so their memory is added up.
fn low_memory(app: &App, states: &[UnitStatus]) -> BTreeMap<String, String> {
    let services = app.services.iter();
    let services = services.filter(|service| service.overlaps() || service.pre_check);
    let units: Vec<String> = services.map(|service| app.unit(service)).collect();
    let twice = states.iter().filter(|state| units.contains(&state.id));
    let needed: u64 = twice.map(memory_of).sum();
    match memory_available() {
        Some(available) if needed > 0 && needed + MEMORY_RESERVE > available => {
            let text = format!(
                "running the old and the new release at once needs {}, and {} must stay free, but only \
                 {} are available",
                format_bytes(needed),
                format_bytes(MEMORY_RESERVE),
                format_bytes(available)
            );
            units.into_iter().map(|unit| (unit, text.clone())).collect()
        }
        _ => BTreeMap::new(),
    }
}
