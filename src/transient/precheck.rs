//! The pre-check: second instances of services start on a new release before anything live is touched.
//!
//! An instance has the real sandbox and an address of its own: a private port or socket when systemd
//! passes the listener, a network namespace when the service binds its own address. It must start,
//! pass its checks and stay up for the settle time, so that a release that crashes after two seconds
//! never gets a request.

use super::alone::after_failed_pre_check;
use super::drop_ins::local_drop_ins;
use super::unit::TransientUnit;
use crate::app::{AbsPath, App, Listen, PRE_CHECK_SUFFIX, Service, Socket, Target};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::events::Subject;
use crate::failure::Failure;
use crate::health::{
    Proof, Verdict, are_met, cause_failure, check_service, explained, settle, settle_time,
    still_answers, unmet_in_words, warn_unchecked,
};
use crate::host::{self, Host, Stopwatch, UnitStatus, in_network_of};
use crate::plan::{Action, Observed, Plan};
use crate::render::{ReleaseMount, derive, precheck as instance_files};
use crate::session::Session;
use crate::tree::Entry;
use crate::units::RUNTIME_UNIT_DIR;
use anyhow::{Context as _, Result, anyhow};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The longest settle time of a pre-check.
const MAX_SETTLE: Duration = Duration::from_secs(10);

/// A second instance of a service.
pub(super) struct PreCheckInstance<'a> {
    /// The service as the manifest defines it.
    service: &'a Service,
    /// The service as it is pre-checked.
    copy: Service,
}

/// An error, with the index of the instance that caused it.
type InstanceError = (usize, anyhow::Error);

/// Pre-checks every service that the plan would take to the new release and that may run twice, also
/// services that the administrator has stopped. All instances start, pass their checks and stay up
/// together for the settle time, which is not repeated after the switch. `observed` is what the plan
/// was made from.
///
/// # Errors
/// [`HintedError`] with what the new release did. Nothing live was touched.
pub(crate) fn precheck(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    target: Target,
    observed: &Observed,
) -> Result<Proof> {
    if session.host.is_offline() || plan.from.is_none() {
        return Ok(Proof::default());
    }
    let instances = select_instances(session, plan, app, observed)?;
    if instances.is_empty() {
        return Ok(Proof::default());
    }
    let units = instances
        .iter()
        .map(|one| one.unit(session.host, app, (target, &plan.to), None))
        .collect::<Result<Vec<TransientUnit<'_>>>>()?;
    TransientUnit::put_all(session.host, &units)?;
    let checked = run_instances(session, app, &instances, &units);
    let checked = checked.map_err(|(at, error)| {
        let log = units
            .get(at)
            .map(TransientUnit::run_log)
            .unwrap_or_default();
        let service = instances.get(at).map(|one| one.service);
        let run = (service, ReleaseMount::Pinned(&plan.to));
        let message = format!(
            "{} failed its pre-check, and what is live did not change: service `{}`: {}",
            plan.to,
            service.map_or("", |service| service.name.as_str()),
            explained(session.host, app, run, Failure::of(&error), &log)
        );
        let hints = after_failed_pre_check((app, target), service, &log.program);
        HintedError { message, hints }
    });
    if let Err(error) = TransientUnit::remove_all(session.host, &units) {
        let cause = checked
            .err()
            .map(|why| format!("; the pre-check also failed: {why}"));
        let message = format!(
            "the units of the pre-check of {} could not be removed: {error:#}{}",
            plan.to,
            cause.unwrap_or_default()
        );
        let hint = Hint::to(
            "when systemd can stop units again",
            CommandLine::sudo_robotctl(["recover"]),
        );
        return Err(HintedError::new(message, hint).into());
    }
    let verdicts = checked?;
    for verdict in &verdicts {
        let subject = Subject {
            release: Some(&plan.to),
            unit: Some(&verdict.unit),
        };
        let text = format!("pre-check: {}, {} ms", verdict.check, verdict.millis);
        session.emit("info", "pre-checked", subject, &text);
    }
    let watched = instances.iter().map(|one| app.unit(one.service));
    Ok(Proof::of_pre_check(watched, watch_time(&instances)))
}

