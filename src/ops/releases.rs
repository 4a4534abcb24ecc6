//! `releases`: the releases on this host. Works for any user.

use super::context::Context;
use super::select::PerApp;
use crate::app::Name;
use crate::error::Error;
use crate::host::release_of_unit;
use crate::store::{PublicRelease, State, Store, UnitRole};
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// One release on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ListedRelease {
    /// The app's name, with its environment.
    pub(crate) app: String,
    /// Whether it is live.
    pub(crate) live: bool,
    /// The services that still run it, because the live release has the same files for them.
    pub(crate) runs: Vec<String>,
    /// What is recorded of it.
    #[serde(flatten)]
    pub(crate) release: PublicRelease,
}

/// The releases of every selected app, in the order in which they were staged.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when there is no such app.
pub(crate) fn run(ctx: &Context<'_>) -> Result<PerApp<Vec<ListedRelease>>, Error> {
    ctx.for_each_app(|name| releases(ctx, name))
}

fn releases(ctx: &Context<'_>, name: &Name) -> Result<Vec<ListedRelease>> {
    let store = ctx.store(name);
    let state = store.state()?;
    let live = &state.live;
    let running = running(ctx, &store, name, &state)?;
    let mut list = Vec::new();
    for id in store.releases()? {
        if let Some(release) = store.public_release(&id)? {
            list.push(ListedRelease {
                app: name.to_string(),
                live: live.as_ref() == Some(&id),
                runs: running.get(&id).cloned().unwrap_or_default(),
                release,
            });
        }
    }
    list.sort_by(|a, b| a.release.staged.cmp(&b.release.staged));
    Ok(list)
}

/// The services that run an earlier release with the same files, by release.
fn running(
    ctx: &Context<'_>,
    store: &Store,
    app: &Name,
    state: &State,
) -> Result<BTreeMap<String, Vec<String>>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let release = match &state.live {
        Some(live) if !state.same_files.is_empty() => store.public_release(live)?,
        _ => None,
    };
    let units = release.map_or(Vec::new(), |release| release.units);
    let daemons = units.iter().filter(|unit| unit.role == UnitRole::Daemon);
    for unit in daemons.filter(|unit| state.same_files.contains_key(&unit.service)) {
        let now = ctx.host.systemd.show_one(&unit.unit)?;
        let runs = release_of_unit(&now, app.as_str()).ok();
        if let Some(id) = runs.filter(|id| state.live.as_ref() != Some(id)) {
            out.entry(id).or_default().push(unit.service.clone());
        }
    }
    Ok(out)
}
