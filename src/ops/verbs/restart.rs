//! `restart`: services restart by overlap where they can, and otherwise while their socket holds requests.

use super::chosen::{Chosen, ServicesPlan, ServicesRequest, writable_app};
use crate::app::{Name, Service};
use crate::command_line::CommandLine;
use crate::doctor::ask_before;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::health::Proof;
use crate::host::{defer_signals, interrupted, interruptible};
use crate::ops::attempt::AttemptKind;
use crate::ops::context::Context;
use crate::ops::outcome::{Changed, ended};
use crate::ops::preflight::{at_program_in, refuse};
use crate::plan::{Action, Plan, UnitPlan};
use crate::prerequisites::PlannedChange;
use crate::session::Session;
use crate::store::Store;
use crate::transaction::{self, CallerInput, Operation};
use crate::transient::precheck::precheck;
use anyhow::Result;

/// Shows what a restart would do. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] as the restart itself.
pub(crate) fn preview(ctx: &Context<'_>, request: &ServicesRequest) -> Result<ServicesPlan, Error> {
    super::chosen::preview(ctx, request, |store, name| {
        let (chosen, plan) = prepare(ctx, store, name, request)?;
        Ok(ServicesPlan {
            nothing: nothing(&chosen),
            plan,
        })
    })
}

/// Restarts services, waits until they are healthy, and restores what ran if they are not.
///
/// # Errors
/// Its kind says what runs.
pub(crate) fn apply(ctx: &Context<'_>, request: &ServicesRequest) -> Result<Changed, Error> {
    ctx.record_attempt(AttemptKind::Restart, || {
        let writable = writable_app(ctx)?;
        ctx.change(&writable, "restarting", request.wait, |session, _| {
            let prepared = prepare(ctx, session.store, writable.name(), request);
            let (chosen, plan) = prepared.nothing_changed()?;
            if plan.is_empty() {
                return Ok(Changed::Nothing(nothing(&chosen)));
            }
            run(ctx, session, &chosen, &plan)
        })
    })
}

/// The plan of named services is never empty.
fn nothing(chosen: &Chosen) -> String {
    let name = chosen.app.name.as_str();
    let start = CommandLine::sudo_robotctl(["--app", name, "start"]);
    format!("nothing to do: no service of `{name}` runs; to start them: {start}")
}

fn prepare(
    ctx: &Context<'_>,
    store: &Store,
    name: &Name,
    request: &ServicesRequest,
) -> Result<(Chosen, Plan)> {
    let mut chosen = Chosen::read(ctx, store, name, request, "then restart it")?;
    chosen.check_whole_release()?;
    chosen.check_unmasked()?;
    if let Some(job) = chosen.services().find(|one| one.is_job())
        && !chosen.is_whole
    {
        return fail(
            format!("`{}` is a job, which runs and ends", job.name),
            Hint::to(
                "run it now",
                CommandLine::sudo_robotctl(["start", job.name.as_str()]),
            ),
        );
    }
    let daemons = chosen.services().filter(|one| !one.is_job());
    let asked = daemons.map(|service| chosen.app.unit(service)).collect();
    chosen.observed.asked = asked;
    let mut plan = chosen.plan();
    for unit in &mut plan.units {
        let service = unit.service.as_ref();
        let service = service.and_then(|name| chosen.app.service(name));
        (unit.action, unit.why) = decide(&chosen, unit, service);
    }
    let faults = ask_before(&PlannedChange {
        host: &ctx.host,
        app: &chosen.app,
        tree: &chosen.tree,
        plan: &plan,
        observed: &chosen.observed,
        in_release: &|rest| at_program_in(&ctx.host, &chosen.app, &plan.to, rest),
        is_new: false,
        is_rollback: false,
    })?;
    if !plan.is_empty() {
        refuse(&faults)?;
    }
    Ok((chosen, plan))
}

/// What happens to a unit. A service that is named starts if it is down; what the command does not mean restarts
/// only with what it requires.
fn decide(chosen: &Chosen, unit: &UnitPlan, service: Option<&Service>) -> (Action, String) {
    let is_up = chosen.observed.active.contains(&unit.unit);
    let is_masked = chosen.observed.masked.contains(&unit.unit);
    let is_meant = service.is_some_and(|one| chosen.means(one.name.as_str()) && !one.is_job());
    if !is_meant {
        let restarts = matches!(unit.action, Action::Restart | Action::Overlap);
        return match restarts && is_up {
            true => (unit.action, unit.why.clone()),
            false => (Action::Unchanged, "unchanged".to_owned()),
        };
    }
    if !is_up && !is_masked && !chosen.is_whole && unit.action == Action::Unchanged {
        return (Action::Start, "it is down".to_owned());
    }
    (unit.action, unit.why.clone())
}

fn run(
    ctx: &Context<'_>,
    session: &Session<'_>,
    chosen: &Chosen,
    plan: &Plan,
) -> Result<Changed, Error> {
    let guard = defer_signals();
    let tried = interruptible(|| pre_check(ctx, session, chosen, plan));
    if interrupted() {
        return Err(Error::new(Kind::Interrupted, "it was interrupted"));
    }
    let proof = tried.nothing_changed()?;
    let mut stopped = chosen.stopped.clone();
    let started: Vec<String> = plan.units_with(&[Action::Start]);
    stopped.remove(&started);
    stopped
        .save(&session.host.root, &chosen.app.name)
        .nothing_changed()?;
    let steps = CallerInput::none(proof);
    let (app, tree) = (&chosen.app, &chosen.tree);
    let outcome = transaction::apply(session, plan, app, tree, &Operation::Restart, &steps);
    drop(guard);
    let again = "fix the cause, then repeat the command";
    ended(session.host, plan, outcome.nothing_changed()?, again)
}

/// Tries the services that overlap with a second instance first: with settings that are broken now, the running
/// processes must go on. A service that is down or restarts with a gap has nothing to lose, or is restarted because
/// it does not work.
fn pre_check(
    ctx: &Context<'_>,
    session: &Session<'_>,
    chosen: &Chosen,
    plan: &Plan,
) -> Result<Proof> {
    let mut tried = plan.clone();
    for unit in &mut tried.units {
        // The instance would run the live release, and the service runs another one.
        let is_pinned = |name: &String| chosen.pinned.contains(name);
        if unit.action != Action::Overlap || unit.service.as_ref().is_some_and(is_pinned) {
            unit.action = Action::Unchanged;
        }
    }
    if tried.units_with(&[Action::Overlap]).is_empty() {
        return Ok(Proof::of_good_release(chosen.unproved.clone()));
    }
    // What is stopped stays so, and is not pre-checked either.
    let observed = crate::plan::Observed {
        active: tried.units.iter().map(|one| one.unit.clone()).collect(),
        low_memory: chosen.observed.low_memory.clone(),
        ..crate::plan::Observed::default()
    };
    precheck(
        session,
        &tried,
        &chosen.app,
        ctx.target(&chosen.app),
        &observed,
    )
}
