//! `status`: what is live, and what every process really runs. Works for any user.

use super::context::Context;
use super::draining::{Draining, draining};
use super::select::{PerApp, nothing_deployed};
use crate::app::{InstalledPackage, Name};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error};
use crate::host::{self, ActiveState, Phase, Undetermined, release_of_unit};
use crate::provenance::Provenance;
use crate::settings::stale_services;
use crate::stability::{Instability, unstable_units};
use crate::store::{PublicUnit, State, StoppedUnits, Store, UnitRole};
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// One unit as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct UnitStatus {
    /// The unit's name.
    pub(crate) unit: String,
    /// systemd's words, such as `active (running)`; `-` where systemd cannot be asked.
    pub(crate) state: String,
    /// The release that its main process runs, where that can be seen.
    pub(crate) runs: Option<String>,
    /// What differs from what is live.
    pub(crate) note: Option<String>,
}

/// Another environment of an app, which is an app too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct OtherEnvironment {
    /// The name of that app.
    pub(crate) app: String,
    /// Its environment; `null` is the app without one.
    pub(crate) environment: Option<String>,
    /// Its live release.
    pub(crate) live: Option<String>,
}

/// One app as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct AppStatus {
    /// The app's name, with its environment.
    pub(crate) app: String,
    /// The environment in that name.
    pub(crate) environment: Option<String>,
    /// The other environments of the app on this host, and the app without one, by their names as apps.
    pub(crate) environments: Vec<OtherEnvironment>,
    /// The live release.
    pub(crate) live: Option<String>,
    /// When it went live (RFC 3339).
    pub(crate) since: Option<String>,
    /// What was proved of the archive of the live release before robotctl read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) archive: Option<Provenance>,
    /// Why no release is live, if that is known.
    pub(crate) failure: Option<String>,
    /// The package of the app, if another version than the live one is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) package: Option<String>,
    /// The target of the link `current`.
    pub(crate) current: Option<String>,
    /// The change that another `robotctl` makes now.
    pub(crate) under_way: Option<String>,
    /// Whether a change was interrupted.
    pub(crate) interrupted: bool,
    /// Previous releases, the latest last.
    pub(crate) before: Vec<String>,
    /// The units of the live release.
    pub(crate) units: Vec<UnitStatus>,
    /// Previous releases that still end their connections.
    pub(crate) draining: Vec<Draining>,
}

/// The status of every selected app.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when no app is deployed.
pub(crate) fn run(ctx: &Context<'_>) -> Result<PerApp<AppStatus>, Error> {
    let all = ctx.for_each_app(|name| status(ctx, name))?;
    if all.answers.is_empty() && all.failed.is_empty() {
        return nothing_deployed().nothing_changed();
    }
    Ok(all)
}

/// A sentence about the package of an app whose version is not live.
fn package_drift(store: &Store, state: &State) -> Option<String> {
    // What cannot be read is left out.
    let package = store.installed_package().ok()??;
    let tried = store.tried_package().ok()?;
    let is_live = tried.is_some_and(|tried| {
        tried.package == package && state.live.as_deref() == Some(&tried.release)
    });
    let InstalledPackage { name, version } = package;
    (!is_live)
        .then(|| format!("version {version} of the package {name} is installed, and is not live"))
}

