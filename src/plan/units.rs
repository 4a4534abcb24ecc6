//! What happens to each unit, and in which order.

use super::{Candidate, Observed};
use crate::app::{App, Service, Socket};
use crate::store::FileChange;
use crate::units::UnitFile;
use serde::Serialize;
use std::collections::BTreeSet;

/// Why a service that could overlap is restarted.
const NO_MEMORY: &str = "no overlap: second copies need more memory than can be spared";

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing.
    Keep,
    /// Stopped before the switch: the new release has it no more.
    Stop,
    /// Started after the switch.
    Start,
    /// Restarted after the switch; an activated socket keeps requests waiting.
    Restart,
    /// Restarted while a stand-in answers: no client notices.
    Overlap,
    /// Stopped before anything is started, then started: its address changed or goes to another
    /// unit, so that it is unreachable for a moment.
    Rebind,
}

impl Action {
    /// Whether the unit is started in the end.
    pub fn starts(self) -> bool {
        !matches!(self, Self::Keep | Self::Stop)
    }

    /// The verb as people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Overlap => "overlap",
            Self::Rebind => "rebind",
        }
    }
}

/// One unit and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitPlan {
    /// The whole unit name.
    pub unit: String,
    /// The short name of the service that it belongs to.
    pub service: Option<String>,
    /// What happens.
    pub action: Action,
    /// Why.
    pub why: String,
}

/// All units of the new release in starting order, after those that go.
pub(super) fn units(
    new: &Candidate<'_>,
    observed: &Observed,
    files: &[FileChange],
) -> Vec<UnitPlan> {
    let look = UnitPlanner {
        observed,
        same: observed.is_live(new.id),
        changed: files.iter().map(|change| change.path.as_str()).collect(),
        first: observed.live.is_none(),
    };
    let mut out = gone(new.app, observed);
    for service in &new.app.services {
        for unit in new.app.socket_units(service) {
            out.push(look.socket(new.app, service, &unit));
        }
    }
    for service in &new.app.services {
        let backend = look.service(new.app, service, &new.app.unit(service));
        let with_it = matches!(backend.action, Action::Restart | Action::Overlap);
        out.push(backend);
        if service.socket == Socket::Proxy {
            let mut proxy = look.service(new.app, service, &new.app.proxy_unit(service));
            if with_it && proxy.action == Action::Restart {
                "restarts with its server".clone_into(&mut proxy.why);
            }
            out.push(proxy);
        }
    }
    for service in new.app.services.iter().filter(|one| one.timer.is_some()) {
        out.push(look.timer(new.app, service));
    }
    let target = new.app.target_unit();
    out.push(look.always(&target, None, true));
    out
}

/// Units that only the live release has, in an order in which clients go before servers.
fn gone(new: &App, observed: &Observed) -> Vec<UnitPlan> {
    let Some(live) = &observed.live else {
        return Vec::new();
    };
    let has = all_units(new);
    let mut old: Vec<(String, String)> = Vec::new();
    for service in &live.app.services {
        for unit in live.app.units_of(service) {
            old.push((unit, service.name.to_string()));
        }
    }
    let gone = old.into_iter().filter(|(unit, _)| !has.contains(unit));
    gone.map(|(unit, service)| UnitPlan {
        unit,
        service: Some(service),
        action: Action::Stop,
        why: "the new release has it no more".into(),
    })
    .collect()
}

fn all_units(app: &App) -> BTreeSet<String> {
    let services = app.services.iter();
    services.flat_map(|service| app.units_of(service)).collect()
}

struct UnitPlanner<'a> {
    observed: &'a Observed,
    /// The release that is live is the one that goes live.
    same: bool,
    changed: BTreeSet<&'a str>,
    first: bool,
}

