//! The services of the live release that can restart by overlap now, without any other change.

use super::context::Context;
use super::draining::draining;
use super::observe::observe;
use super::outcome::{Changed, ended};
use super::preflight::{at_program_in, refuse};
use crate::app::{App, Service, UnitRef};
use crate::doctor::ask_before;
use crate::error::{Claim as _, Error, Kind};
use crate::health::are_met;
use crate::host::{Host, UnitStatus, defer_signals, interrupted, interruptible};
use crate::plan::{Action, Candidate, Observed, Plan, UnitPlan, plan};
use crate::prerequisites::PlannedChange;
use crate::session::Session;
use crate::store::{State, Store};
use crate::transaction::{self, CallerInput, MAX_DRAINING, Operation};
use crate::transient::precheck::precheck;
use crate::tree::FileTree;
use anyhow::Result;
use std::collections::BTreeSet;

/// A plan that restarts services of the live release by overlap, and does nothing else.
pub(super) struct Overlaps {
    app: App,
    tree: FileTree,
    plan: Plan,
    observed: Observed,
    /// The units of these services.
    pub(super) units: BTreeSet<String>,
}

impl Overlaps {
    /// The plan for every service that is stale and can overlap; `None` when there is none, or when another
    /// change must come first.
    ///
    /// # Errors
    /// When the host or a record cannot be read.
    pub(super) fn plan(ctx: &Context<'_>, store: &Store) -> Result<Option<Self>> {
        let state = store.state()?;
        let Some(live) = state.live.as_ref().filter(|_| state.pins.is_empty()) else {
            return Ok(None);
        };
        let Some(record) = store.release(live)? else {
            return Ok(None);
        };
        let (app, tree) = (record.app()?, record.tree()?);
        let mut observed = observe(&ctx.host, store, &app, &tree)?;
        let is_incomplete = observed.repair.is_some()
            || observed.access.is_some()
            || !observed.missing.is_empty()
            || !observed.missing_secrets.is_empty();
        if is_incomplete {
            return Ok(None);
        }
        // What differs there is judged file by file, and this plan must not replace it.
        observed.files = tree
            .iter()
            .map(|(path, entry)| (path.to_owned(), entry.clone()))
            .collect();
        add_other_releases(&app, &state, &mut observed);
        let candidate = Candidate {
            id: live,
            app: &app,
            tree: &tree,
            payload: None,
        };
        let mut plan = plan(&candidate, &observed);
        let mut busy = busy(ctx, &app)?;
        busy.extend(required_by_others(&ctx.host, &app, &plan)?);
        let units = keep_overlaps(&mut plan, &app, &|service| {
            !busy.contains(&app.unit(service)) && are_met(&ctx.host, service)
        });
        if units.is_empty() || runs_another_release(&app, &observed, &state, &units) {
            return Ok(None);
        }
        if is_refused(ctx, &app, &tree, &plan, &observed)? {
            return Ok(None);
        }
        // What is stopped stays so, and is not pre-checked either.
        let all = plan.units.iter().map(|one| one.unit.clone());
        observed.active.extend(all);
        Ok(Some(Self {
            app,
            tree,
            plan,
            observed,
            units,
        }))
    }

    /// Pre-checks the services with their new settings, and restarts them if they pass.
    ///
    /// # Errors
    /// Its kind says what runs: after a pre-check that fails, nothing was changed.
    pub(super) fn apply(self, ctx: &Context<'_>, session: &Session<'_>) -> Result<Changed, Error> {
        let live = LivePlan {
            app: &self.app,
            tree: &self.tree,
            plan: &self.plan,
            observed: &self.observed,
        };
        live.apply(ctx, session, &Operation::Fix)
    }
}

/// A plan that restarts services of the live release.
pub(super) struct LivePlan<'a> {
    pub(super) app: &'a App,
    pub(super) tree: &'a FileTree,
    pub(super) plan: &'a Plan,
    pub(super) observed: &'a Observed,
}

impl LivePlan<'_> {
    /// Pre-checks the services with their new settings, and restarts them if they pass.
    ///
    /// # Errors
    /// Its kind says what runs: after a pre-check that fails, nothing was changed.
    pub(super) fn apply(
        &self,
        ctx: &Context<'_>,
        session: &Session<'_>,
        operation: &Operation,
    ) -> Result<Changed, Error> {
        let Self {
            app,
            tree,
            plan,
            observed,
        } = self;
        let guard = defer_signals();
        let tried = interruptible(|| precheck(session, plan, app, ctx.target(app), observed));
        if interrupted() {
            return Err(Error::new(Kind::Interrupted, "it was interrupted"));
        }
        let proof = tried.nothing_changed()?;
        let steps = CallerInput::none(proof);
        let outcome = transaction::apply(session, plan, app, tree, operation, &steps);
        drop(guard);
        // An error means that the change did not begin.
        let again = "fix the cause, then repeat the command";
        ended(session.host, plan, outcome.nothing_changed()?, again)
    }
}

