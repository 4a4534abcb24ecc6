//! Where the page's facts come from: `/opt`, systemd, and the last report of `robotctl doctor`.
//!
//! All of it is readable for anybody; nothing here needs a right. What cannot be seen is told
//! as unknown.

use super::status::{App, Diagnosis, Status, judge};
use crate::app::{Layout, Name};
use crate::host::{Host, Root, Stopwatch, UnitState, now};
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long unit states are served again before systemd is asked anew, so that load on the page
/// is no load on the host.
const CACHE_TIME: Duration = Duration::from_secs(2);
/// What a row needs.
const PROPERTIES: &str = "Id,Description,LoadState,ActiveState,SubState,Result,MainPID,\
ExecMainStartTimestamp,ExecMainExitTimestamp,ActiveEnterTimestamp,NextElapseUSecRealtime";

/// Where to look: in a sandbox, parts of the host lie elsewhere.
#[derive(Debug, Clone)]
pub struct Places {
    /// The host's `/opt`.
    pub opt: PathBuf,
    /// The last report of `robotctl doctor`.
    pub report: Option<PathBuf>,
}

/// Unit states, or why there are none.
type Units = Result<Vec<UnitState>, String>;

/// Looks at the host.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    host: &'a Host,
    version: String,
    opt: Root,
    report: Option<PathBuf>,
    /// Held while systemd is asked: the others wait for the same answer.
    units: Mutex<Option<(Stopwatch, Arc<Units>)>>,
}

/// What lies in `/opt` of one app.
pub(super) struct Deployed {
    pub(super) name: String,
    pub(super) live: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) releases: Vec<String>,
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

    /// Everything, as it is now.
    pub(super) fn status(&self) -> Status {
        let apps = self.deployed();
        let units = self.units(&apps);
        let diagnosis = self.diagnosis();
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
                .map(|app| judge(app, &owned(app, &apps, known), diagnosis.as_ref(), now))
                .collect::<Vec<App>>(),
            units_unknown: unknown,
            diagnosis,
        }
    }

    fn deployed(&self) -> Vec<Deployed> {
        let names = self.opt.list("/").unwrap_or_default();
        let names = names.into_iter().filter(|name| Name::parse(name).is_ok());
        names.filter_map(|name| self.app(name)).collect()
    }

    fn app(&self, name: String) -> Option<Deployed> {
        let current = format!("/{name}/current");
        let dir = format!("/{name}/releases");
        self.opt.meta(&dir).ok()?.filter(|meta| meta.is_dir)?;
        let link = self.opt.meta(&current).ok()?;
        let target = self.opt.read_link(&current).ok()?;
        let releases = self.opt.list(&dir).ok()?.into_iter();
        let layout = Name::parse(&name).map(|name| Layout::new(&name)).ok();
        let named = || layout?.targeted(target.as_deref()?).map(str::to_owned);
        Some(Deployed {
            live: named(),
            // The switch makes the link: its time is the switch's.
            since: link.and_then(|link| Timestamp::from_second(link.modified).ok()),
            releases: releases.filter(|id| !id.starts_with('.')).collect(),
            name,
        })
    }

    fn units(&self, apps: &[Deployed]) -> Arc<Units> {
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
            let states = systemd.show_matching(&patterns, PROPERTIES);
            states.map_err(|error| format!("{error:#}"))
        };
        let units = Arc::new(units);
        *cached = Some((Stopwatch::start(), Arc::clone(&units)));
        units
    }

    fn diagnosis(&self) -> Option<Diagnosis> {
        let text = crate::host::read_user_file(self.report.as_ref()?).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// The units of one app: `wiki-staging-web.service` is not one of `wiki` when there is an app
/// `wiki-staging`.
fn owned<'u>(app: &Deployed, apps: &[Deployed], units: &'u [UnitState]) -> Vec<&'u UnitState> {
    let belongs = |name: &str, unit: &str| {
        let rest = unit.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let nearer = |other: &Deployed, unit: &str| {
        other.name.len() > app.name.len() && belongs(&other.name, unit)
    };
    let ours = units.iter().filter(|state| {
        let unit = state.get("Id");
        belongs(&app.name, unit) && !apps.iter().any(|other| nearer(other, unit))
    });
    ours.collect()
}