impl UnitPlanner<'_> {
    /// Whether the unit's file or one of its drop-ins changes.
    fn rewritten(&self, unit: &str) -> bool {
        let mut files = self.changed.iter().filter_map(|path| UnitFile::parse(path));
        files.any(|file| file.unit == unit)
    }

    fn known(&self, unit: &str) -> bool {
        let live = self.observed.live.as_ref();
        live.is_some_and(|live| all_units(&live.app).contains(unit))
    }

    fn plan(unit: &str, service: &Service, action: Action, why: &str) -> UnitPlan {
        UnitPlan {
            unit: unit.to_owned(),
            service: Some(service.name.to_string()),
            action,
            why: why.to_owned(),
        }
    }

    fn socket(&self, app: &App, service: &Service, unit: &str) -> UnitPlan {
        let active = self.observed.active.contains(unit);
        let (action, why) = if self.observed.masked.contains(unit) {
            (Action::Keep, "masked by the administrator")
        } else if !service.enable && !active {
            (Action::Keep, "not enabled")
        } else if self.rewritten(unit) && active {
            (Action::Rebind, "its addresses changed: a planned gap")
        } else if self.observed.failed.contains(unit) {
            // Its service may run: a socket cannot be opened anew beside it.
            (Action::Rebind, "it has failed")
        } else if !self.known(unit) && self.bound_by_itself(app, service) {
            // The socket cannot be opened while its service runs.
            (
                Action::Rebind,
                "the service bound its address itself: a planned gap",
            )
        } else if !self.known(unit) {
            (Action::Start, "new")
        } else if active {
            (
                Action::Keep,
                "unchanged: it holds requests through the deploy",
            )
        } else {
            (Action::Keep, "stopped by the administrator")
        };
        Self::plan(unit, service, action, why)
    }

    /// Whether the live service runs and has bound its addresses itself: systemd opens no socket
    /// for a service that runs.
    fn bound_by_itself(&self, app: &App, service: &Service) -> bool {
        let live = self.observed.live.as_ref();
        let old = live.and_then(|live| live.app.service(service.name.as_str()));
        self.observed.active.contains(&app.unit(service))
            && old.is_some_and(|old| old.socket == Socket::Direct)
    }

    /// Whether the service binds an address itself that goes from one service to another: this one
    /// stops before the other starts, forward or on the way back.
    fn trades_addresses(&self, app: &App, service: &Service) -> bool {
        let Some(live) = &self.observed.live else {
            return false;
        };
        let direct = |one: &&Service| one.socket == Socket::Direct;
        let old = live.app.service(service.name.as_str()).filter(direct);
        let new = Some(service).filter(direct);
        let bound_by_others = |own: Option<&Service>, others: &App| {
            let others = others
                .services
                .iter()
                .filter(|one| one.name != service.name);
            let mut theirs = others.flat_map(|one| &one.listen);
            let own = own.map_or(&[][..], |own| own.listen.as_slice());
            theirs.any(|one| own.iter().any(|two| one.collides(two)))
        };
        bound_by_others(old, app) || bound_by_others(new, &live.app)
    }

    fn service(&self, app: &App, service: &Service, unit: &str) -> UnitPlan {
        let active = self.observed.active.contains(unit);
        let failed = self.observed.failed.contains(unit);
        let stale = !self.same || self.rewritten(unit);
        let why = match (self.same, self.rewritten(unit)) {
            (false, true) => "new release, unit changed",
            (false, false) => "new release",
            (true, _) => "unit changed",
        };
        let (action, why) = if self.observed.masked.contains(unit) {
            (Action::Keep, "masked by the administrator")
        } else if !service.is_daemon() && !active {
            let why = if service.timer.is_some() {
                "its timer starts it"
            } else {
                "not enabled"
            };
            (Action::Keep, why)
        } else if service.timer.is_some() || service.kind == crate::app::Type::Oneshot {
            (Action::Keep, "a job under way ends on its release")
        } else if failed {
            (Action::Restart, "it has failed")
        } else if active && stale && self.trades_addresses(app, service) {
            (
                Action::Rebind,
                "an address goes from one service to another: a planned gap",
            )
        } else if active && stale {
            let held = app
                .socket_units(service)
                .iter()
                .all(|socket| self.observed.active.contains(socket) && !self.rewritten(socket));
            let overlaps = service.overlaps() && held && unit == app.unit(service);
            if overlaps && self.observed.low_memory.contains_key(unit) {
                // The numbers are in the plan's notes: they change from moment to moment.
                let why = format!("{why}; {NO_MEMORY}");
                return Self::plan(unit, service, Action::Restart, &why);
            }
            match overlaps {
                true => (Action::Overlap, why),
                false => (Action::Restart, why),
            }
        } else if active {
            (Action::Keep, "unchanged")
        } else if self.first || !self.known(unit) {
            (Action::Start, "new")
        } else {
            (Action::Keep, "stopped by the administrator")
        };
        Self::plan(unit, service, action, why)
    }

    fn timer(&self, app: &App, service: &Service) -> UnitPlan {
        let unit = app.timer_unit(service);
        let active = self.observed.active.contains(&unit);
        let (action, why) = if self.observed.masked.contains(&unit) {
            (Action::Keep, "masked by the administrator")
        } else if !service.enable && !active {
            (Action::Keep, "not enabled")
        } else if active && self.rewritten(&unit) {
            (Action::Restart, "unit changed")
        } else if !self.known(&unit) || self.observed.failed.contains(&unit) {
            (Action::Start, "new")
        } else if active {
            (Action::Keep, "unchanged")
        } else {
            (Action::Keep, "stopped by the administrator")
        };
        Self::plan(&unit, service, action, why)
    }

    fn always(&self, unit: &str, service: Option<String>, wanted: bool) -> UnitPlan {
        let active = self.observed.active.contains(unit);
        let start = wanted && !active && self.first && !self.observed.masked.contains(unit);
        UnitPlan {
            unit: unit.to_owned(),
            service,
            action: if start { Action::Start } else { Action::Keep },
            why: if start { "new" } else { "unchanged" }.to_owned(),
        }
    }
}