/// Leaves only the restarts by overlap in a plan, and gives the units of their services. A service stays
/// if each service that requires it overlaps, too: systemd restarts those with it (systemd.unit(5),
/// "Requires="). `may_restart` says what else prevents it.
fn keep_overlaps(
    plan: &mut Plan,
    app: &App,
    may_restart: &dyn Fn(&Service) -> bool,
) -> BTreeSet<String> {
    let is = |unit: &str, test: &dyn Fn(&UnitPlan) -> bool| {
        let mut units = plan.units.iter();
        units.any(|one| one.unit == unit && test(one))
    };
    let overlaps = |service: &&Service| {
        // One that restarts only because another one does is not stale.
        let is_stale = |one: &UnitPlan| one.action == Action::Overlap && one.settings.is_some();
        // A process that fails with the new settings cannot be replaced by the old one for ever.
        is(&app.unit(service), &is_stale) && service.pre_check && may_restart(service)
    };
    let mut kept: Vec<&Service> = app.services.iter().filter(overlaps).collect();
    loop {
        let is_kept = |service: &Service| kept.iter().any(|one| one.name == service.name);
        let is_required = |service: &Service| {
            let mut others = app.services.iter().filter(|other| !is_kept(other));
            others.any(|other| {
                let starts = is(&app.unit(other), &|one| one.action.starts());
                starts && requires(other, service)
            })
        };
        let next: Vec<&Service> = kept
            .iter()
            .copied()
            .filter(|one| !is_required(one))
            .collect();
        if next.len() == kept.len() {
            break;
        }
        kept = next;
    }
    let names: BTreeSet<String> = kept.iter().map(|one| one.name.to_string()).collect();
    let units = kept.iter().map(|one| app.unit(one)).collect();
    for unit in &mut plan.units {
        let is_kept = unit
            .service
            .as_ref()
            .is_some_and(|name| names.contains(name));
        if !is_kept {
            unit.action = Action::Unchanged;
            unit.settings = None;
        }
    }
    plan.warnings.clear();
    units
}

/// The units of which so many previous releases drain that a further one would end the connections of the
/// oldest.
fn busy(ctx: &Context<'_>, app: &App) -> Result<BTreeSet<String>> {
    let units: Vec<String> = app.services.iter().map(|one| app.unit(one)).collect();
    let drain = draining(&ctx.host, app.name.as_str(), &units)?;
    let count = |unit: &String| drain.iter().filter(|one| one.unit == *unit).count();
    let all = units.into_iter();
    Ok(all.filter(|unit| count(unit) >= MAX_DRAINING).collect())
}

/// The units that would overlap and that a unit of something else requires, which runs: systemd restarts
/// that with a gap.
fn required_by_others(host: &Host, app: &App, plan: &Plan) -> Result<BTreeSet<String>> {
    let services = app.services.iter();
    let own: BTreeSet<String> = services.flat_map(|one| app.units_of(one)).collect();
    let mut required = BTreeSet::new();
    for unit in plan.units_with(&[Action::Overlap]) {
        let mut others = host.systemd.restarted_with(&unit)?;
        others.retain(|other| !own.contains(other));
        let states = host.systemd.show(&others)?;
        if !states.iter().all(UnitStatus::is_down) {
            required.insert(unit);
        }
    }
    Ok(required)
}

fn requires(service: &Service, other: &Service) -> bool {
    let mut required = service.requires.iter();
    required.any(|unit| matches!(unit, UnitRef::Own(name) if *name == other.name))
}

/// Adds the services that run another release than they may to the stale ones.
fn add_other_releases(app: &App, state: &State, observed: &mut Observed) {
    for service in &app.services {
        let unit = app.unit(service);
        let runs = observed.runs.get(&unit);
        if runs.is_some_and(|release| !state.may_run(service.name.as_str(), release)) {
            let why = "the release".to_owned();
            observed.stale.entry(unit).or_insert(why);
        }
    }
}

/// Whether a service that does not restart runs a release that it may not run: the checks after the restart
/// would fail because of it.
fn runs_another_release(
    app: &App,
    observed: &Observed,
    state: &State,
    restarted: &BTreeSet<String>,
) -> bool {
    app.services.iter().any(|service| {
        let unit = app.unit(service);
        let runs = observed.runs.get(&unit);
        let is_other = |release: &String| !state.may_run(service.name.as_str(), release);
        runs.is_some_and(is_other) && !restarted.contains(&unit)
    })
}

