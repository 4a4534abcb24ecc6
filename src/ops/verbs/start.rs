//! `start`: starts services of the live release and checks them. A job runs to its end.

use super::chosen::{Chosen, ServicesPlan, ServicesRequest, listed, writable_app};
use crate::app::{Name, Service, UnitRef};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::events::Subject;
use crate::health::Proof;
use crate::ops::attempt::AttemptKind;
use crate::ops::context::Context;
use crate::ops::outcome::{Changed, read_logs};
use crate::plan::{Action, Plan, UnitPlan};
use crate::session::Session;
use crate::store::Store;
use crate::transaction;
use anyhow::Result;
use std::collections::BTreeSet;

/// Shows what a start would do. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] as the start itself.
pub(crate) fn preview(ctx: &Context<'_>, request: &ServicesRequest) -> Result<ServicesPlan, Error> {
    super::chosen::preview(ctx, request, |store, name| {
        let (chosen, plan) = prepare(ctx, store, name, request)?;
        Ok(ServicesPlan {
            nothing: nothing(&chosen),
            plan,
        })
    })
}

/// Starts services and checks them.
///
/// # Errors
/// [`Kind::Unhealthy`] when one does not start or fails a check. What is up stays up.
pub(crate) fn apply(ctx: &Context<'_>, request: &ServicesRequest) -> Result<Changed, Error> {
    ctx.record_attempt(AttemptKind::Start, || {
        let writable = writable_app(ctx)?;
        ctx.change(&writable, "starting", request.wait, |session, _| {
            let prepared = prepare(ctx, session.store, writable.name(), request);
            let (chosen, plan) = prepared.nothing_changed()?;
            if plan.is_empty() {
                return Ok(Changed::Nothing(nothing(&chosen)));
            }
            run(session, &chosen, &plan)
        })
    })
}

fn nothing(chosen: &Chosen) -> String {
    match chosen.is_whole {
        true => format!("nothing to do: every service of `{}` runs", chosen.app.name),
        false => {
            let names = chosen.services().map(|one| chosen.app.unit(one));
            let names: Vec<String> = names.collect();
            let verb = if names.len() == 1 { "runs" } else { "run" };
            format!("nothing to do: {} {verb}", listed(&names))
        }
    }
}

fn prepare(
    ctx: &Context<'_>,
    store: &Store,
    name: &Name,
    request: &ServicesRequest,
) -> Result<(Chosen, Plan)> {
    let chosen = Chosen::read(ctx, store, name, request, "and it starts then")?;
    chosen.check_whole_release()?;
    chosen.check_unmasked()?;
    let started = started(&chosen);
    check_conflicts(&chosen, &started)?;
    let plan = chosen.plan_with(|unit, service| decide(&chosen, &started, unit, service));
    Ok((chosen, plan))
}

/// The short names of the services that start: those that the command means, and what they require. The whole app
/// means what is enabled and what someone has stopped.
fn started(chosen: &Chosen) -> BTreeSet<&str> {
    if !chosen.is_whole {
        return with_required(chosen, chosen.services().map(|one| one.name.as_str()));
    }
    let has = |service: &Service, set: &dyn Fn(&String) -> bool| {
        chosen.app.units_of(service).iter().any(set)
    };
    let is_stopped = |one: &&Service| has(one, &|unit| chosen.stopped.contains(unit));
    let is_enabled =
        |one: &&Service| one.enable || has(one, &|unit| chosen.observed.enabled.contains(unit));
    let stopped = chosen.services().filter(is_stopped);
    let mut all: Vec<&Service> = stopped.collect();
    // Of two that cannot run at the same time, the one starts that ran last. Later services come after it.
    all.sort_by_key(|one| !is_enabled(one));
    all.extend(chosen.services().filter(is_enabled));
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for service in all {
        let mut others = chosen.app.conflicting(service).into_iter();
        if !others.any(|other| taken.contains(other.name.as_str())) {
            taken.extend(with_required(chosen, [service.name.as_str()]));
        }
    }
    taken
}

/// Services, and what they require.
fn with_required<'a>(
    chosen: &'a Chosen,
    services: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut all: BTreeSet<&str> = services.into_iter().collect();
    loop {
        let services = all.iter().filter_map(|name| chosen.app.service(name));
        let required = services.flat_map(required);
        let next: BTreeSet<&str> = all.iter().copied().chain(required).collect();
        if next.len() == all.len() {
            return all;
        }
        all = next;
    }
}

fn required(service: &Service) -> impl Iterator<Item = &str> {
    service.requires.iter().filter_map(|unit| match unit {
        UnitRef::Own(name) => Some(name.as_str()),
        UnitRef::Other(_) => None,
    })
}

