//! The services whose settings have changed since they started.

use super::env_file::env_values;
use super::secret_value::{MAX_SECRET_BYTES, SecretValue};
use super::starts::Starts;
use super::variables::{Now, Start, changed_variables};
use crate::app::{App, Service};
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
            if has_secret_changed(host, app, state, secret.as_str(), &run)? {
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
    /// In nanoseconds since 1970.
    started: i64,
    environment: Option<BTreeMap<String, String>>,
}

impl<'a> Running<'a> {
    /// The run, as its main process shows it; of a service without a main process, as another of its processes does.
    /// `None` when that cannot be determined: a service that restarts again and again may have ended since systemd
    /// was asked, and a process of an earlier run says nothing about this one.
    fn of(state: &'a UnitStatus) -> Option<Self> {
        let id = state.invocation_id.as_deref();
        // systemd gives the id to each process. Without it, the environment is not what systemd gave.
        let is_whole = |environment: &BTreeMap<String, String>| {
            id.is_some() && environment.get("INVOCATION_ID").map(String::as_str) == id
        };
        let of_process = |pid: u32| {
            let environment = environment_of(pid).filter(is_whole);
            Some((start_of(pid)?, environment))
        };
        let (started, environment) = match state.main_pid {
            Some(pid) => of_process(pid)?,
            None => {
                let mut all = members(state).into_iter().filter_map(of_process);
                all.find(|(_, environment)| environment.is_some())?
            }
        };
        Some(Self {
            id,
            started,
            environment,
        })
    }
}

/// A service that runs and uses a secret.
#[derive(Debug)]
pub(crate) struct RunningUser {
    /// The unit.
    pub(crate) unit: String,
    /// The value that it got, where that can be seen.
    pub(crate) given: Option<SecretValue>,
    /// Whether that is not the value in use now.
    pub(crate) is_older: bool,
}

/// The services that run and use a secret, in the order in which they start. A job ends by itself, so none is listed.
///
/// # Errors
/// When systemd does not answer or the secret cannot be read, as by a user who is not root.
pub(crate) fn running_users(host: &Host, app: &App, secret: &str) -> Result<Vec<RunningUser>> {
    if host.is_offline() || !host.systemd.is_booted() {
        return Ok(Vec::new());
    }
    let units: Vec<String> = users(app, secret).map(|one| app.unit(one)).collect();
    users_among(host, app, &host.systemd.show(&units)?, secret)
}

/// The same, where the states of the units are known.
///
/// # Errors
/// When the secret cannot be read.
pub(super) fn users_among(
    host: &Host,
    app: &App,
    states: &[UnitStatus],
    secret: &str,
) -> Result<Vec<RunningUser>> {
    let mut running = Vec::new();
    for unit in users(app, secret).map(|one| app.unit(one)) {
        let mut states = states.iter();
        let state = states.find(|state| state.id == unit);
        if let Some((state, run)) = state.and_then(|state| Some((state, Running::of(state)?))) {
            running.push(RunningUser {
                given: given_secret(&host.root, &unit, secret),
                is_older: has_secret_changed(host, app, state, secret, &run)?,
                unit,
            });
        }
    }
    Ok(running)
}

/// The services that run all the time and use a secret.
fn users<'a>(app: &'a App, secret: &'a str) -> impl Iterator<Item = &'a Service> {
    let services = app.services.iter().filter(|one| !one.is_job());
    services.filter(move |one| one.secrets.iter().any(|name| name.as_str() == secret))
}

/// The secret that systemd gave to a service, where that can be seen. systemd may also load a secret from a socket.
/// What it sends cannot be compared.
fn given_secret(root: &Root, unit: &str, secret: &str) -> Option<SecretValue> {
    let path = format!("{GIVEN_SECRETS}/{unit}/{secret}");
    let bytes = read_loadable(root, &path).ok()??;
    SecretValue::new(bytes).ok()
}

/// A file that systemd can load.
fn read_loadable(root: &Root, path: &str) -> Result<Option<Vec<u8>>> {
    let meta = root.meta_followed(path)?;
    let is_loadable = meta.is_some_and(|meta| meta.is_file() && meta.len <= MAX_SECRET_BYTES);
    if is_loadable {
        root.read(path)
    } else {
        Ok(None)
    }
}

/// Whether a secret differs from what systemd gave to a service. Where that cannot be seen, the time of the
/// change decides. A missing one is no change: the service could not start again without it.
fn has_secret_changed(
    host: &Host,
    app: &App,
    state: &UnitStatus,
    secret: &str,
    run: &Running<'_>,
) -> Result<bool> {
    let (root, path) = (&host.root, app.layout.credential(secret));
    // A doctor in a sandbox does not see what other services got.
    let given = format!("{GIVEN_SECRETS}/{}", state.id);
    if root.meta(&given)?.is_none() {
        return Ok(false);
    }
    let Some(now) = read_loadable(root, &path)? else {
        return Ok(false);
    };
    match read_loadable(root, &format!("{given}/{secret}")) {
        Ok(Some(given)) => Ok(now != given),
        _ => Ok(root.last_change(&path)? >= run.started),
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "the test starts a process of its own"
    )]

    use super::Running;
    use crate::host::UnitStatus;
    use std::process::Command;

    #[test]
    fn a_run_whose_process_has_ended_is_not_determinable() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let state = UnitStatus {
            main_pid: Some(child.id()),
            invocation_id: Some("1".to_owned()),
            ..UnitStatus::default()
        };
        assert!(Running::of(&state).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Running::of(&state).is_none());
    }

    #[test]
    fn a_process_of_an_earlier_run_says_nothing_about_this_one() {
        // It is found in the control group, and its environment names another run.
        let group = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let group = group
            .lines()
            .last()
            .and_then(|line| line.splitn(3, ':').nth(2));
        let state = UnitStatus {
            control_group: group.map(str::to_owned),
            invocation_id: Some("another".to_owned()),
            ..UnitStatus::default()
        };
        assert!(Running::of(&state).is_none());
    }
}
