//! What the host looks like, for the plan.

use crate::host::Host;
use crate::model::{App, Service, Socket};
use crate::plan::{Live, Observed};
use crate::record::Book;
use crate::tree::FileTree;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Looks at everything that a plan from the live release to `app` depends on; changes nothing.
///
/// # Errors
/// When something is there and cannot be read.
pub fn observe(host: &Host, book: &Book, app: &App, tree: &FileTree) -> Result<Observed> {
    let mut observed = Observed::default();
    let state = book.state()?;
    for service in state.pins.keys() {
        let file = format!("/{}-{service}.service.d/05-execstart.conf", app.name);
        observed.pinned.push(file);
    }
    if let Some(id) = state.live {
        let record = book.release(&id)?;
        let record = record.with_context(|| format!("release `{id}` has no record"))?;
        observed.live = Some(Live {
            app: record.app()?,
            tree: record.tree()?,
            payload: book.payload(&id)?,
            id,
        });
    }
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
            units.extend(units_of(app, service));
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
    Ok(observed)
}

fn units_of(app: &App, service: &Service) -> Vec<String> {
    let mut out = vec![app.unit(service)];
    out.extend(app.socket_units(service));
    if service.socket == Socket::Proxy {
        out.push(app.proxy_unit(service));
    }
    if service.timer.is_some() {
        out.push(app.timer_unit(service));
    }
    out
}
