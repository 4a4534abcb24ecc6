//! Applying a plan: journal, switch, activate, check, commit.

use super::activate;
use super::commit::close;
use super::handover;
use super::health::check_health;
use super::operation::Operation;
use super::revert::{RevertOutcome, revert_change};
use super::switch;
use crate::app::App;
use crate::app::HostOverlay;
use crate::events::Subject;
use crate::failure::Failure;
use crate::health::{Proof, report_failure};
use crate::host::{self, Host, Systemd, UnitStatus};
use crate::plan::{Action, Plan};
use crate::session::Session;
use crate::settings::StartedServices;
use crate::store::{FORMAT, Journal, Mark, PublicRelease, State, Step, UnitChanges};
use crate::tree::FileTree;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How a change ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The new release is live and healthy.
    Done,
    /// The new release was not healthy. The host is as before.
    Reverted {
        /// What was wrong with it.
        why: String,
        /// What is wrong with the restored release, if anything: then you must act.
        degraded: Option<String>,
    },
    /// The new release was not healthy, and the host could not be restored. The journal is kept, and
    /// `recover` continues.
    RevertFailed {
        /// What was wrong with the release.
        why: String,
        /// Why the host could not be restored.
        wrong: String,
    },
    /// The new release is live and healthy, but its record could not be written. The journal is kept,
    /// and `recover` finishes the change.
    StateNotSaved(String),
}

/// What the caller adds to a change: hooks of the app, and what it knows of the release.
pub(crate) struct CallerInput<'a> {
    /// Runs before units start, once users and directories exist.
    pub(crate) before_start: &'a dyn Fn() -> Result<()>,
    /// Runs once the new release runs, before it is checked.
    pub(crate) after_start: &'a dyn Fn() -> Result<()>,
    /// What is known of the release before the switch.
    pub(crate) proof: Proof,
}

impl CallerInput<'_> {
    /// No hooks.
    pub(crate) fn none(proof: Proof) -> Self {
        Self {
            before_start: &|| Ok(()),
            after_start: &|| Ok(()),
            proof,
        }
    }
}

impl fmt::Debug for CallerInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerInput")
    }
}

/// A failure that is the fault of the release and not of the host. Only this marks the release as bad.
#[derive(Debug)]
struct UnhealthyRelease(Failure);

impl fmt::Display for UnhealthyRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for UnhealthyRelease {}

fn blame_release(failure: Failure) -> anyhow::Error {
    anyhow::Error::new(UnhealthyRelease(failure))
}

/// Takes the host to the release of a plan.
///
/// # Errors
/// When the change did not begin: nothing was changed. Every later failure is reverted and is an
/// [`Outcome`].
pub(crate) fn apply(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    tree: &FileTree,
    operation: &Operation,
    steps: &CallerInput<'_>,
) -> Result<Outcome> {
    let starts = plan.units.iter().any(|unit| unit.action.starts());
    let settings = starts.then(|| StartedServices::before(session.host, &app.layout));
    let outcome = change(session, plan, app, tree, operation, steps)?;
    if let Some(settings) = settings.flatten() {
        // Without a record, the times of the files and of the starts decide.
        let _ = settings.record(session.host, app);
    }
    Ok(outcome)
}

