//! The services whose settings have changed since they started.

use super::env_file::env_values;
use super::starts::Starts;
use super::variables::{Now, Start, changed_variables};
use crate::app::{App, Service, Type};
use crate::host::{Host, Root, UnitStatus, environment_of, members, start_of};
use anyhow::Result;
use std::collections::BTreeMap;

/// Where systemd keeps the secrets that it gave to running services (systemd.exec(5),
/// "$CREDENTIALS_DIRECTORY").
const GIVEN_SECRETS: &str = "/run/credentials";

/// The running services of an app whose settings have changed since they started, by unit, each with the
/// names of what has changed. Values are compared, and not shown. A job ends by itself, so none is listed.
///
/// # Errors
/// When systemd does not answer or a setting cannot be read, as by a user who is not root.
pub(crate) fn stale_services(host: &Host, app: &App) -> Result<BTreeMap<String, String>> {
    let mut stale = BTreeMap::new();
    if host.is_offline() || !host.systemd.is_booted() {
        return Ok(stale);
    }
    let is_job = |one: &&Service| one.timer.is_some() || one.kind == Type::Oneshot;
    let services: Vec<&Service> = app.services.iter().filter(|one| !is_job(one)).collect();
    let units: Vec<String> = services.iter().map(|service| app.unit(service)).collect();
    let states = host.systemd.show(&units)?;
    let env_file = app.layout.env_file();
    let starts = Starts::read(&host.root, &app.name);
    let values = env_values(&host.root, &app.layout)?;
    let digests = starts.digests(&values);
    let changed = host.root.last_change(&env_file)?;
    for (service, state) in services.into_iter().zip(states) {
        let Some(run) = Running::of(&state) else {
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
            stale.insert(state.id, parts.join(", "));
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
    let is_file = |path: &str| -> Result<bool> {
        let meta = root.meta_followed(path)?;
        Ok(meta.is_some_and(|meta| !meta.is_dir))
    };
    let now = match is_file(path)? {
        true => root.read(path)?,
        false => return Ok(false),
    };
    let given = format!("{GIVEN_SECRETS}/{unit}/{name}");
    if is_file(&given).unwrap_or(false)
        && let Ok(Some(given)) = root.read(&given)
    {
        return Ok(now.as_ref() != Some(&given));
    }
    let changed = root.last_change(path)?;
    Ok(started.is_none_or(|started| changed >= started))
}
