//! The services of the live release that a command names, or all of them.

use crate::app::{App, Hooks, Name, Service};
use crate::command_line::CommandLine;
use crate::error::{AS_ROOT, Claim as _, Error, Hint, fail};
use crate::host::is_root;
use crate::manifest::nearest;
use crate::ops::context::{Context, WritableApp};
use crate::ops::observe::observe;
use crate::plan::{Action, Candidate, Observed, Plan, UnitPlan, plan};
use crate::store::{StoppedUnits, Store};
use crate::tree::FileTree;
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::Duration;

/// What `restart`, `start` and `stop` are asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServicesRequest {
    /// The short names of the services; none for the whole app.
    pub(crate) services: Vec<String>,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

impl ServicesRequest {
    fn is_whole(&self) -> bool {
        self.services.is_empty()
    }
}

/// The live release, with the services of it that a command means.
pub(super) struct Chosen {
    pub(super) app: App,
    pub(super) tree: FileTree,
    pub(super) id: String,
    /// The host, without what a deploy of the live release would set right.
    pub(super) observed: Observed,
    pub(super) stopped: StoppedUnits,
    /// The units of the live release that nothing has shown to work.
    pub(super) unproved: BTreeSet<String>,
    /// Services that are pinned to a release of their own.
    pub(super) pinned: BTreeSet<String>,
    /// What keeps the live release from starting a service, if anything.
    pub(super) repair: Option<String>,
    /// Whether no service is named.
    pub(super) is_whole: bool,
    names: BTreeSet<String>,
}

impl Chosen {
    /// Reads the live release and finds the services. `then` says what the command would do with a live release.
    ///
    /// # Errors
    /// When no release is live or there is no such service.
    pub(super) fn read(
        ctx: &Context<'_>,
        store: &Store,
        name: &Name,
        request: &ServicesRequest,
        then: &str,
    ) -> Result<Self> {
        let state = store.state()?;
        let Some(id) = state.live.clone() else {
            return ctx.nothing_live(name, then);
        };
        let record = store.release(&id)?;
        let record = record.ok_or_else(|| store.missing_record(&id))?;
        let (app, tree) = (record.app()?, record.tree()?);
        let mut names = BTreeSet::new();
        for typed in &request.services {
            names.insert(service_named(&app, typed)?.name.to_string());
        }
        if request.is_whole() {
            names.extend(visible(&app).map(|one| one.name.to_string()));
        }
        let mut observed = observe(&ctx.host, store, &app, &tree)?;
        let repair = observed.repair.take();
        // None of this changes.
        observed.files = tree
            .iter()
            .map(|(path, entry)| (path.to_owned(), entry.clone()))
            .collect();
        observed.access = None;
        observed.pinned.clear();
        observed.stale.clear();
        observed.missing.clear();
        observed.missing_secrets.clear();
        Ok(Self {
            stopped: StoppedUnits::read(&ctx.host.root, name),
            unproved: record.public.unproved,
            pinned: state.pins.into_keys().collect(),
            is_whole: request.is_whole(),
            app,
            tree,
            id,
            observed,
            repair,
            names,
        })
    }

    /// The services that the command means.
    pub(super) fn services(&self) -> impl Iterator<Item = &Service> {
        let all = self.app.services.iter();
        all.filter(|one| self.names.contains(one.name.as_str()))
    }

    /// Whether the command means a service.
    pub(super) fn means(&self, service: &str) -> bool {
        self.names.contains(service)
    }

    /// What a deploy of the live release would do with units, and nothing else.
    pub(super) fn plan(&self) -> Plan {
        let candidate = Candidate {
            id: &self.id,
            app: &self.app,
            tree: &self.tree,
            payload: None,
        };
        let mut plan = plan(&candidate, &self.observed);
        plan.warnings.clear();
        plan.rights.clear();
        plan.notes.clear();
        plan
    }

    /// The same, with these actions and reasons: `decide` gets each unit and the service that it belongs to.
    pub(super) fn plan_with(
        &self,
        decide: impl Fn(&UnitPlan, Option<&Service>) -> (Action, String),
    ) -> Plan {
        let mut plan = self.plan();
        for unit in &mut plan.units {
            let service = unit.service.as_ref();
            let service = service.and_then(|name| self.app.service(name));
            (unit.action, unit.why) = decide(unit, service);
        }
        plan
    }

