//! The services that restart with the new value of a secret: those that use it, and what systemd restarts with them.

use crate::app::{App, Name, Service, UnitRef};
use crate::command_line::CommandLine;
use crate::doctor::ask_before;
use crate::error::{Error, Hint, fail};
use crate::health::are_met;
use crate::ops::context::Context;
use crate::ops::observe::observe;
use crate::ops::overlaps::LivePlan;
use crate::ops::preflight::{at_program_in, refuse};
use crate::plan::{Action, Candidate, Observed, Plan, plan};
use crate::prerequisites::PlannedChange;
use crate::session::Session;
use crate::settings::running_users;
use crate::store::Store;
use crate::transaction::Operation;
use crate::tree::FileTree;
use anyhow::Result;
use std::collections::BTreeSet;

/// A plan that restarts the users of a secret, and does nothing else.
pub(super) struct SecretRestart {
    app: App,
    tree: FileTree,
    plan: Plan,
    observed: Observed,
    secret: String,
}

/// Refuses a restart that cannot be made, before the value changes.
///
/// # Errors
/// What must be done first.
pub(super) fn check_can_restart(ctx: &Context<'_>, store: &Store, name: &Name) -> Result<()> {
    if ctx.host.is_offline() {
        return fail(
            "nothing runs below `--root`, so nothing can restart",
            "write the value without `--apply`: the services get it when they start",
        );
    }
    if let Some(service) = store.state()?.pins.keys().next() {
        let unit = format!("{name}-{service}.service");
        return fail(
            format!(
                "service `{service}` is pinned to another release, so no change can be checked"
            ),
            Hint::to(
                "leave out `--apply`, then restart what uses the secret yourself, such as",
                CommandLine::sudo(["systemctl", "restart", &unit]),
            ),
        );
    }
    Ok(())
}

impl SecretRestart {
    /// The plan for the services that run with an older value of the secret, or have failed; `None` when there is
    /// none.
    ///
    /// # Errors
    /// When the host cannot be read, or lacks something that a service needs to start.
    pub(super) fn plan(ctx: &Context<'_>, store: &Store, secret: &str) -> Result<Option<Self>> {
        let Some(live) = store.state()?.live else {
            return Ok(None);
        };
        let record = store.release(&live)?;
        let record = record.ok_or_else(|| store.missing_record(&live))?;
        let (app, tree) = (record.app()?, record.tree()?);
        let mut observed = observe(&ctx.host, store, &app, &tree)?;
        if let Some(wrong) = &observed.repair {
            return fail(
                format!("{wrong}, so no service can restart"),
                Hint::to(
                    "repair it first",
                    CommandLine::sudo_robotctl(["deploy", "--apply"]),
                ),
            );
        }
        observed.missing_secrets.clear();
        let users = running_users(&ctx.host, &app, secret)?.into_iter();
        let older = users.filter(|user| user.is_older);
        observed.stale = older
            .map(|user| (user.unit, format!("secret `{secret}`")))
            .collect();
        // Drift is for a deploy to judge, and this plan must not replace it.
        observed.files = tree
            .iter()
            .map(|(path, entry)| (path.to_owned(), entry.clone()))
            .collect();
        let candidate = Candidate {
            id: &live,
            app: &app,
            tree: &tree,
            payload: None,
        };
        let mut plan = plan(&candidate, &observed);
        keep_users(&mut plan, &app, secret, &|service| {
            are_met(&ctx.host, service)
        });
        if plan.units.iter().all(|unit| !unit.action.starts()) {
            return Ok(None);
        }
        let faults = ask_before(&PlannedChange {
            host: &ctx.host,
            app: &app,
            tree: &tree,
            plan: &plan,
            observed: &observed,
            in_release: &|rest| at_program_in(&ctx.host, &app, &live, rest),
            is_new: false,
            is_rollback: false,
        })?;
        refuse(&faults)?;
        // What is stopped stays so, and is not pre-checked either.
        let all = plan.units.iter().map(|one| one.unit.clone());
        observed.active.extend(all);
        Ok(Some(Self {
            app,
            tree,
            plan,
            observed,
            secret: secret.to_owned(),
        }))
    }

    /// The services that restart.
    pub(super) fn units(&self) -> Vec<String> {
        let units = self.plan.units.iter();
        let units = units.filter(|one| one.action.starts() && one.unit.ends_with(".service"));
        units.map(|one| one.unit.clone()).collect()
    }

    /// Pre-checks the services with the new value, and restarts them if they pass. If they fail after that, the
    /// previous value is restored.
    ///
    /// # Errors
    /// Its kind says what runs: after a pre-check that fails, no service has changed.
    pub(super) fn apply(&self, ctx: &Context<'_>, session: &Session<'_>) -> Result<(), Error> {
        let live = LivePlan {
            app: &self.app,
            tree: &self.tree,
            plan: &self.plan,
            observed: &self.observed,
        };
        let operation = Operation::NewSecret {
            name: self.secret.clone(),
        };
        live.apply(ctx, session, &operation).map(drop)
    }
}

/// Leaves only the users of a secret in a plan, and the services that systemd restarts with them (systemd.unit(5),
/// "Requires="). What is stopped stays so.
fn keep_users(plan: &mut Plan, app: &App, secret: &str, may_start: &dyn Fn(&Service) -> bool) {
    let mut kept = BTreeSet::new();
    // A service comes after those that it requires.
    for service in &app.services {
        let uses = service.secrets.iter().any(|name| name.as_str() == secret);
        let mut required = service.requires.iter();
        let follows = required.any(|unit| match unit {
            UnitRef::Own(name) => kept.contains(name.as_str()),
            UnitRef::Other(_) => false,
        });
        if (uses || follows) && may_start(service) {
            kept.insert(service.name.as_str());
        }
    }
    for unit in &mut plan.units {
        let service = unit.service.as_deref();
        let is_kept = service.is_some_and(|name| kept.contains(name));
        if !is_kept || matches!(unit.action, Action::Start | Action::Stop) {
            unit.action = Action::Unchanged;
            unit.settings = None;
        }
    }
    plan.warnings.clear();
}