/// The instances to start. Emits a warning for each service that should be pre-checked and cannot be.
fn select_instances<'a>(
    session: &Session<'_>,
    plan: &Plan,
    app: &'a App,
    observed: &Observed,
) -> Result<Vec<PreCheckInstance<'a>>> {
    let mut instances = Vec::new();
    for service in &app.services {
        let unit = app.unit(service);
        let is_down = !observed.active.contains(&unit) && !observed.masked.contains(&unit);
        let is_stopped = service.is_daemon() && is_down && plan.leaves(&unit);
        let is_affected = is_stopped || (service.pre_check && is_restarted(plan, &unit));
        if !is_affected {
            continue;
        }
        // systemd unloads an instance that it does not start, and then nothing says why.
        if !are_met(session.host, service) {
            let why = unmet_in_words(&service.conditions);
            let message = format!("`{unit}` is not pre-checked: {why}");
            let subject = Subject::release(&plan.to);
            session.emit("info", "not-pre-checked", subject, &message);
            continue;
        }
        if service.pre_check {
            let Some(why) = obstacle(session.host, app, service, observed)? else {
                instances.push(PreCheckInstance::new(app, service)?);
                continue;
            };
            let message = format!("`{unit}` is not pre-checked: {why}");
            let subject = Subject::release(&plan.to);
            session.emit("warning", "not-pre-checked", subject, &message);
        }
        if is_stopped {
            warn_unchecked(session, &plan.to, &unit);
        }
    }
    Ok(instances)
}

/// Whether the plan restarts a unit on the new release.
fn is_restarted(plan: &Plan, unit: &str) -> bool {
    let mut units = plan.units.iter();
    units.any(|one| {
        let restarts = [Action::Overlap, Action::Restart, Action::Rebind];
        one.unit == unit && restarts.contains(&one.action)
    })
}

/// Why a second instance of a service cannot run now.
fn obstacle(
    host: &Host,
    app: &App,
    service: &Service,
    observed: &Observed,
) -> Result<Option<String>> {
    if let Some(why) = observed.low_memory.get(&app.unit(service)) {
        return Ok(Some(why.clone()));
    }
    if let Some(live) = &observed.live
        && changes_directories(&live.app, app, service)
    {
        let dirs = app.directories(service).into_iter();
        let dirs: Vec<String> = dirs.map(|(_, path)| format!("`{path}`")).collect();
        return Ok(Some(format!(
            "the release gives {} another group or mode, and the live services use them",
            dirs.join(" and ")
        )));
    }
    let owner = other_state_owner(host, app, service)?;
    Ok(owner.map(|owner| {
        let state = app.layout.state();
        format!("`{state}` still belongs to {owner}, and a second instance would change its owner")
    }))
}

/// Whether systemd would change the directories of the live release when the service starts.
fn changes_directories(live: &App, app: &App, service: &Service) -> bool {
    let shared = |app: &App| (app.group.clone(), app.state_mode, app.run_mode);
    !app.directories(service).is_empty() && live.user == app.user && shared(live) != shared(app)
}

/// The owner of the state directory, when systemd would give the directory to another user. The live
/// service still needs it.
fn other_state_owner(host: &Host, app: &App, service: &Service) -> Result<Option<String>> {
    let state = app.layout.state();
    let directories = app.directories(service);
    let is_used = directories.iter().any(|(_, path)| *path == state);
    let Some(meta) = host.root.meta(&state)?.filter(|_| is_used) else {
        return Ok(None);
    };
    let user = host.root.user(service.user.as_str())?;
    if user.is_some_and(|user| user.uid == meta.uid) {
        Ok(None)
    } else {
        host::user_name(meta.uid).map(Some)
    }
}

impl<'a> PreCheckInstance<'a> {
    pub(super) fn new(app: &App, service: &'a Service) -> Result<Self> {
        let private = |index: usize, listen: &Listen| private_address(app, service, index, listen);
        let copy = derive::pre_check_instance(service, private)?;
        Ok(Self { service, copy })
    }

    /// The service as it is run.
    pub(super) fn service(&self) -> &Service {
        &self.copy
    }

