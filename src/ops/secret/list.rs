//! `secret list`: the secrets of an app, with fingerprints in place of values.

use super::declared::{declaring_apps, find_app};
use crate::app::{App, Layout, Name};
use crate::error::{Claim as _, Error};
use crate::host::{is_root, protect_memory};
use crate::ops::context::Context;
use crate::ops::observe::live_release;
use crate::settings::{SecretFiles, running_users};
use anyhow::Result;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

/// The secrets of an app.
#[derive(Debug)]
pub(crate) struct SecretList {
    /// The app.
    pub(crate) app: String,
    /// Whether only names can be shown, because the user is not root.
    pub(crate) is_names_only: bool,
    /// The secrets, by name.
    pub(crate) secrets: Vec<ListedSecret>,
}

/// A secret. Everything but its name and its services is for root only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ListedSecret {
    /// Its name.
    pub(crate) name: String,
    /// The services that get it; empty if no manifest declares it.
    pub(crate) services: Vec<String>,
    /// Whether it has a value; `null` for other users than root.
    pub(crate) is_set: Option<bool>,
    /// Digits that are the same on two hosts if the value is the same, byte for byte.
    pub(crate) fingerprint: Option<String>,
    /// When the value was written: RFC 3339, UTC.
    pub(crate) changed: Option<String>,
    /// The fingerprint of the previous value, if that is kept.
    pub(crate) previous: Option<String>,
    /// The units that run with another value than this one.
    pub(crate) older: Vec<String>,
}

/// Lists the secrets of an app. Any user gets the names that a manifest declares.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) when no manifest can be read.
pub(crate) fn run(ctx: &Context<'_>) -> Result<SecretList, Error> {
    look(ctx).nothing_changed()
}

fn look(ctx: &Context<'_>) -> Result<SecretList> {
    protect_memory()?;
    let name = find_app(ctx)?;
    let is_names_only = !is_root();
    let apps = if is_names_only {
        vec![ctx.load_app()?]
    } else {
        declaring_apps(ctx, &name)?
    };
    let layout = Layout::new(&name);
    let mut names: BTreeSet<String> = apps
        .iter()
        .flat_map(|app| &app.secrets)
        .map(|secret| secret.name.to_string())
        .collect();
    if !is_names_only {
        let files = ctx.host.root.list(&layout.credentials())?.into_iter();
        // A dot begins the name of a file that is being written.
        names.extend(files.filter(|file| !file.starts_with('.')));
    }
    let mut secrets = Vec::new();
    for secret in names {
        let mut listed = ListedSecret {
            services: services(&apps, &secret),
            name: secret,
            is_set: None,
            fingerprint: None,
            changed: None,
            previous: None,
            older: Vec::new(),
        };
        if !is_names_only {
            add_value(ctx, &name, &layout, &mut listed)?;
        }
        secrets.push(listed);
    }
    Ok(SecretList {
        app: name.to_string(),
        is_names_only,
        secrets,
    })
}

fn services(apps: &[App], secret: &str) -> Vec<String> {
    let services = apps.iter().flat_map(|app| &app.services);
    let users = services.filter(|one| one.secrets.iter().any(|name| name.as_str() == secret));
    let names: BTreeSet<String> = users.map(|one| one.name.to_string()).collect();
    names.into_iter().collect()
}

fn add_value(
    ctx: &Context<'_>,
    app: &Name,
    layout: &Layout,
    listed: &mut ListedSecret,
) -> Result<()> {
    let root = &ctx.host.root;
    let files = SecretFiles::new(root, layout);
    let value = files.value(&listed.name)?;
    let previous = files.previous(&listed.name)?;
    listed.is_set = Some(value.is_some());
    listed.fingerprint = value.map(|value| value.fingerprint());
    listed.previous = previous.map(|value| value.fingerprint());
    let meta = root.meta_followed(&layout.credential(&listed.name))?;
    listed.changed = meta
        .filter(|_| listed.fingerprint.is_some())
        .and_then(|meta| Timestamp::from_second(meta.modified).ok())
        .map(|time| time.to_string());
    if let Some(live) = live_release(&ctx.store(app))? {
        let users = running_users(&ctx.host, &live.app, &listed.name)?;
        let older = users.into_iter().filter(|user| user.is_older);
        listed.older = older.map(|user| user.unit).collect();
    }
    Ok(())
}
