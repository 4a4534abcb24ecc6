//! All units with what happens to them, and the facts about each.

use super::data::{Action, UnitPlan};
use super::decide::{Binds, Change, UnitFacts, UnitKind, UnitState, decide};
use super::exclusion::{is_chosen, yielding};
use super::input::{Candidate, Observed};
use super::overlap::Overlap;
use super::service_files::{Sameness, sameness};
use crate::app::{App, Service, Socket, UnitRef};
use crate::tree::FileChange;
use crate::units::UnitFile;
use std::collections::{BTreeMap, BTreeSet};

/// The units that the new release does not have, then all units of the new release in the order in
/// which they start.
pub(super) fn units(
    new: &Candidate<'_>,
    observed: &Observed,
    files: &[FileChange],
) -> Vec<UnitPlan> {
    let app = new.app;
    let mut planner = UnitPlanner {
        new,
        app,
        observed,
        is_new_release: !observed.is_live(new.id),
        changed_units: files
            .iter()
            .filter_map(|change| UnitFile::parse(&change.path))
            .map(|file| file.unit)
            .collect(),
        restarting: BTreeSet::new(),
        rebound: BTreeSet::new(),
        starting: BTreeMap::new(),
        yielding: yielding(app, observed),
    };
    let mut out = removed_units(app, observed);
    for service in &app.services {
        for unit in app.socket_units(service) {
            let socket = planner.socket(service, &unit);
            if socket.action == Action::Rebind {
                planner.rebound.insert(service.name.as_str());
            }
            planner.add_start(service, &socket);
            out.push(socket);
        }
    }
    for service in &app.services {
        let server = planner.service(service, &app.unit(service));
        let server_restarts = matches!(server.action, Action::Restart | Action::Overlap);
        if server_restarts || server.action == Action::Rebind {
            planner.restarting.insert(service.name.as_str());
        }
        planner.add_start(service, &server);
        out.push(server);
        if service.socket == Socket::Proxy {
            let mut proxy = planner.service(service, &app.proxy_unit(service));
            if server_restarts && proxy.action == Action::Restart {
                "restarts with its server".clone_into(&mut proxy.why);
            }
            out.push(proxy);
        }
    }
    for service in app.services.iter().filter(|one| one.timer.is_some()) {
        out.push(planner.plan(&app.timer_unit(service), Some(service), UnitKind::Timer));
    }
    out.push(planner.plan(&app.target_unit(), None, UnitKind::Target));
    out
}

/// The units that only the live release has, in an order in which clients stop before servers.
fn removed_units(new: &App, observed: &Observed) -> Vec<UnitPlan> {
    let Some(live) = &observed.live else {
        return Vec::new();
    };
    let kept = all_units(new);
    let services = live.app.services.iter();
    let old = services.flat_map(|service| {
        let units = live.app.units_of(service).into_iter();
        units.map(|unit| (unit, service.name.to_string()))
    });
    let removed = old.filter(|(unit, _)| !kept.contains(unit));
    removed
        .map(|(unit, service)| UnitPlan {
            unit,
            service: Some(service),
            action: Action::Stop,
            settings: None,
            runs: None,
            why: "not in the new release".into(),
        })
        .collect()
}

fn all_units(app: &App) -> BTreeSet<String> {
    let services = app.services.iter();
    services.flat_map(|service| app.units_of(service)).collect()
}

/// Collects the facts about units.
struct UnitPlanner<'a> {
    new: &'a Candidate<'a>,
    /// The app of the new release.
    app: &'a App,
    observed: &'a Observed,
    /// Whether another release becomes live.
    is_new_release: bool,
    /// The units whose unit file or drop-ins change.
    changed_units: BTreeSet<&'a str>,
    /// The services before this one that restart.
    restarting: BTreeSet<&'a str>,
    /// The services of which a socket is bound again. Their units stop for that.
    rebound: BTreeSet<&'a str>,
    /// The services of which a unit starts so far, each with the first such unit.
    starting: BTreeMap<&'a str, String>,
    /// The services that stop, each with a unit that stays up in its place.
    yielding: BTreeMap<&'a str, String>,
}

