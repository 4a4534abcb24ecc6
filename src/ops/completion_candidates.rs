//! What completions offer: the apps, services and releases below a root. Works for any user.

use crate::app::{Layout, Name};
use crate::doctor::CHECKS;
use crate::host::Root;
use crate::store::{PublicRelease, Store};
use std::collections::BTreeSet;
use std::path::Path;

/// Names of the apps.
pub(crate) fn known_apps(root: &Path) -> Vec<String> {
    Store::apps_with_records(&Root::new(root)).unwrap_or_default()
}

/// Short names of the services of all live releases.
pub(crate) fn known_services(root: &Path) -> Vec<String> {
    let units = releases(root, true)
        .into_iter()
        .flat_map(|release| release.units);
    let names: BTreeSet<String> = units.map(|unit| unit.service).collect();
    names.into_iter().collect()
}

/// Ids of the releases of all apps.
pub(crate) fn known_releases(root: &Path) -> Vec<String> {
    releases(root, false)
        .into_iter()
        .map(|release| release.id)
        .collect()
}

fn releases(root: &Path, only_live: bool) -> Vec<PublicRelease> {
    let names = known_apps(root);
    let root = Root::new(root);
    let names = names.iter().filter_map(|name| Name::parse(name).ok());
    let stores = names.map(|name| Store::new(&root, &Layout::new(&name)));
    stores
        .flat_map(|store| {
            let ids = if only_live {
                store
                    .state()
                    .ok()
                    .and_then(|state| state.live)
                    .into_iter()
                    .collect()
            } else {
                store.releases().unwrap_or_default()
            };
            let read = ids
                .into_iter()
                .filter_map(|id| store.public_release(&id).ok()?);
            read.collect::<Vec<PublicRelease>>()
        })
        .collect()
}

/// The ids of the doctor's checks.
pub(crate) fn known_checks() -> Vec<String> {
    CHECKS.iter().map(|check| check.id.to_owned()).collect()
}