/// Whether the host lacks something that a service needs to start.
fn is_refused(
    ctx: &Context<'_>,
    app: &App,
    tree: &FileTree,
    plan: &Plan,
    observed: &Observed,
) -> Result<bool> {
    let faults = ask_before(&PlannedChange {
        host: &ctx.host,
        app,
        tree,
        plan,
        observed,
        in_release: &|rest| at_program_in(&ctx.host, app, &plan.to, rest),
        is_new: false,
        is_rollback: false,
    })?;
    Ok(refuse(&faults).is_err())
}

#[cfg(test)]
mod tests {
    use super::{add_other_releases, keep_overlaps};
    use crate::app::{App, Target};
    use crate::manifest::parse;
    use crate::plan::{Action, Candidate, LiveRelease, Observed, Plan, plan};
    use crate::render::render;
    use crate::store::State;
    use std::collections::BTreeSet;

    const MANIFEST: &str = r#"
[app]
name = "shop"
version = "1.0"
[service.api]
exec = ["{current}/api"]
listen = ["127.0.0.1:8080"]
[service.web]
exec = ["{current}/web"]
listen = ["127.0.0.1:8081"]
requires = ["api"]
[service.worker]
exec = ["{current}/worker"]
[service.unproved]
exec = ["{current}/unproved"]
listen = ["127.0.0.1:8083"]
pre-check = false
[service.busy]
exec = ["{current}/busy"]
listen = ["127.0.0.1:8084"]
[service.queue]
exec = ["{current}/queue"]
listen = ["127.0.0.1:8082"]
[service.mailer]
exec = ["{current}/mailer"]
requires = ["queue"]
"#;
    const LIVE: &str = "1.0-0123456789ab";

    fn app() -> App {
        App::from_manifest(&parse(MANIFEST).unwrap(), None).unwrap()
    }

    /// What restarts when these services are stale.
    fn kept(stale: &[&str]) -> (BTreeSet<String>, Plan) {
        let (app, live) = (app(), app());
        let tree = render(&app, Target::Portable).unwrap();
        let all = app.services.iter().flat_map(|one| app.units_of(one));
        let entries = tree.iter();
        let observed = Observed {
            active: all.collect(),
            files: entries
                .map(|(path, entry)| (path.to_owned(), entry.clone()))
                .collect(),
            stale: stale
                .iter()
                .map(|name| (format!("shop-{name}.service"), "`A`".to_owned()))
                .collect(),
            live: Some(LiveRelease {
                id: LIVE.to_owned(),
                origin: String::new(),
                tree: tree.clone(),
                app: live,
                payload: None,
            }),
            ..Observed::default()
        };
        let candidate = Candidate {
            id: LIVE,
            app: &app,
            tree: &tree,
            payload: None,
        };
        let mut plan = plan(&candidate, &observed);
        let units = keep_overlaps(&mut plan, &app, &|one| one.name.as_str() != "busy");
        (units, plan)
    }

    #[test]
    fn only_stale_services_that_overlap_and_interrupt_no_other_restart() {
        for (stale, restarted) in [
            (&["web"][..], &["web"][..]),
            (&["worker"], &[]),
            (&["unproved"], &[]),
            (&["busy"], &[]),
            (&["web", "worker"], &["web"]),
            // A worker without a socket restarts with what it requires.
            (&["queue"], &[]),
            (&["queue", "mailer", "web"], &["web"]),
            // This one overlaps, too, but it is not stale: the restart takes it along.
            (&["api"], &[]),
            (&["api", "web"], &["api", "web"]),
        ] {
            let (units, plan) = kept(stale);
            let wanted = restarted.iter().map(|name| format!("shop-{name}.service"));
            let wanted: Vec<String> = wanted.collect();
            assert_eq!(
                units.iter().cloned().collect::<Vec<_>>(),
                wanted,
                "{stale:?}"
            );
            assert_eq!(plan.units_with(&[Action::Overlap]), wanted, "{stale:?}");
            let others = [Action::Start, Action::Stop, Action::Restart, Action::Rebind];
            assert!(plan.units_with(&others).is_empty(), "{stale:?}");
            assert!(plan.files.is_empty());
        }
    }

    #[test]
    fn a_process_of_another_release_is_stale_unless_its_files_are_the_same() {
        let app = app();
        let state = State {
            live: Some(LIVE.to_owned()),
            same_files: [("web".to_owned(), vec!["0.9-0".to_owned()])].into(),
            ..State::default()
        };
        let mut observed = Observed {
            runs: [("api", "0.9-0"), ("web", "0.9-0"), ("worker", LIVE)]
                .map(|(name, id)| (format!("shop-{name}.service"), id.to_owned()))
                .into(),
            ..Observed::default()
        };
        add_other_releases(&app, &state, &mut observed);
        let units: Vec<&String> = observed.stale.keys().collect();
        assert_eq!(units, ["shop-api.service"]);
    }
}