impl<'a> UnitPlanner<'a> {
    fn add_start(&mut self, service: &'a Service, planned: &UnitPlan) {
        if planned.action.starts() {
            let first = self.starting.entry(service.name.as_str());
            first.or_insert_with(|| planned.unit.clone());
        }
    }

    fn plan(&self, unit: &str, service: Option<&Service>, kind: UnitKind) -> UnitPlan {
        let live = self.observed.live.as_ref();
        let change = self.change(unit, service);
        let (action, why) = decide(UnitFacts {
            kind,
            state: self.state(unit),
            change,
            is_enabled: service.is_none_or(|service| is_chosen(self.observed, service, unit)),
            yields_to: service.and_then(|service| self.yielding.get(service.name.as_str())),
            conflicts_with: self.conflict(unit, service),
            is_known: live.is_some_and(|live| all_units(&live.app).contains(unit)),
            is_first_release: live.is_none(),
        });
        UnitPlan {
            unit: unit.to_owned(),
            service: service.map(|service| service.name.to_string()),
            settings: change
                .settings
                .filter(|_| action.starts())
                .map(str::to_owned),
            runs: change
                .runs
                .filter(|_| action == Action::Unchanged)
                .map(str::to_owned),
            action,
            why,
        }
    }

    fn socket(&self, service: &Service, unit: &str) -> UnitPlan {
        let bound_by_service = self.binds_directly(service);
        let takes_address = self.takes_address(service);
        let kind = UnitKind::Socket {
            bound_by_service,
            takes_address,
        };
        self.plan(unit, Some(service), kind)
    }

    fn service(&self, service: &Service, unit: &str) -> UnitPlan {
        let kind = if service.is_job() {
            let has_timer = service.timer.is_some();
            UnitKind::Job { has_timer }
        } else {
            UnitKind::Daemon {
                moves_address: self.moves_address(service),
                binds: self.binds(service, unit),
                overlap: self.overlap(service, unit),
            }
        };
        self.plan(unit, Some(service), kind)
    }

    fn state(&self, unit: &str) -> UnitState {
        let Observed {
            masked,
            active,
            failed,
            skipped,
            ..
        } = self.observed;
        if masked.contains(unit) {
            UnitState::Masked
        } else if failed.contains(unit) {
            UnitState::Failed
        } else if active.contains(unit) {
            UnitState::Active
        } else if skipped.contains(unit) {
            UnitState::Skipped
        } else {
            UnitState::Inactive
        }
    }

