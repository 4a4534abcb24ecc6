//! The app whose secrets are meant, and the secrets that its manifests declare.

use crate::app::{App, EnvName, Name};
use crate::error::fail;
use crate::host::files::is_present;
use crate::manifest::nearest;
use crate::ops::context::Context;
use crate::ops::load::MANIFEST;
use crate::ops::observe::live_release;
use crate::ops::user_file::Links;
use crate::store::Store;
use anyhow::Result;
use std::path::Path;

/// The app that the command means. It may be one that is not deployed yet: a first deploy needs its secrets.
pub(in crate::ops) fn find_app(ctx: &Context<'_>) -> Result<Name> {
    let name = ctx.resolve_app()?;
    let known = Store::all_store_names(&ctx.host.root)?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let has_manifest = ctx.options.manifest.is_some() || ctx.name_here().as_ref() == Some(&name);
    // A name that is close to that of an app is mistyped.
    if !has_manifest && nearest(name.as_str(), &known).is_some() {
        ctx.check_known(&name)?;
    }
    Ok(name)
}

/// The name of a secret.
pub(super) fn parse_name(text: &str) -> Result<EnvName> {
    match EnvName::parse(text) {
        Ok(name) => Ok(name),
        Err(rule) => fail("this is not the name of a secret", rule),
    }
}

/// The apps that declare secrets under this name: the one of the manifest that the command finds, then the live one.
pub(super) fn declaring_apps(ctx: &Context<'_>, name: &Name) -> Result<Vec<App>> {
    let mut apps = Vec::new();
    let named = ctx.options.manifest.as_deref();
    let here = Path::new(MANIFEST);
    let is_here = || is_present(here) && ctx.name_here().as_ref() == Some(name);
    if let Some(path) = named.or_else(|| is_here().then_some(here)) {
        // A manifest with a mistake does not keep an emergency from being ended.
        let loaded = ctx.read_manifest(path, Links::Followed);
        apps.extend(loaded.ok().map(|loaded| loaded.app));
    }
    apps.extend(live_release(&ctx.store(name))?.map(|live| live.app));
    Ok(apps)
}