fn status(ctx: &Context<'_>, name: &Name) -> Result<AppStatus> {
    let store = ctx.store(name);
    let state = store.state()?;
    let release = match &state.live {
        Some(id) => store.public_release(id)?,
        None => None,
    };
    // What cannot be read is left out.
    let failure = match &state.live {
        Some(_) => None,
        None => store.last_failure().unwrap_or_default(),
    };
    let under_way = store.lock_holder();
    let interrupted = under_way.is_none() && store.has_journal()?;
    let archive = release.as_ref().and_then(|release| release.archive.clone());
    let (environment, units) = match release {
        Some(release) => (
            release.environment,
            units(
                ctx,
                name,
                &release.units,
                &state,
                &stale(ctx, &store, &state),
            )?,
        ),
        None => (None, Vec::new()),
    };
    let services = units.iter().map(|unit: &UnitStatus| &unit.unit);
    let services = services.filter(|unit| unit.ends_with(".service"));
    let services: Vec<String> = services.cloned().collect();
    Ok(AppStatus {
        draining: draining(&ctx.host, name.as_str(), &services)?,
        app: name.to_string(),
        environments: other_environments(ctx, name, environment.as_deref())?,
        environment,
        archive,
        failure: failure.map(|failure| failure.in_words()),
        package: package_drift(&store, &state),
        current: store.read_current_link()?,
        under_way,
        interrupted,
        units,
        live: state.live,
        since: state.since,
        before: state.previous,
    })
}

/// The apps of this host that come from the same manifest.
fn other_environments(
    ctx: &Context<'_>,
    name: &Name,
    environment: Option<&str>,
) -> Result<Vec<OtherEnvironment>> {
    let base = without_environment(name.as_str(), environment);
    let mut out = Vec::new();
    for other in ctx.all_apps()? {
        if other == *name || !other.as_str().starts_with(base) {
            continue;
        }
        let store = ctx.store(&other);
        let environment = store.environment();
        // `shop-api` is an app of its own, and no environment of `shop`, unless it was deployed as one.
        if without_environment(other.as_str(), environment.as_deref()) == base {
            out.push(OtherEnvironment {
                // What cannot be read is left out.
                live: store.state().ok().and_then(|state| state.live),
                app: other.to_string(),
                environment,
            });
        }
    }
    Ok(out)
}

/// The name of an app without its environment.
fn without_environment<'a>(app: &'a str, environment: Option<&str>) -> &'a str {
    let base = environment.and_then(|name| app.strip_suffix(name)?.strip_suffix('-'));
    base.unwrap_or(app)
}

/// The services whose settings have changed since they started. Only root can see it.
fn stale(ctx: &Context<'_>, store: &Store, state: &State) -> BTreeMap<String, String> {
    let find = || -> Result<BTreeMap<String, String>> {
        match &state.live {
            Some(live) if host::is_root() => match store.release(live)? {
                Some(record) => stale_services(&ctx.host, &record.app()?),
                None => Ok(BTreeMap::new()),
            },
            _ => Ok(BTreeMap::new()),
        }
    };
    // The doctor says what cannot be read.
    find().unwrap_or_default()
}

fn units(
    ctx: &Context<'_>,
    app: &Name,
    units: &[PublicUnit],
    state: &State,
    changed: &BTreeMap<String, String>,
) -> Result<Vec<UnitStatus>> {
    let names: Vec<String> = units.iter().map(|unit| unit.unit.clone()).collect();
    let states = ctx.host.systemd.show(&names)?;
    let daemons = units.iter().filter(|unit| unit.role == UnitRole::Daemon);
    let daemons: Vec<String> = daemons.map(|unit| unit.unit.clone()).collect();
    // What systemd does not tell in time is left out.
    let unstable = unstable_units(&ctx.host, &daemons, state.live_since());
    let unstable: BTreeMap<String, Instability> = unstable.into_iter().flatten().collect();
    let stopped = StoppedUnits::read(&ctx.host.root, app);
    let up = states.iter().filter(|now| !now.is_down());
    let up: Vec<String> = up.map(|now| now.id.clone()).collect();
    let both = units.iter().zip(states);
    Ok(both
        .map(|(unit, now)| {
            let mut row = unit_status(app, unit, &now, state, unstable.get(&unit.unit));
            if let Some(what) = changed.get(&unit.unit) {
                let text = format!("settings changed since it started: {what}");
                let note = row.note.take();
                row.note = Some(note.map_or(text.clone(), |note| format!("{note}; {text}")));
            }
            if let (Some(since), None) = (stopped.since(&now), &row.note) {
                let start = CommandLine::sudo_robotctl(["--app", app.as_str(), "start"]);
                row.note = Some(format!(
                    "stopped with `robotctl stop` at {since}: {}",
                    start.arg(&unit.service)
                ));
            }
            let other = now.conflict_among(up.iter().map(String::as_str));
            if let (Some(other), None) = (other, &row.note) {
                row.note = Some(format!("conflicts with `{other}`, which runs"));
            }
            row
        })
        .collect())
}

