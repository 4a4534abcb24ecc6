//! The sources of the page: `/opt`, systemd, and the last report of `robotctl doctor`.
//!
//! Every user may read them, so the page needs no privileges. What it cannot read is unknown.

use super::judge::judge;
use super::status::{DeployedApp, DoctorReport, Status};
use crate::app::{Layout, Name};
use crate::host::{Host, Root, Stopwatch, UnitStatus, now};
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long unit states are cached, so that many requests cost no more than one.
const CACHE_TIME: Duration = Duration::from_secs(2);
/// Where the sources are. In a sandbox, `/opt` of the host is at another path.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The host's `/opt`.
    pub(crate) opt: PathBuf,
    /// The last report of `robotctl doctor`.
    pub(crate) report: Option<PathBuf>,
}

/// The states of units, or why they are unknown.
type Units = Result<Vec<UnitStatus>, String>;

/// Reads the sources.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    host: &'a Host,
    version: String,
    opt: Root,
    report: Option<PathBuf>,
    /// Locked while systemd is asked: other requests wait for the same answer.
    units: Mutex<Option<(Stopwatch, Arc<Units>)>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(host: &'a Host, version: &str, places: Places) -> Self {
        let Places { opt, report } = places;
        Self {
            host,
            version: version.to_owned(),
            opt: Root::new(&opt),
            report,
            units: Mutex::new(None),
        }
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The current status.
    pub(super) fn status(&self) -> Status {
        let apps = self.deployed();
        let units = self.units(&apps);
        let report = self.report();
        let now = now();
        let (known, unknown) = match units.as_ref() {
            Ok(states) => (states.as_slice(), None),
            Err(why) => (&[][..], Some(why.clone())),
        };
        Status {
            version: self.version.clone(),
            now,
            apps: apps
                .iter()
                .map(|app| judge(app, &own_units(app, &apps, known), report.as_ref(), now))
                .collect(),
            units_unknown: unknown,
            report,
        }
    }

    fn deployed(&self) -> Vec<DeployedApp> {
        let names = self.opt.list("/").unwrap_or_default();
        let names = names.into_iter().filter(|name| Name::parse(name).is_ok());
        names.filter_map(|name| self.app(name)).collect()
    }

    fn app(&self, name: String) -> Option<DeployedApp> {
        let current = format!("/{name}/current");
        let dir = format!("/{name}/releases");
        self.opt.meta(&dir).ok()?.filter(|meta| meta.is_dir)?;
        let link = self.opt.meta(&current).ok()?;
        let target = self.opt.read_link(&current).ok()?;
        let releases = self.opt.list(&dir).ok()?.into_iter();
        let layout = Name::parse(&name).map(|name| Layout::new(&name)).ok();
        let named = || layout?.targeted(target.as_deref()?).map(str::to_owned);
        Some(DeployedApp {
            live: named(),
            // The switch creates the link, so the link has the time of the switch.
            since: link.and_then(|link| Timestamp::from_second(link.modified).ok()),
            releases: releases.filter(|id| !id.starts_with('.')).collect(),
            name,
        })
    }

    fn units(&self, apps: &[DeployedApp]) -> Arc<Units> {
        let mut cached = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, units)) = cached.as_ref()
            && at.elapsed() < CACHE_TIME
        {
            return Arc::clone(units);
        }
        let patterns: Vec<String> = apps.iter().map(|app| format!("{}-*", app.name)).collect();
        let units = if patterns.is_empty() {
            Ok(Vec::new())
        } else {
            let systemd = &self.host.systemd;
            let states = systemd.show_matching(&patterns);
            states.map_err(|error| format!("{error:#}"))
        };
        let units = Arc::new(units);
        *cached = Some((Stopwatch::start(), Arc::clone(&units)));
        units
    }

    fn report(&self) -> Option<DoctorReport> {
        let text = crate::host::read_user_file(self.report.as_ref()?).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// The units of an app. `wiki-staging-web.service` does not belong to `wiki` when there is an app
/// `wiki-staging`.
fn own_units<'u>(
    app: &DeployedApp,
    apps: &[DeployedApp],
    units: &'u [UnitStatus],
) -> Vec<&'u UnitStatus> {
    let belongs = |name: &str, unit: &str| {
        let rest = unit.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let is_closer = |other: &DeployedApp, unit: &str| {
        other.name.len() > app.name.len() && belongs(&other.name, unit)
    };
    let ours = units.iter().filter(|state| {
        let unit = state.id.as_str();
        belongs(&app.name, unit) && !apps.iter().any(|other| is_closer(other, unit))
    });
    ours.collect()
}
