//! The record of what the services got that robotctl started.
//!
//! It is in `/run`, as the starts are of one boot, and only root can read it. It holds a digest of each
//! variable: the digests begin with random bytes, so that those of two hosts cannot be compared.

use super::env_file::env_values;
use crate::app::{App, Layout, Name};
use crate::host::{Host, ProcessIdentity, Root, random_hex, ticks_since_boot};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The directory of the records.
const DIR: &str = "/run/robotctl/settings";
/// How many random bytes a digest begins with.
const SALT_BYTES: usize = 32;

/// The digests of variables, by name.
pub(super) type Digests = BTreeMap<String, String>;

/// What the services of an app got.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Starts {
    salt: String,
    services: BTreeMap<String, Given>,
}

/// What one run of a service got.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    /// The invocation id of the run.
    run: String,
    variables: Digests,
}

impl Starts {
    /// Reads the record. One that is missing or damaged is empty: the times of the files decide then.
    pub(super) fn read(root: &Root, app: &Name) -> Self {
        let bytes = root.read(&path(app)).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// What this run of a service got.
    pub(super) fn of_run(&self, unit: &str, run: Option<&str>) -> Option<&Digests> {
        let given = self.services.get(unit)?;
        (Some(given.run.as_str()) == run).then_some(&given.variables)
    }

    /// The digests of variables, as the record holds them.
    pub(super) fn digests(&self, values: &BTreeMap<String, String>) -> Digests {
        let digest = |value: &String| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(self.salt.as_bytes()).update(value.as_bytes());
            hasher.finalize().to_hex().to_string()
        };
        let pairs = values.iter();
        pairs
            .map(|(name, value)| (name.clone(), digest(value)))
            .collect()
    }
}

/// Removes the record of an app.
///
/// # Errors
/// The operating system's, with the path.
pub(crate) fn drop_record(root: &Root, app: &Name) -> Result<()> {
    root.remove_file(&path(app))
}

fn path(app: &Name) -> String {
    format!("{DIR}/{app}.json")
}

/// The settings before a change starts services.
#[derive(Debug)]
pub(crate) struct StartedServices {
    values: BTreeMap<String, String>,
    /// In clock ticks since the boot.
    since: u64,
}

impl StartedServices {
    /// Reads the settings before services start. `None` when nothing runs below `--root`, and when they
    /// cannot be read: then the times of the files decide.
    pub(crate) fn before(host: &Host, layout: &Layout) -> Option<Self> {
        if host.is_offline() || !host.systemd.is_booted() {
            return None;
        }
        Some(Self {
            values: env_values(&host.root, layout).ok()?,
            since: ticks_since_boot()?,
        })
    }

    /// Records what those of an app's services got that were started meanwhile. A service that was not
    /// started keeps its record.
    ///
    /// # Errors
    /// When systemd does not answer or the record cannot be written.
    pub(crate) fn record(self, host: &Host, app: &App) -> Result<()> {
        let units: Vec<String> = app.services.iter().map(|one| app.unit(one)).collect();
        let states = host.systemd.show(&units)?;
        let mut starts = Starts::read(&host.root, &app.name);
        if starts.salt.is_empty() {
            starts.salt = random_hex(SALT_BYTES)?;
        }
        // Which of the two states of the file a service got is not known.
        let is_steady = env_values(&host.root, &app.layout)? == self.values;
        let variables = starts.digests(&self.values);
        let is_new =
            |pid: u32| ProcessIdentity::of(pid).is_some_and(|one| one.started > self.since);
        for (unit, state) in units.into_iter().zip(states) {
            if let (Some(run), Some(pid)) = (state.invocation_id, state.main_pid)
                && starts.of_run(&unit, Some(&run)).is_none()
                && is_steady
                && is_new(pid)
            {
                let variables = variables.clone();
                starts.services.insert(unit, Given { run, variables });
            }
        }
        host.root.make_dir("/run/robotctl", 0o755)?;
        host.root.make_dir(DIR, 0o700)?;
        let bytes = serde_json::to_vec(&starts)?;
        host.root.write_atomic(&path(&app.name), &bytes, 0o600)
    }
}