fn change(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    tree: &FileTree,
    operation: &Operation,
    steps: &CallerInput<'_>,
) -> Result<Outcome> {
    let known = session.store.public_release(&plan.to)?;
    let is_whole = matches!(operation, Operation::Deploy | Operation::Rollback);
    if let Some(overlay) = app.overlay.as_ref().filter(|_| is_whole) {
        session.store.set_overlay(&plan.to, overlay, tree)?;
    }
    let states = unit_states(session.host, plan, app, tree)?;
    let mut journal = journal(session, plan, app, operation, &states)?;
    if matches!(operation, Operation::Rollback | Operation::Pin { .. }) {
        session.store.release_reserve();
    }
    // The journal may exist although writing it failed. Nothing has changed, so it can go.
    let change = session.store.begin(&journal);
    let change = change.inspect_err(|_| drop(session.store.clear_journal()))?;
    let begun = (&journal, states.as_slice());
    let run = || forward(session, plan, app, tree, begun, operation, steps);
    let outcome = match operation {
        // After a rollback from a bad release, Ctrl-C must not bring that release back.
        Operation::Rollback | Operation::Pin { .. } => run(),
        Operation::Deploy | Operation::Fix | Operation::Restart | Operation::NewSecret { .. } => {
            host::interruptible(|| {
                run().map_err(|error| {
                    if host::interrupted() {
                        Failure::public("it was interrupted").into()
                    } else {
                        error
                    }
                })
            })
        }
    };
    let failure = match outcome.and_then(|proved| Ok((change.commit()?, proved))) {
        Ok((committed, proved)) => {
            let ended = committed.end().and_then(|()| {
                let is_whole = !matches!(operation, Operation::Pin { .. });
                if is_whole && !session.host.is_offline() {
                    // Without it, the next rollback watches these services for a shorter time.
                    let unproved = still_unproved(app, known.as_ref(), &proved);
                    let _ = session.store.set_unproved(&plan.to, unproved);
                }
                close(session, &journal)
            });
            return Ok(match ended {
                Ok(()) => Outcome::Done,
                Err(error) => Outcome::StateNotSaved(format!("{error:#}")),
            });
        }
        Err(failure) => failure,
    };
    let release = failure.downcast_ref::<UnhealthyRelease>();
    let release = release.map(|release| release.0.clone());
    let failure = release.clone().unwrap_or_else(|| Failure::of(&failure));
    // Before the host is as it was: what the new release met is still there.
    let of_release = release.is_some().then_some(app);
    let host_cause = report_failure(session, &plan.to, of_release, &failure);
    let mut why = failure.to_string();
    let unhealthy = release.filter(|_| host_cause.is_none());
    if let Some(cause) = host_cause {
        why = format!("{}: {why}", cause.what);
    }
    Ok(
        match revert_change(session, &mut journal, unhealthy.as_ref()) {
            RevertOutcome::Healthy => Outcome::Reverted {
                why,
                degraded: None,
            },
            RevertOutcome::Unhealthy(wrong) => Outcome::Reverted {
                why,
                degraded: Some(wrong),
            },
            RevertOutcome::Stuck(wrong) => Outcome::RevertFailed { why, wrong },
        },
    )
}

/// The units of the change as they are when it begins, asked once.
fn unit_states(host: &Host, plan: &Plan, app: &App, tree: &FileTree) -> Result<Vec<UnitStatus>> {
    if host.is_offline() {
        return Ok(Vec::new());
    }
    let mut units = match switch::begins_with_link(plan) {
        true => switch::units_of(tree),
        false => Vec::new(),
    };
    let more = handover::candidates(plan, app).into_iter();
    let more: Vec<String> = more.filter(|unit| !units.contains(unit)).collect();
    units.extend(more);
    host.systemd.show(&units)
}

/// Everything that the change will do, with how to undo it.
fn journal(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    operation: &Operation,
    states: &[UnitStatus],
) -> Result<Journal> {
    let (host, state) = (session.host, session.store.state()?);
    let mut after = state
        .clone()
        .after(&plan.to, *operation == Operation::Rollback);
    match operation {
        Operation::Pin { service, release } => {
            after.pins.insert(service.clone(), release.clone());
        }
        Operation::Deploy | Operation::Rollback => {
            after.pins.clear();
            after.overlay = app.overlay.as_ref().map(HostOverlay::digest);
        }
        Operation::Fix | Operation::Restart | Operation::NewSecret { .. } => {}
    }
    after.same_files = same_files(plan, &state);
    if state.live != after.live {
        after.since = Some(host::now().to_string());
    }
    after.change = Some(session.trace.clone());
    // Starting a unit that runs does nothing, and stopping it would not undo that.
    let mut started = plan.units_with(&[Action::Start]);
    let already = running(host, started.clone())?;
    started.retain(|unit| !already.contains(unit));
    Ok(Journal {
        format: FORMAT,
        trace_id: session.trace.clone(),
        operation: operation.word().to_owned(),
        step: Step::Switching,
        from: plan.from.clone(),
        link: match &plan.from {
            Some(_) => None,
            None => session.store.read_current_link()?,
        },
        to: Some(plan.to.clone()),
        files: plan.files.clone(),
        units: UnitChanges {
            stopped: running(host, plan.units_with(&[Action::Stop]))?,
            started,
            restarted: plan.units_with(&[Action::Restart, Action::Overlap, Action::Rebind]),
            kept: kept(plan).map(|(unit, _, _)| unit.to_owned()).collect(),
            rebound: plan.units_with(&[Action::Rebind]),
            handed_over: if host.is_offline() {
                Vec::new()
            } else {
                handover::planned(states, plan, app)
            },
        },
        is_of_settings: is_of_settings(plan),
        secrets: match operation {
            Operation::NewSecret { name } => vec![name.clone()],
            _ => Vec::new(),
        },
        purge: false,
        state_before: state,
        state_after: after,
    })
}