/// A unit of a service that is up.
fn unit_up(chosen: &Chosen, service: &Service) -> Option<String> {
    let mut units = chosen.app.units_of(service).into_iter();
    units.find(|unit| chosen.observed.active.contains(unit))
}

/// Refuses to start a named service whose start would stop another one that runs.
fn check_conflicts(chosen: &Chosen, started: &BTreeSet<&str>) -> Result<()> {
    if chosen.is_whole {
        return Ok(());
    }
    for service in started.iter().filter_map(|name| chosen.app.service(name)) {
        if unit_up(chosen, service).is_some() {
            continue;
        }
        for other in chosen.app.conflicting(service) {
            if unit_up(chosen, other).is_some() || started.contains(other.name.as_str()) {
                let (one, two) = (&service.name, &other.name);
                return fail(
                    format!("`{one}` and `{two}` conflict, and `{two}` runs"),
                    Hint::to(
                        format!("stop `{two}` first"),
                        CommandLine::sudo_robotctl(["stop", two.as_str()]),
                    ),
                );
            }
        }
    }
    Ok(())
}

/// What happens to a unit.
fn decide(
    chosen: &Chosen,
    started: &BTreeSet<&str>,
    unit: &UnitPlan,
    service: Option<&Service>,
) -> (Action, String) {
    let name = &unit.unit;
    let observed = &chosen.observed;
    let leave = |why: &str| (Action::Unchanged, why.to_owned());
    if observed.masked.contains(name) {
        return leave("masked by the administrator");
    }
    let Some(service) = service else {
        return match observed.active.contains(name) || !chosen.is_whole {
            true => leave("unchanged"),
            false => (Action::Start, "it starts the app at each boot".to_owned()),
        };
    };
    if !started.contains(service.name.as_str()) {
        return leave("unchanged");
    }
    let app = &chosen.app;
    let is_service = *name == app.unit(service);
    if service.is_job() && is_service && !is_named(chosen, service) {
        return leave("its timer starts it");
    }
    if is_reopened(chosen, service) && (is_service || app.socket_units(service).contains(name)) {
        let why = "its socket is down, and opens only while the service is down";
        let action = if is_service {
            Action::Start
        } else {
            Action::Rebind
        };
        return (action, why.to_owned());
    }
    if observed.active.contains(name) {
        return leave("it runs");
    }
    let mut others = app.conflicting(service).into_iter();
    if let Some(other) = others.find_map(|other| unit_up(chosen, other)) {
        return leave(&format!(
            "not started: it conflicts with `{other}`, which runs"
        ));
    }
    match chosen.means(service.name.as_str()) {
        true => (Action::Start, "as you asked".to_owned()),
        false => (Action::Start, "another service requires it".to_owned()),
    }
}

/// Whether the command line has the name of a service.
fn is_named(chosen: &Chosen, service: &Service) -> bool {
    !chosen.is_whole && chosen.means(service.name.as_str())
}

/// Whether the socket of a service is down while the service runs: systemd opens it only without the service.
fn is_reopened(chosen: &Chosen, service: &Service) -> bool {
    let is_up = |unit: &String| chosen.observed.active.contains(unit);
    let sockets = chosen.app.socket_units(service);
    is_up(&chosen.app.unit(service)) && !sockets.iter().all(is_up)
}

fn run(session: &Session<'_>, chosen: &Chosen, plan: &Plan) -> Result<Changed, Error> {
    let units = plan.units_with(&[Action::Start, Action::Rebind]);
    let mut stopped = chosen.stopped.clone();
    stopped.remove(&units);
    // Who starts one of two that cannot run at the same time chooses it.
    let started = units.iter().filter_map(|unit| chosen.app.service_of(unit));
    let others = started.flat_map(|service| chosen.app.conflicting(service));
    let others = others.flat_map(|other| chosen.app.units_of(other));
    stopped.remove(&others.collect::<Vec<_>>());
    let name = &chosen.app.name;
    stopped.save(&session.host.root, name).nothing_changed()?;
    let proof = Proof::of_good_release(chosen.unproved.clone());
    match transaction::start(session, plan, &chosen.app, &proof)? {
        Ok(()) => {
            let text = format!("started {}", listed(&units));
            session.emit("info", "started", Subject::release(&plan.to), &text);
            Ok(Changed::Done)
        }
        Err(failure) => {
            let message = format!("{name} is not healthy after the start: {failure}");
            let error = Error::new(Kind::Unhealthy, message);
            Err(error
                .hint("fix the cause, then repeat the command")
                .hint(read_logs(chosen.app.name.as_str())))
        }
    }
}
