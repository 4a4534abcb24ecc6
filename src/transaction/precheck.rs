//! Trying a new release before anything live is touched.
//!
//! A second copy of each service that may have one starts in its real sandbox, with the new
//! release mounted, at an address of its own: on a private port or socket when systemd hands
//! the listener over, alone in a network namespace when it binds its own. It must start, pass its
//! checks and stay up for the settle time: what crashes after two seconds never gets a request.
//! Its units lie in `/run` and are removed; a killed run leaves them to [`super::clean_up`].

use super::clean_up::{ensure_no_leftovers, made_line};
use super::health::{stopped_daemons, warn_unchecked};
use crate::app::{AbsPath, App, Listen, PRE_CHECK_SUFFIX, Service, Socket, Target};
use crate::error::HintedError;
use crate::events::Subject;
use crate::health::{
    Verdict, cause_text, check_service, remove_units, settle, settle_time, still_answers,
};
use crate::host::{self, Host, Stopwatch, UnitState, in_network_of};
use crate::plan::{Action, Plan};
use crate::render::{derive, precheck as copy_units};
use crate::sandbox::explain::with_advice;
use crate::session::Session;
use crate::tree::{Entry, FileTree};
use crate::units::{RUNTIME_UNIT_DIR, UnitFile, drop_in_dir};
use anyhow::{Result, anyhow};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A trial lasts no longer than this, whatever the settle time after the switch.
const MAX_SETTLE: Duration = Duration::from_secs(10);

/// A second copy of a service, and the files that make it.
struct PreCheckInstance<'a> {
    service: &'a Service,
    copy: Service,
    unit: String,
    tree: FileTree,
}

/// Tries every service that the plan would bring to the new release and that may run twice, those
/// that somebody has stopped too: all of them start, pass their checks and stay up together for the settle time. `low_memory` names
/// units that this host has no memory for twice.
///
/// # Errors
/// [`HintedError`] tells what the new release did; nothing live has changed then.
pub fn precheck(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    target: Target,
    low_memory: &BTreeMap<String, String>,
) -> Result<()> {
    if session.host.is_offline() || plan.from.is_none() {
        return Ok(());
    }
    let copies = select_instances(session, plan, app, target, low_memory)?;
    if copies.is_empty() {
        return Ok(());
    }
    ensure_no_leftovers(session.host, &units(app, &copies))?;
    let tried = run_instances(session, app, &copies);
    let failed = tried.as_ref().err().map(|(at, _)| *at);
    let lines = failed.and_then(|at| copies.get(at));
    let lines = lines.map(|one| session.host.systemd.last_lines(&one.unit, 8));
    let lines = lines.unwrap_or_default();
    let tried = tried.map_err(|(at, error)| {
        format!(
            "{} failed its pre-check, nothing was changed: service `{}`: {}\n    {}",
            plan.to,
            copies.get(at).map_or("", |one| one.service.name.as_str()),
            with_advice(format!("{error:#}"), &lines),
            lines.join("\n    ")
        )
    });
    if let Err(error) = remove_instances(session.host, app, &copies) {
        let cause = tried.err().map(|why| format!("; the cause was: {why}"));
        return Err(HintedError::new(
            format!("what tried {} is still there: {error:#}", plan.to),
            format!(
                "once systemd does as it is told: sudo robotctl recover{}",
                cause.unwrap_or_default()
            ),
        )
        .into());
    }
    let verdicts = tried.map_err(|message| {
        HintedError::new(
            message,
            "mend it and deploy again; `pre-check = false` in the manifest skips the trial"
                .to_owned(),
        )
    })?;
    for verdict in &verdicts {
        let about = Subject {
            release: Some(&plan.to),
            unit: Some(&verdict.unit),
        };
        let text = format!("pre-check: {}, {} ms", verdict.check, verdict.millis);
        session.emit("info", "pre-checked", about, &text);
    }
    Ok(())
}