/// Whether the state of a unit does not say what it is about to do.
fn is_between(phase: Phase) -> bool {
    !matches!(phase, Phase::Up | Phase::Failed | Phase::Down)
}

fn unit_status(
    app: &Name,
    unit: &PublicUnit,
    now: &host::UnitStatus,
    state: &State,
    unstable: Option<&Instability>,
) -> UnitStatus {
    let runs = release_of_unit(now, app.as_str());
    let is_service = unit.unit.ends_with(".service");
    let unknown = match &runs {
        Err(Undetermined::NoProcess | Undetermined::Hidden) | Ok(_) => None,
        // A job may end at any time, and has no mount then.
        Err(why) => (unit.role == UnitRole::Daemon && now.is_active()).then(|| why.to_string()),
    };
    let runs = runs.ok();
    let pin = state.pins.get(&unit.service).filter(|_| is_service);
    let may_run = |id: &String| state.may_run(&unit.service, id);
    let is_stale = runs.as_ref().is_some_and(|id| !may_run(id));
    let wanted = state.starts_from(&unit.service);
    let other = runs.as_ref().filter(|id| Some(*id) != wanted);
    let note = match pin {
        Some(id) if !is_stale && unstable.is_none() => Some(format!("pinned to {id}")),
        _ if now.is_masked() => Some("masked by the administrator".to_owned()),
        _ if unknown.is_some() => unknown,
        _ if is_stale => Some("runs another release than the live one".to_owned()),
        _ if now.need_daemon_reload => {
            let reload = CommandLine::sudo(["systemctl", "daemon-reload"]);
            Some(format!("its file changed on disk: {reload}"))
        }
        _ if now.is_skipped() => {
            let read = CommandLine::new(["systemctl", "status", &unit.unit]);
            Some(format!("condition not met, not started: {read}"))
        }
        _ if now.is_failed() => {
            let read = CommandLine::sudo(["journalctl", "-u", &unit.unit]);
            Some(format!("{}: {read}", now.result))
        }
        _ if unstable.is_none() && is_between(now.phase()) => {
            Some(now.phase().row().words.to_owned())
        }
        _ => match unstable {
            Some(what) => {
                let read = CommandLine::sudo(["journalctl", "-u", &unit.unit]);
                Some(format!("{}: {read}", what.in_words()))
            }
            None => other
                .zip(wanted)
                .map(|(_, live)| format!("has the same files for it as {live}")),
        },
    };
    UnitStatus {
        unit: unit.unit.clone(),
        state: match &now.active_state {
            ActiveState::Unknown => "-".to_owned(),
            active => format!("{active} ({})", now.sub_state),
        },
        runs,
        note,
    }
}

#[cfg(test)]
mod tests {
    use super::unit_status;
    use crate::app::Name;
    use crate::host::{ActiveState, UnitResult, UnitStatus};
    use crate::store::{PublicUnit, State, UnitRole};

    #[test]
    fn the_log_of_a_failed_unit_needs_root() {
        let unit = PublicUnit {
            unit: "shop-web.service".to_owned(),
            service: "web".to_owned(),
            role: UnitRole::Daemon,
            enabled: true,
        };
        let now = UnitStatus {
            active_state: ActiveState::Failed,
            result: UnitResult::ExitCode,
            ..UnitStatus::default()
        };
        let shop = Name::parse("shop").unwrap();
        let status = unit_status(&shop, &unit, &now, &State::default(), None);
        let note = "exit-code: sudo journalctl -u shop-web.service";
        assert_eq!(status.note.as_deref(), Some(note));
    }
}