/// The services that the plan leaves on an earlier release with the same files: the unit, the short name, and
/// that release.
fn kept(plan: &Plan) -> impl Iterator<Item = (&str, &str, &String)> {
    plan.units.iter().filter_map(|unit| {
        let (service, runs) = (unit.service.as_ref()?, unit.runs.as_ref()?);
        Some((unit.unit.as_str(), service.as_str(), runs))
    })
}

/// The releases with the same files as the new one, by service. A service that restarts by itself before
/// the switch starts from the release that is live until then.
fn same_files(plan: &Plan, before: &State) -> BTreeMap<String, Vec<String>> {
    if plan.from.as_ref() == Some(&plan.to) {
        let mut same = before.same_files.clone();
        let restarted = plan.units.iter().filter(|unit| unit.action.starts());
        for service in restarted.filter_map(|unit| unit.service.as_ref()) {
            same.remove(service);
        }
        return same;
    }
    let with_live = |(_, service, runs): (&str, &str, &String)| {
        let live = plan.from.iter().filter(|live| *live != runs);
        let mut ids: Vec<String> = std::iter::once(runs).chain(live).cloned().collect();
        ids.retain(|id| *id != plan.to);
        (service.to_owned(), ids)
    };
    kept(plan).map(with_live).collect()
}

/// Whether the release stays, and services restart because their settings have changed.
fn is_of_settings(plan: &Plan) -> bool {
    let mut units = plan.units.iter();
    let has_changed = units.any(|unit| unit.settings.is_some()) || !plan.secrets.is_empty();
    let overlay = plan.overlay.as_ref();
    let is_of_overlay = overlay.is_some_and(|overlay| !overlay.changed.is_empty());
    plan.from.as_ref() == Some(&plan.to) && (has_changed || is_of_overlay)
}

/// Those of the units that run, and so must run again when the change is undone. A job that waits for
/// its timer and a unit that the administrator stopped do not.
pub(super) fn running(host: &Host, mut units: Vec<String>) -> Result<Vec<String>> {
    let states = host.systemd.show(&units)?;
    let mut active = states.iter().map(UnitStatus::is_active);
    units.retain(|_| active.next().unwrap_or(false));
    Ok(units)
}

/// The units of daemons that nothing has shown to work on a release, once those in `proved` have run on it.
/// `known` is its record before the change.
fn still_unproved(
    app: &App,
    known: Option<&PublicRelease>,
    proved: &BTreeSet<String>,
) -> BTreeSet<String> {
    let before = match known {
        Some(known) if known.mark == Mark::Good => known.unproved.clone(),
        _ => {
            let daemons = app.services.iter().filter(|one| one.is_daemon());
            daemons.map(|one| app.unit(one)).collect()
        }
    };
    before.difference(proved).cloned().collect()
}

/// From the journal to a healthy new release. Returns the units of the daemons that run and are healthy.
fn forward(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    tree: &FileTree,
    begun: (&Journal, &[UnitStatus]),
    operation: &Operation,
    steps: &CallerInput<'_>,
) -> Result<BTreeSet<String>> {
    let (host, journal) = (session.host, begun.0);
    let stopped = plan.units_with(&[Action::Stop]);
    stop_units(&host.systemd, &stopped)?;
    switch::files_forward(host, journal)?;
    switch::configure(session, app, tree, plan, begun)?;
    // A unit that failed while it stopped would be listed forever, without a file.
    host.systemd.reset_failed(&stopped);
    // A `before-switch` hook that fails does not mark the release, on a first deploy either.
    (steps.before_start)()?;
    switch::link(host, &app.layout, Some(&plan.to))?;
    let text = format!("`current` points at {}", plan.to);
    session.emit("info", "switched", Subject::release(&plan.to), &text);
    activate::activate_units(session, plan, app, &journal.units.handed_over)
        .map_err(|error| blame_release(Failure::of(&error)))?;
    (steps.after_start)().map_err(|error| blame_release(Failure::of(&error)))?;
    if host.is_offline() {
        return Ok(BTreeSet::new());
    }
    let state = &journal.state_after;
    let checked = check_health(session, plan, app, state, operation, &steps.proof)?;
    checked.map_err(blame_release)
}

/// Stops units before the switch. A service that stays and requires one of them goes on: it
/// restarts with its new requirements later, with its overlap.
fn stop_units(systemd: &Systemd, stopped: &[String]) -> Result<()> {
    let mut is_required = false;
    for unit in stopped {
        let others = systemd.restarted_with(unit)?;
        is_required |= others.iter().any(|one| !stopped.contains(one));
    }
    if !is_required {
        return systemd.stop(stopped);
    }
    systemd.stop_alone(stopped)
}
