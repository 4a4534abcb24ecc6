//! The services whose settings have changed since they started.

use super::env_file::env_values;
use super::starts::Starts;
use super::variables::{Now, Start, changed_variables};
use crate::app::App;
use crate::host::{Host, Root, UnitStatus, environment_of, members, start_of};
use anyhow::Result;
use std::collections::BTreeMap;

/// Where systemd keeps the secrets that it gave to running services (systemd.exec(5),
/// "$CREDENTIALS_DIRECTORY").
const GIVEN_SECRETS: &str = "/run/credentials";
/// The most that systemd loads (systemd.exec(5), `LoadCredential=`).
const MAX_SECRET_BYTES: u64 = 1024 * 1024;

/// The running services of an app whose settings have changed since they started, by unit, each with the
/// names of what has changed. Values are compared, and not shown. A job ends by itself, so none is listed.
///
/// # Errors
/// When systemd does not answer or a setting cannot be read, as by a user who is not root.
pub(crate) fn stale_services(host: &Host, app: &App) -> Result<BTreeMap<String, String>> {
    let units: Vec<String> = app.services.iter().map(|one| app.unit(one)).collect();
    stale_among(host, app, &host.systemd.show(&units)?)
}

/// The same, where the states of the units are known.
///
/// # Errors
/// When a setting cannot be read.
pub(crate) fn stale_among(
    host: &Host,
    app: &App,
    states: &[UnitStatus],
) -> Result<BTreeMap<String, String>> {
    let mut stale = BTreeMap::new();
    if host.is_offline() || !host.systemd.is_booted() {
        return Ok(stale);
    }
    let services = app.services.iter().filter(|one| !one.is_job());
    let with_state = services.filter_map(|service| {
        let unit = app.unit(service);
        let mut states = states.iter();
        Some((service, states.find(|state| state.id == unit)?))
    });
    let env_file = app.layout.env_file();
    let starts = Starts::read(&host.root, &app.name);
    let values = env_values(&host.root, &app.layout)?;
    let digests = starts.digests(&values);
    let changed = host.root.last_change(&env_file)?;
    for (service, state) in with_state {
        let Some(run) = Running::of(state) else {
            continue;
        };
        let start = Start {
            recorded: starts.of_run(&state.id, run.id),
            at: run.started,
            environment: run.environment.as_ref(),
        };
        let now = Now {
            values: &values,
            digests: &digests,
            changed,
            of_manifest: service.env.iter().map(|(name, _)| name.as_str()).collect(),
        };
        let mut parts = Vec::new();
        if let Some(names) = changed_variables(&start, &now) {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            parts.push(match names.as_slice() {
                [] => format!("`{env_file}`"),
                names => format!("{} in `{env_file}`", names.join(", ")),
            });
        }
        for secret in &service.secrets {
            let path = app.layout.credential(secret.as_str());
            if has_secret_changed(&host.root, &state.id, secret.as_str(), &path, run.started)? {
                parts.push(format!("secret `{secret}`"));
            }
        }
        if !parts.is_empty() {
            stale.insert(state.id.clone(), parts.join(", "));
        }
    }
    Ok(stale)
}

/// A run of a service that has a process.
struct Running<'a> {
    id: Option<&'a str>,
    started: Option<i64>,
    environment: Option<BTreeMap<String, String>>,
}

impl<'a> Running<'a> {
    fn of(state: &'a UnitStatus) -> Option<Self> {
        let first = || members(state).into_iter().next();
        let pid = state.main_pid.or_else(first)?;
        let id = state.invocation_id.as_deref();
        // systemd gives the id to each process. Without it, the environment is not what systemd gave.
        let is_whole = |environment: &BTreeMap<String, String>| {
            id.is_some() && environment.get("INVOCATION_ID").map(String::as_str) == id
        };
        Some(Self {
            id,
            started: start_of(pid),
            environment: environment_of(pid).filter(is_whole),
        })
    }
}

/// Whether a secret differs from what systemd gave to a service. Where that cannot be seen, the time of the
/// change decides. A missing one is no change: the service could not start again without it.
fn has_secret_changed(
    root: &Root,
    unit: &str,
    name: &str,
    path: &str,
    started: Option<i64>,
) -> Result<bool> {
    // systemd may also load a secret from a socket. What it sends cannot be compared.
    let is_file = |path: &str| -> Result<bool> {
        let meta = root.meta_followed(path)?;
        Ok(meta.is_some_and(|meta| meta.is_file() && meta.len <= MAX_SECRET_BYTES))
    };
    let given = format!("{GIVEN_SECRETS}/{unit}");
    // A doctor in a sandbox does not see what other services got.
    if root.meta(&given)?.is_none() || !is_file(path)? {
        return Ok(false);
    }
    let now = root.read(path)?;
    let given = format!("{given}/{name}");
    if is_file(&given).unwrap_or(false)
        && let Ok(Some(given)) = root.read(&given)
    {
        return Ok(now.as_ref() != Some(&given));
    }
    let changed = root.last_change(path)?;
    Ok(started.is_none_or(|started| changed >= started))
}