    /// What is new about a unit. A proxy restarts with its server.
    fn change(&self, unit: &str, service: Option<&Service>) -> Change<'_> {
        let server = service.map(|service| self.app.unit(service));
        let is_proxy = service.is_some_and(|one| self.app.proxy_unit(one) == unit);
        let server = server.filter(|server| is_proxy || server == unit);
        let has_changed = |unit: &str| self.changed_units.contains(unit);
        let compared = service.filter(|_| self.is_new_release && server.is_some());
        let compared = compared.map(|service| sameness(self.new, self.observed, service));
        let runs = match compared {
            Some(Sameness::Same(runs)) => Some(runs),
            _ => None,
        };
        let stale = server
            .as_ref()
            .and_then(|server| self.observed.stale.get(server));
        let required = service.into_iter().flat_map(|one| &one.requires);
        let mut required = required.filter_map(|unit| match unit {
            UnitRef::Own(name) => self.restarting.get(name.as_str()).copied(),
            UnitRef::Other(_) => None,
        });
        Change {
            required: required.next().filter(|_| server.is_some()),
            release: self.is_new_release && runs.is_none(),
            files: has_changed(unit)
                || server
                    .as_ref()
                    .is_some_and(|server| is_proxy && has_changed(server)),
            settings: stale.map(String::as_str),
            asked: server
                .as_ref()
                .is_some_and(|one| self.observed.asked.contains(one)),
            runs: runs.filter(|_| !is_proxy),
            is_built: matches!(compared, Some(Sameness::Built(_))),
            is_rebound: server.is_some()
                && service.is_some_and(|one| self.rebound.contains(one.name.as_str())),
        }
    }

    /// A proxy overlaps with its server, and has no entry of its own in that.
    fn overlap(&self, service: &Service, unit: &str) -> Overlap {
        if unit != self.app.unit(service) {
            return Overlap::No;
        }
        let live = self.observed.live.as_ref();
        let old = live.and_then(|live| live.app.service(service.name.as_str()));
        Overlap::of(self.observed, self.app, old, service, |socket| {
            self.observed.active.contains(socket) && !self.changed_units.contains(socket.as_str())
        })
    }

    /// A unit that runs or is to start, as a clause, and that cannot run at the same time as a unit of the service,
    /// which is down.
    fn conflict(&self, unit: &str, service: Option<&Service>) -> Option<String> {
        let active = &self.observed.active;
        let service = service.filter(|_| !active.contains(unit))?;
        let others = self.app.conflicting(service).into_iter();
        let others = others.filter(|other| !self.yielding.contains_key(other.name.as_str()));
        let mut clauses = others.filter_map(|other| {
            let units = self.app.units_of(other);
            let runs = units.iter().find(|unit| active.contains(*unit));
            let runs = runs.map(|unit| format!("`{unit}` runs"));
            let starts = || self.starting.get(other.name.as_str());
            runs.or_else(|| starts().map(|unit| format!("`{unit}` starts")))
        });
        clauses.next()
    }

    /// Who has had the addresses that the service binds itself.
    fn binds(&self, service: &Service, unit: &str) -> Binds {
        if service.socket != Socket::Direct || unit != self.app.unit(service) {
            Binds::No
        } else if self.takes_address(service) {
            Binds::FromOther
        } else if service.listen.is_empty() {
            Binds::No
        } else {
            Binds::Own
        }
    }

    /// Whether the service has an address that another service of the live release has.
    fn takes_address(&self, service: &Service) -> bool {
        let live = self
            .observed
            .live
            .iter()
            .flat_map(|live| &live.app.services);
        let others = live.filter(|one| one.name != service.name);
        let mut theirs = others.flat_map(|one| &one.listen);
        theirs.any(|one| service.listen.iter().any(|ours| ours.collides(one)))
    }

    /// Whether the service is active and binds its addresses itself until now.
    fn binds_directly(&self, service: &Service) -> bool {
        let live = self.observed.live.as_ref();
        let old = live.and_then(|live| live.app.service(service.name.as_str()));
        self.observed.active.contains(&self.app.unit(service))
            && old.is_some_and(|old| old.socket == Socket::Direct)
    }

    /// Whether the service binds an address itself that moves from or to another service. Then one
    /// must stop before the other starts, in a deploy and in a rollback.
    fn moves_address(&self, service: &Service) -> bool {
        let Some(live) = &self.observed.live else {
            return false;
        };
        let direct = |one: &&Service| one.socket == Socket::Direct;
        let old = live.app.service(service.name.as_str()).filter(direct);
        let new = Some(service).filter(direct);
        let collides_with_others = |own: Option<&Service>, others: &App| {
            let others = others.services.iter();
            let others = others.filter(|one| one.name != service.name);
            let mut addresses = others.flat_map(|one| &one.listen);
            let own = own.map_or(&[][..], |own| own.listen.as_slice());
            addresses.any(|theirs| own.iter().any(|ours| ours.collides(theirs)))
        };
        collides_with_others(old, self.app) || collides_with_others(new, &live.app)
    }
}