    /// The unit of the instance, on the release `id`, with a last drop-in if there is one.
    pub(super) fn unit<'h>(
        &self,
        host: &'h Host,
        app: &App,
        (target, id): (Target, &str),
        drop_in: Option<String>,
    ) -> Result<TransientUnit<'h>> {
        let mut tree = instance_files(app, &self.copy, target, id)?;
        let (unit, original) = (app.unit(&self.copy), app.unit(self.service));
        for (path, entry) in local_drop_ins(host, app.name.as_str(), &original, &unit)?.iter() {
            tree.insert(path.to_owned(), entry.clone());
        }
        if let Some(text) = drop_in {
            let path = format!("{RUNTIME_UNIT_DIR}/{unit}.d/95-trace.conf");
            tree.insert(path, Entry::file(text));
        }
        let is_private = self.copy.socket == Socket::Activate;
        let paths = self.copy.listen.iter().filter_map(|listen| match listen {
            // Any other path is that of the live service.
            Listen::Unix(path) if is_private => Some(path.to_string()),
            _ => None,
        });
        let paths = paths.collect();
        let unit = TransientUnit::from_files(host, unit, tree);
        Ok(unit.with_sockets(app.socket_units(&self.copy), paths))
    }

    /// Runs `check` in the network of the instance, which may be its own. `state` is the status of its
    /// unit.
    pub(super) fn in_its_network<T: Send>(
        &self,
        host: &Host,
        unit: &TransientUnit<'_>,
        state: &UnitStatus,
        check: impl FnOnce() -> T + Send,
    ) -> Result<T> {
        if self.copy.has_socket_unit() {
            return Ok(check());
        }
        let ended = |state: &UnitStatus| anyhow!("{}", cause_failure(state));
        let Some(pid) = state.main_pid else {
            return Err(ended(state));
        };
        in_network_of(pid, check).map_err(|error| match host.systemd.show_one(unit.name()) {
            // It ended before its network could be entered.
            Ok(state) if state.main_pid != Some(pid) => ended(&state),
            _ => error,
        })
    }
}

/// An address that only the instance uses, of the same type.
fn private_address(app: &App, service: &Service, index: usize, listen: &Listen) -> Result<Listen> {
    if listen.port().is_some() {
        let address = (Ipv4Addr::LOCALHOST, host::free_port()?);
        return Ok(Listen::Tcp(address.into()));
    }
    let (app, service) = (&app.name, &service.name);
    let path = format!("/run/robotctl/{app}-{service}{PRE_CHECK_SUFFIX}{index}.sock");
    let path = AbsPath::parse(&path).map_err(|clause| anyhow!("`{path}`: {clause}"))?;
    Ok(Listen::Unix(path))
}

/// Starts instances whose units are in place, checks them, and watches them together.
fn run_instances(
    session: &Session<'_>,
    app: &App,
    instances: &[PreCheckInstance<'_>],
    units: &[TransientUnit<'_>],
) -> Result<Vec<Verdict>, InstanceError> {
    let (host, trace) = (session.host, session.trace.as_str());
    let pairs = || instances.iter().zip(units).enumerate();
    for (at, (_, unit)) in pairs() {
        start(host, unit).map_err(|error| (at, error))?;
    }
    let started = Stopwatch::start();
    let (mut verdicts, mut first) = (Vec::new(), Vec::new());
    for (at, (one, unit)) in pairs() {
        let state = host.systemd.show_one(unit.name());
        let state = state.map_err(|error| (at, error))?;
        let check = || check_service(host, app, &one.copy, Some(&state), trace);
        let seen = one.in_its_network(host, unit, &state, check);
        let mut seen = seen.map_err(|error| (at, error))?;
        if let Some(wrong) = seen.iter().find_map(Verdict::wrong) {
            return Err((at, wrong.into()));
        }
        verdicts.append(&mut seen);
        first.push((unit.name().to_owned(), state));
    }
    let time = watch_time(instances);
    settle(host, &first, time.saturating_sub(started.elapsed())).map_err(|(unit, what)| {
        let at = units.iter().position(|one| one.name() == unit);
        (at.unwrap_or(0), anyhow!("it went down again: {what}"))
    })?;
    for ((at, (one, unit)), (_, state)) in pairs().zip(&first) {
        let check = || still_answers(host, app, &one.copy, Some(state), trace);
        let seen = one.in_its_network(host, unit, state, check);
        let seen = seen.and_then(|seen| seen.map_err(anyhow::Error::new));
        seen.context("after the settle time")
            .map_err(|error| (at, error))?;
    }
    Ok(verdicts)
}

/// How long the instances must stay up.
fn watch_time(instances: &[PreCheckInstance<'_>]) -> Duration {
    let services: Vec<&Service> = instances.iter().map(|one| &one.copy).collect();
    settle_time(&services).min(MAX_SETTLE)
}

fn start(host: &Host, unit: &TransientUnit<'_>) -> Result<()> {
    unit.start().map_err(|_| {
        let state = host.systemd.show_one(unit.name()).unwrap_or_default();
        anyhow!("it did not start: {}", cause_failure(&state))
    })
}