/// The copies to try, and a word on each service that should be tried and is not.
fn select_instances<'a>(
    session: &Session<'_>,
    plan: &Plan,
    app: &'a App,
    target: Target,
    low_memory: &BTreeMap<String, String>,
) -> Result<Vec<PreCheckInstance<'a>>> {
    let stopped = stopped_daemons(session.host, plan, app)?;
    let touched = |unit: &str| {
        let mut units = plan.units.iter();
        units.any(|one| {
            one.unit == unit
                && matches!(
                    one.action,
                    Action::Overlap | Action::Restart | Action::Rebind
                )
        })
    };
    let mut copies = Vec::new();
    for service in &app.services {
        let unit = app.unit(service);
        let stopped_or_masked = stopped.contains(&unit);
        if !service.pre_check || !(stopped_or_masked || touched(&unit)) {
            if stopped_or_masked {
                warn_unchecked(session, plan, &unit);
            }
            continue;
        }
        if let Some(why) = low_memory.get(&unit) {
            let message = format!("`{unit}` is not tried first: {why}");
            let about = Subject::release(&plan.to);
            session.emit("warning", "not-pre-checked", about, &message);
            if stopped_or_masked {
                warn_unchecked(session, plan, &unit);
            }
        } else if let Some(owner) = state_of_another(session.host, app, service)? {
            let message = format!(
                "`{unit}` is not tried first: `{}` is still {owner}'s, and a second copy would take it",
                app.layout.state()
            );
            let about = Subject::release(&plan.to);
            session.emit("warning", "not-pre-checked", about, &message);
            if stopped_or_masked {
                warn_unchecked(session, plan, &unit);
            }
        } else {
            copies.push(PreCheckInstance::new(
                session, app, service, target, &plan.to,
            )?);
        }
    }
    Ok(copies)
}

/// Whose the state is that systemd would give to a service's user, when it is not that user's
/// yet: the live service needs it.
fn state_of_another(host: &Host, app: &App, service: &Service) -> Result<Option<String>> {
    let state = app.layout.state();
    let gets = app
        .directories(service)
        .iter()
        .any(|(_, path)| *path == state);
    let Some(meta) = host.root.meta(&state)?.filter(|_| gets) else {
        return Ok(None);
    };
    let user = host.root.user(service.user.as_str())?;
    match user.is_some_and(|user| user.uid == meta.uid) {
        true => Ok(None),
        false => host::files::user_name(meta.uid).map(Some),
    }
}

impl<'a> PreCheckInstance<'a> {
    fn new(
        session: &Session<'_>,
        app: &App,
        service: &'a Service,
        target: Target,
        id: &str,
    ) -> Result<Self> {
        let private = |index: usize, listen: &Listen| private(app, service, index, listen);
        let copy = derive::pre_check_instance(service, private)?;
        let mut tree = copy_units(app, &copy, target, id)?;
        let unit = app.unit(&copy);
        for (name, bytes) in local_drop_ins(session.host, app.name.as_str(), &app.unit(service))? {
            let path = UnitFile::drop_in(&unit, &name).path_in(RUNTIME_UNIT_DIR);
            tree.insert(path, Entry::file(bytes));
        }
        Ok(Self {
            service,
            copy,
            unit,
            tree,
        })
    }

    /// All units of the copy.
    fn units(&self, app: &App) -> Vec<String> {
        let mut units = app.socket_units(&self.copy);
        units.push(self.unit.clone());
        units
    }

    /// Runs `look` where the copy answers: it may be alone in its network.
    fn look<T: Send>(&self, host: &Host, look: impl FnOnce() -> T + Send) -> Result<T> {
        if self.copy.has_socket_unit() {
            return Ok(look());
        }
        let state = host.systemd.show_one(&self.unit)?;
        let ended = |state: &UnitState| anyhow!("{}", cause_text(state));
        let Some(pid) = state.main_pid() else {
            return Err(ended(&state));
        };
        in_network_of(pid, look).map_err(|error| match host.systemd.show_one(&self.unit) {
            // It went while its network was looked for.
            Ok(state) if state.main_pid() != Some(pid) => ended(&state),
            _ => error,
        })
    }
}

fn private(app: &App, service: &Service, index: usize, listen: &Listen) -> Result<Listen> {
    if listen.port().is_some() {
        return Ok(Listen::Tcp(
            (Ipv4Addr::LOCALHOST, host::free_port()?).into(),
        ));
    }
    let Service { name, .. } = service;
    let path = format!(
        "/run/robotctl/{}-{name}{PRE_CHECK_SUFFIX}{index}.sock",
        app.name
    );
    let path = AbsPath::parse(&path).map_err(|clause| anyhow!("`{path}`: {clause}"))?;
    Ok(Listen::Unix(path))
}

