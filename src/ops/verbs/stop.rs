//! `stop`: services end, with what could start them again and what still drains.

use super::chosen::{Chosen, ServicesPlan, ServicesRequest, listed, writable_app};
use crate::app::{Listen, Name, Service, UnitRef};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind};
use crate::events::Subject;
use crate::host::{PortUse, ProcessIdentity, UnitStatus, command_of, members};
use crate::ops::attempt::AttemptKind;
use crate::ops::context::Context;
use crate::ops::outcome::Changed;
use crate::plan::{Action, Plan};
use crate::session::Session;
use crate::store::Store;
use crate::transaction::draining_scopes;
use crate::units;
use anyhow::Result;
use std::collections::BTreeSet;

/// Shows what a stop would do. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] as the stop itself.
pub(crate) fn preview(ctx: &Context<'_>, request: &ServicesRequest) -> Result<ServicesPlan, Error> {
    super::chosen::preview(ctx, request, |store, name| {
        let (chosen, plan) = prepare(ctx, store, name, request)?;
        Ok(ServicesPlan {
            nothing: nothing(&chosen),
            plan,
        })
    })
}

/// Stops services. Returns when no process of theirs is left and their addresses are free.
///
/// # Errors
/// [`Kind::Degraded`] with what survives.
pub(crate) fn apply(ctx: &Context<'_>, request: &ServicesRequest) -> Result<Changed, Error> {
    ctx.record_attempt(AttemptKind::Stop, || {
        let writable = writable_app(ctx)?;
        ctx.change(&writable, "stopping", request.wait, |session, _| {
            let prepared = prepare(ctx, session.store, writable.name(), request);
            let (chosen, plan) = prepared.nothing_changed()?;
            run(session, &chosen, &plan)
        })
    })
}

fn nothing(chosen: &Chosen) -> String {
    let units = chosen.services().map(|one| chosen.app.unit(one));
    let units: Vec<String> = units.collect();
    match units.as_slice() {
        _ if chosen.is_whole => format!("nothing to do: {} is down", chosen.app.name),
        [unit] => format!("nothing to do: `{unit}` is down"),
        units => format!("nothing to do: {} are down", listed(units)),
    }
}

fn prepare(
    ctx: &Context<'_>,
    store: &Store,
    name: &Name,
    request: &ServicesRequest,
) -> Result<(Chosen, Plan)> {
    let chosen = Chosen::read(ctx, store, name, request, "there is nothing to stop now")?;
    let stopped = with_dependents(&chosen);
    let plan = chosen.plan_with(|unit, service| {
        let leave = |why: &str| (Action::Unchanged, why.to_owned());
        let observed = &chosen.observed;
        let is_up = observed.holding.contains(&unit.unit)
            || observed.active.contains(&unit.unit)
            || observed.failed.contains(&unit.unit);
        let Some(service) = service else {
            return match chosen.is_whole && is_up {
                true => (Action::Stop, "as you asked".to_owned()),
                false => leave("unchanged"),
            };
        };
        let name = service.name.as_str();
        match (stopped.contains(name), chosen.means(name)) {
            (false, _) => leave("unchanged"),
            (true, _) if !is_up => leave("it is down"),
            (true, true) => (Action::Stop, "as you asked".to_owned()),
            (true, false) => {
                let why = "it requires a service that stops, and would start that again";
                (Action::Stop, why.to_owned())
            }
        }
    });
    Ok((chosen, plan))
}

/// The short names of the services that stop: those that the command means, and those that require them. systemd
/// stops these too, and a request to their socket would start all of them again.
fn with_dependents(chosen: &Chosen) -> BTreeSet<&str> {
    let mut all: BTreeSet<&str> = chosen.services().map(|one| one.name.as_str()).collect();
    loop {
        let requires = |service: &&Service| {
            let mut required = service.requires.iter();
            required.any(|unit| matches!(unit, UnitRef::Own(name) if all.contains(name.as_str())))
        };
        let dependents = chosen.app.services.iter().filter(requires);
        let names = dependents.map(|one| one.name.as_str());
        let next: BTreeSet<&str> = all.iter().copied().chain(names).collect();
        if next.len() == all.len() {
            return all;
        }
        all = next;
    }
}

/// A process that ran in a unit.
struct Survivor {
    unit: String,
    process: ProcessIdentity,
}

fn run(session: &Session<'_>, chosen: &Chosen, plan: &Plan) -> Result<Changed, Error> {
    let (host, app) = (session.host, &chosen.app);
    let units = plan.units_with(&[Action::Stop]);
    let services = with_dependents(chosen);
    let services: Vec<&Service> = services.iter().filter_map(|one| app.service(one)).collect();
    let all: Vec<String> = services.iter().flat_map(|one| app.units_of(one)).collect();
    let scopes = draining_scopes(host, &all).nothing_changed()?;
    if units.is_empty() && scopes.is_empty() {
        return Ok(Changed::Nothing(nothing(chosen)));
    }
    let states = host.systemd.show(&[&all[..], &scopes].concat());
    let states = states.nothing_changed()?;
    let before = processes(&states);
    let mut stopped = chosen.stopped.clone();
    let was_up = states.iter().filter(|state| units.contains(&state.id));
    stopped.add(&was_up.collect::<Vec<_>>());
    stopped.save(&host.root, &app.name).nothing_changed()?;
    let mut ending = [&units[..], &scopes].concat();
    if chosen.is_whole {
        ending.push(units::slice_unit(app.name.as_str()));
    }
    let ended = host.systemd.stop_and_confirm(&ending);
    session.report_killed();
    // What had failed is stopped now, too.
    host.systemd.reset_failed(&units);
    let wrong = what_survives(session, chosen, &services, &before);
    if let Some(wrong) = wrong.or_else(|| ended.err().map(|error| format!("{error:#}"))) {
        let message = format!("{} is not stopped: {wrong}", app.name);
        return Err(Error::new(Kind::Degraded, message).hint(Hint::to(
            "see what each unit does",
            CommandLine::robotctl(["status"]),
        )));
    }
    let text = format!(
        "stopped {}: no process is left; a boot or `robotctl start` starts it again",
        listed(&[&units[..], &scopes].concat())
    );
    session.emit("info", "stopped", Subject::release(&plan.to), &text);
    Ok(Changed::Done)
}

fn processes(states: &[UnitStatus]) -> Vec<Survivor> {
    let mut out = Vec::new();
    for state in states {
        for process in members(state).into_iter().filter_map(ProcessIdentity::of) {
            let unit = state.id.clone();
            out.push(Survivor { unit, process });
        }
    }
    out
}

/// What is still there of services that were stopped, as a clause.
fn what_survives(
    session: &Session<'_>,
    chosen: &Chosen,
    services: &[&Service],
    before: &[Survivor],
) -> Option<String> {
    let mut alive = before.iter().filter(|one| one.process.is_running());
    if let Some(Survivor { unit, process }) = alive.next() {
        let (command, _) = command_of(process.pid);
        return Some(format!(
            "process {} (`{command}`) of `{unit}` still runs",
            process.pid
        ));
    }
    for service in services {
        let own = chosen.app.units_of(service);
        for address in service.listen.iter().filter_map(Listen::local_address) {
            let used = PortUse::of(&session.host.root, address.port(), &own, false);
            if used == PortUse::Own {
                return Some(format!("{address} of `{}` is still open", service.name));
            }
        }
    }
    None
}