    /// Refuses a masked unit of a named service.
    ///
    /// # Errors
    /// With the unit.
    pub(super) fn check_unmasked(&self) -> Result<()> {
        let named = self.services().filter(|_| !self.is_whole);
        let mut units = named.flat_map(|service| self.app.units_of(service));
        match units.find(|unit| self.observed.masked.contains(unit)) {
            Some(unit) => fail(
                format!("`{unit}` is masked, so systemd does not start it"),
                Hint::to(
                    "if it should run",
                    CommandLine::sudo(["systemctl", "unmask", &unit]),
                ),
            ),
            None => Ok(()),
        }
    }

    /// Refuses a live release whose directory or link is wrong: no service could start from it.
    ///
    /// # Errors
    /// With what is wrong.
    pub(super) fn check_whole_release(&self) -> Result<()> {
        match &self.repair {
            Some(wrong) => fail(
                format!("{wrong}, so no service can start"),
                Hint::to(
                    "deploy it again",
                    CommandLine::sudo_robotctl(["deploy", "--apply"]),
                ),
            ),
            None => Ok(()),
        }
    }
}

/// The services of an app that a person has written.
fn visible(app: &App) -> impl Iterator<Item = &Service> {
    let services = app.services.iter();
    services.filter(|one| !one.name.as_str().ends_with(Hooks::SUFFIX))
}

/// The service with a short name. The name of its unit is one, too.
///
/// # Errors
/// With the nearest name.
pub(in crate::ops) fn service_named<'a>(app: &'a App, typed: &str) -> Result<&'a Service> {
    let found = app.service(typed);
    let found = found.or_else(|| {
        let mut all = visible(app);
        all.find(|one| app.units_of(one).iter().any(|unit| unit == typed))
    });
    if let Some(service) = found {
        return Ok(service);
    }
    let names: Vec<&str> = visible(app).map(|one| one.name.as_str()).collect();
    let message = format!("`{}` has no service `{typed}`", app.name);
    match nearest(typed, &names) {
        Some(name) => fail(message, format!("do you mean `{name}`?")),
        None => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            fail(message, format!("its services are {}", names.join(", ")))
        }
    }
}

/// The app of a command that acts on services, which run on this host only.
///
/// # Errors
/// [`crate::error::Kind::Refused`] without root, without the app, and below `--root`.
pub(super) fn writable_app(ctx: &Context<'_>) -> Result<WritableApp, Error> {
    let find = || -> Result<WritableApp> {
        check_running_host(ctx)?;
        let name = ctx.selected_app()?;
        ctx.check_privileges()?;
        ctx.check_deployed(&name)?;
        ctx.check_app_writable(&name)
    };
    find().nothing_changed()
}

/// What `restart`, `start` or `stop` would do.
#[derive(Debug)]
pub(crate) struct ServicesPlan {
    /// The plan.
    pub(crate) plan: Plan,
    /// What to say when the plan is empty.
    pub(crate) nothing: String,
}

/// The plan of a command, and what `prepare` refuses. Nothing changes.
///
/// # Errors
/// [`crate::error::Kind::Refused`], as the command itself.
pub(super) fn preview(
    ctx: &Context<'_>,
    request: &ServicesRequest,
    prepare: impl FnOnce(&Store, &Name) -> Result<ServicesPlan>,
) -> Result<ServicesPlan, Error> {
    let look = || -> Result<ServicesPlan> {
        check_running_host(ctx)?;
        let name = ctx.selected_app()?;
        if !is_root() {
            return fail(format!("only root can read the units of `{name}`"), AS_ROOT);
        }
        ctx.check_deployed(&name)?;
        let writable = ctx.check_app_writable(&name)?;
        ctx.check_preview(&writable, request.wait)?;
        prepare(&ctx.store(&name), &name)
    };
    look().nothing_changed()
}

fn check_running_host(ctx: &Context<'_>) -> Result<()> {
    if ctx.host.is_offline() {
        return fail(
            "nothing runs below `--root`",
            "repeat the command on the host itself, without `--root`",
        );
    }
    ctx.check_host()
}

/// Units as a list in a sentence.
pub(super) fn listed(units: &[String]) -> String {
    let units: Vec<String> = units.iter().map(|unit| format!("`{unit}`")).collect();
    units.join(", ")
}