/// Starts all copies, checks them, and watches them together. A failure comes with its copy.
fn run_instances(
    session: &Session<'_>,
    app: &App,
    copies: &[PreCheckInstance<'_>],
) -> Result<Vec<Verdict>, (usize, anyhow::Error)> {
    let host = session.host;
    let trace = session.trace.as_str();
    let put = || -> Result<()> {
        let mut files = Vec::new();
        for one in copies {
            host.root.put_tree(&one.tree)?;
            files.extend(one.tree.iter().map(|(path, _)| path));
        }
        host.systemd.reload_if_needed(&units(app, copies), &files)
    };
    put().map_err(|error| (0, error))?;
    for (at, one) in copies.iter().enumerate() {
        started(host, app, one).map_err(|error| (at, error))?;
    }
    let from = Stopwatch::start();
    let mut verdicts = Vec::new();
    let mut counts = Vec::new();
    for (at, one) in copies.iter().enumerate() {
        let look = || check_service(host, app, &one.copy, trace);
        let mut seen = one.look(host, look).map_err(|error| (at, error))?;
        if let Some(wrong) = seen.iter().find_map(Verdict::wrong) {
            return Err((at, anyhow!(wrong)));
        }
        verdicts.append(&mut seen);
        let state = host.systemd.show_one(&one.unit);
        counts.push((one.unit.clone(), state.map_err(|error| (at, error))?));
    }
    let services: Vec<&Service> = copies.iter().map(|one| &one.copy).collect();
    let whole = settle_time(&services).min(MAX_SETTLE);
    settle(host, &counts, whole.saturating_sub(from.elapsed())).map_err(|(unit, what)| {
        let at = copies.iter().position(|one| one.unit == unit);
        (at.unwrap_or(0), anyhow!("it went down again: {what}"))
    })?;
    for (at, one) in copies.iter().enumerate() {
        let look = || still_answers(host, app, &one.copy, trace);
        let seen = one.look(host, look).map_err(|error| (at, error))?;
        seen.map_err(|what| (at, anyhow!("after a while, {what}")))?;
    }
    Ok(verdicts)
}

fn started(host: &Host, app: &App, one: &PreCheckInstance<'_>) -> Result<()> {
    host.systemd.start(&app.socket_units(&one.copy))?;
    let start = host.systemd.start(std::slice::from_ref(&one.unit));
    start.map_err(|_| {
        let state = host.systemd.show_one(&one.unit).unwrap_or_default();
        anyhow!("it did not start: {}", cause_text(&state))
    })
}

/// Stops the copies and removes them. What does not stop keeps its files: by them a sweep finds it.
fn remove_instances(host: &Host, app: &App, copies: &[PreCheckInstance<'_>]) -> Result<()> {
    let units = units(app, copies);
    host.systemd.stop_and_confirm(&units)?;
    host.systemd.reset_failed(&units);
    for one in copies {
        remove_units(host, &one.tree)?;
        // A path of any other service's copy is the live one's.
        let private = one
            .copy
            .listen
            .iter()
            .filter(|_| one.copy.socket == Socket::Activate);
        for listen in private {
            if let Listen::Unix(path) = listen {
                host.root.remove_file(path.as_str())?;
            }
        }
    }
    host.systemd.reload_if_needed(&units, &[])
}

/// The units of all copies.
fn units(app: &App, copies: &[PreCheckInstance<'_>]) -> Vec<String> {
    copies.iter().flat_map(|one| one.units(app)).collect()
}

/// The administrator's own drop-ins of a unit: a copy of it must obey them too.
pub(super) fn local_drop_ins(host: &Host, app: &str, unit: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut out = Vec::new();
    for dir in ["/etc/systemd/system", RUNTIME_UNIT_DIR] {
        let dir = format!("{dir}/{}", drop_in_dir(unit));
        for name in host.root.list(&dir)? {
            let path = format!("{dir}/{name}");
            if let Some(bytes) = host.root.read(&path)?
                && name.ends_with(".conf")
            {
                // By this line a sweep knows it for one that may go.
                let mut copy = format!("# Copy of {path}, {}\n", made_line(app)).into_bytes();
                copy.extend(bytes);
                out.push((name, copy));
            }
        }
    }
    Ok(out)
}
