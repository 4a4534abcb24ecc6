//! Handing a service over to the next release, so that no request is lost.
//!
//! The processes of the live release stay, and accept connections until the next release does:
//!
//! 1. They move to a scope of their own, `<app>-<service>-old-<run>.scope`. A proxy has a second one.
//! 2. A dummy process becomes the main process of the unit.
//! 3. The unit restarts: the dummy process ends, and the next release starts under the same name.
//! 4. When the next release waits for connections, the old main process gets SIGTERM. It closes its
//!    listener, and ends when its connections do or when the drain time is over.
//!
//! When a step is not possible, the unit restarts without it, and its socket holds requests meanwhile.
//! [`super::restore`] undoes a handover that failed or was interrupted at any step.

use super::scope_limits::write_limits;
use crate::app::{App, Service, Socket};
use crate::events::Subject;
use crate::health;
use crate::host::{
    Host, ProcessIdentity, Scope, Signal, UnitStatus, group_in_unit, has_inner_groups,
    keep_private_tmp, members, replace_main_process, start_dummy_process, wait_until,
};
use crate::parallel::par_wait;
use crate::plan::{Action, Plan};
use crate::session::Session;
use crate::store::{Handover, HandoverRole};
use crate::units;
use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many previous releases of a service drain at the same time. A further one ends the oldest.
const MAX_DRAINING: usize = 2;
/// How long a process may take to stop once its drain time is over. It has got SIGTERM long before.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How long the steps of a handover may take, without the start of the services.
const ALLOWANCE: Duration = Duration::from_secs(30);
/// How long systemd may take to act on a message.
const SYSTEMD_TIME: Duration = Duration::from_secs(5);
/// How often at most robotctl looks whether the command of a change was killed.
const MAX_LOOKS: u32 = 24;
/// How many rounds move the processes that a service starts meanwhile.
const MAX_ROUNDS: usize = 200;

/// The services that hand over, each with its units: a proxy comes before its server.
fn overlapping<'a>(plan: &Plan, app: &'a App) -> Vec<(&'a Service, Vec<(String, HandoverRole)>)> {
    let units = plan.units.iter();
    let units = units.filter(|unit| unit.action == Action::Overlap);
    let services = units.filter_map(|unit| app.service(unit.service.as_deref()?));
    let mut out: Vec<(&Service, Vec<(String, HandoverRole)>)> = Vec::new();
    for service in services {
        if out.iter().all(|(one, _)| one.name != service.name) {
            let unit = app.unit(service);
            let units = match service.socket {
                Socket::Proxy => vec![
                    (app.proxy_unit(service), HandoverRole::Proxy),
                    (unit, HandoverRole::Proxied),
                ],
                Socket::Activate | Socket::Direct => vec![(unit, HandoverRole::Service)],
            };
            out.push((service, units));
        }
    }
    out
}

/// What will be handed over, for the journal.
///
/// # Errors
/// When systemd does not answer.
pub(super) fn planned(host: &Host, plan: &Plan, app: &App) -> Result<Vec<Handover>> {
    let overlapping = overlapping(plan, app);
    let units = overlapping.iter().flat_map(|(_, units)| units);
    let names: Vec<String> = units.map(|(unit, _)| unit.clone()).collect();
    let states = host.systemd.show(&names)?;
    let start = start_time(app);
    let mut out = Vec::new();
    for (service, units) in overlapping {
        let all = units.into_iter().map(|(unit, role)| {
            let state = states.iter().find(|state| state.id == unit)?;
            Some(Handover {
                scope: units::old_scope(&unit, state.invocation_id.as_deref()?),
                unit,
                role,
                process: ProcessIdentity::of(state.main_pid?)?,
                user: service.user.to_string(),
                start_ms: millis(start),
                drain_ms: millis(service.drain.duration),
            })
        });
        // A service that is down starts without a handover.
        out.extend(all.collect::<Option<Vec<_>>>().unwrap_or_default());
    }
    Ok(out)
}

/// How long the next release may take to start: services may start one after another.
fn start_time(app: &App) -> Duration {
    let times = app.services.iter().map(|one| one.timeout_start.duration);
    times.fold(ALLOWANCE, Duration::saturating_add)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Moves the processes of the live release aside and makes dummy processes the main processes. Returns
/// what may have moved. A service that cannot be handed over restarts without it.
pub(super) fn begin(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    planned: &[Handover],
) -> Vec<Handover> {
    let mut jobs = Vec::new();
    for (service, units) in overlapping(plan, app) {
        let is_its = |one: &&Handover| units.iter().any(|(unit, _)| *unit == one.unit);
        let entries: Vec<Handover> = planned.iter().filter(is_its).cloned().collect();
        jobs.push((service, units.len(), entries));
    }
    let all: Vec<Handover> = jobs
        .iter()
        .flat_map(|(_, _, entries)| entries.clone())
        .collect();
    let (host, app_name, trace_id) = (session.host, &session.app, &session.trace);
    let states = states_of(host, &all);
    let moved = par_wait(&jobs, |(_, count, entries)| {
        ensure!(entries.len() == *count, "its processes do not all run");
        let states = states.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        move_aside(host, app_name, trace_id, entries, states)
    });
    let mut kept = Vec::new();
    for ((service, _, entries), moved) in jobs.iter().zip(moved) {
        if moved.is_ok() {
            kept.extend(entries.first());
        }
        report(session, &app.unit(service), moved);
    }
    keep_users(session, &kept);
    all
}

/// The states of units, and of the scopes in which they drain.
pub(super) fn states_of(host: &Host, entries: &[Handover]) -> Result<Vec<UnitStatus>> {
    let units = entries.iter().map(|one| one.unit.clone());
    let scopes = entries.iter().map(|one| units::old_units(&one.unit));
    let patterns: Vec<String> = units.chain(scopes).collect();
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    host.systemd.show_loaded(&patterns)
}

/// Keeps the users of services until these run again. One scope of each user is enough.
pub(super) fn keep_users(session: &Session<'_>, moved: &[&Handover]) {
    let mut users = BTreeSet::new();
    for entry in moved.iter().filter(|one| users.insert(&one.user)) {
        let unit = units::user_unit_of(&entry.scope);
        let systemd = &session.host.systemd;
        if let Err(error) = systemd.keep_user(&unit, &entry.scope, &entry.user, entry.process.pid) {
            let text = format!(
                "systemd may remove shared memory of `{}`: {error:#}",
                entry.user
            );
            warn(session, "files-not-kept", &entry.unit, &text);
        }
    }
}

/// Warns of what was not possible for a service.
pub(super) fn report(session: &Session<'_>, unit: &str, moved: Result<Vec<Error>>) {
    match moved {
        Err(why) => {
            let text = format!(
                "`{unit}` restarts without an overlap, and its socket holds requests meanwhile: {why:#}"
            );
            warn(session, "not-handed-over", unit, &text);
        }
        // The processes go on without these files.
        Ok(lost) => {
            for error in lost {
                let text =
                    format!("the previous release of `{unit}` loses its private /tmp: {error:#}");
                warn(session, "files-not-kept", unit, &text);
            }
        }
    }
}

pub(super) fn warn(session: &Session<'_>, event: &'static str, unit: &str, text: &str) {
    let subject = Subject {
        release: None,
        unit: Some(unit),
    };
    session.emit("warning", event, subject, text);
}

/// Steps 1 and 2 for a service and its proxy. What an interrupted command has done already stays. Returns
/// why private files could not be kept.
pub(super) fn move_aside(
    host: &Host,
    app: &str,
    trace_id: &str,
    entries: &[Handover],
    states: &[UnitStatus],
) -> Result<Vec<Error>> {
    let mut both: Vec<(&Handover, &UnitStatus)> = Vec::new();
    for entry in entries {
        let state = states.iter().find(|one| one.id == entry.unit);
        let state = state.ok_or_else(|| anyhow!("it does not run"))?;
        check_suitable(entry, state)?;
        both.push((entry, state));
    }
    let mut dummies = DummyProcesses::start(both.len())?;
    let proxy = entries.iter().find(|one| one.role == HandoverRole::Proxy);
    for (entry, state) in &both {
        end_oldest(host, entry, states)?;
        let binds_to = proxy.filter(|_| entry.role == HandoverRole::Proxied);
        start_scope(host, app, entry, state, binds_to)?;
        clean_up_later(host, app, trace_id, entry)?;
    }
    for (entry, state) in &both {
        move_processes(host, entry, state)?;
    }
    let kept = both.iter().map(|(entry, _)| keep_tmp(host, entry));
    let lost = kept.filter_map(Result::err).collect();
    // The proxy comes last: while its server is the main process still, so is the proxy, and a plain
    // restart ends both.
    for (entry, _) in both.iter().rev() {
        if let Some(dummy) = dummies.next() {
            replace_main(host, entry, dummy)?;
        }
    }
    Ok(lost)
}

/// Starts the scope of a unit, unless an interrupted command has done so.
fn start_scope(
    host: &Host,
    app: &str,
    entry: &Handover,
    state: &UnitStatus,
    binds_to: Option<&Handover>,
) -> Result<()> {
    if entry.has_moved() {
        return Ok(());
    }
    write_limits(host, app, &entry.unit, state)?;
    host.systemd.start_scope(&Scope {
        name: &entry.scope,
        description: &format!(
            "{}: a previous release, until its connections end",
            entry.unit
        ),
        pid: entry.process.pid,
        slice: &state.slice,
        part_of: &[entry.unit.clone(), format!("{app}.target")],
        binds_to: binds_to.map(|proxy| proxy.scope.as_str()),
        runtime_max: entry.start_time().saturating_add(entry.drain_time()),
        timeout_stop: STOP_TIME,
    })
}

/// Dummy processes that are not main processes yet. Dropping this value ends them.
struct DummyProcesses(Vec<u32>);

impl DummyProcesses {
    fn start(count: usize) -> Result<Self> {
        let mut all = Self(Vec::new());
        for _ in 0..count {
            all.0.push(start_dummy_process()?);
        }
        Ok(all)
    }

    /// The next one, which stays.
    fn next(&mut self) -> Option<u32> {
        self.0.pop()
    }
}

impl Drop for DummyProcesses {
    fn drop(&mut self) {
        for pid in &self.0 {
            end_process(*pid);
        }
    }
}

fn end_process(pid: u32) {
    if let Some(process) = ProcessIdentity::of(pid) {
        // It ends by itself within a minute.
        let _ = process.signal(Signal::TERM);
    }
}

/// Refuses a unit that systemd cannot hand over.
fn check_suitable(entry: &Handover, state: &UnitStatus) -> Result<()> {
    ensure!(
        state.is_active()
            && state.main_pid == Some(entry.process.pid)
            && entry.process.is_running(),
        "it has just restarted"
    );
    ensure!(
        state.is_notify_allowed,
        "`NotifyAccess=none`, so systemd takes no other main process for it"
    );
    ensure!(
        !state.is_delegated && !has_inner_groups(state),
        "it has control groups of its own"
    );
    Ok(())
}

/// Moves all processes of a unit to its scope. systemd moves the main process; one that has just ended
/// would fail the whole call.
fn move_processes(host: &Host, entry: &Handover, state: &UnitStatus) -> Result<()> {
    let is_there = || match entry.has_moved() {
        true => Ok(()),
        false => Err(()),
    };
    wait_until(SYSTEMD_TIME, is_there)
        .map_err(|()| anyhow!("systemd did not start `{}`", entry.scope))?;
    for _ in 0..MAX_ROUNDS {
        let left = members(state);
        if left.is_empty() {
            return Ok(());
        }
        if host.systemd.attach_processes(&entry.scope, &left).is_err() {
            // One of them has ended: the next round does not have it.
            for pid in left {
                let _ = host.systemd.attach_processes(&entry.scope, &[pid]);
            }
        }
    }
    bail!("it starts processes faster than they can be moved")
}

/// Makes a dummy process the main process of a unit whose processes are in a scope.
fn replace_main(host: &Host, entry: &Handover, dummy: u32) -> Result<()> {
    let replace = || -> Result<()> {
        replace_main_process(entry.process.pid, dummy)?;
        wait_until(SYSTEMD_TIME, || {
            let state = host.systemd.show_one(&entry.unit).map_err(drop)?;
            match state.main_pid == Some(dummy) {
                true => Ok(()),
                false => Err(()),
            }
        })
        .map_err(|()| anyhow!("systemd took no other main process for it"))
    };
    replace().inspect_err(|_| end_process(dummy))
}

/// Ends the oldest previous release of a unit that drains when there are as many as there may be.
fn end_oldest(host: &Host, entry: &Handover, states: &[UnitStatus]) -> Result<()> {
    let is_other = |scope: &&UnitStatus| {
        scope.is_active() && scope.id != entry.scope && units::is_old_scope(&scope.id, &entry.unit)
    };
    let mut scopes: Vec<&UnitStatus> = states.iter().filter(is_other).collect();
    scopes.sort_by_key(|scope| scope.active_since);
    let excess = (scopes.len() + 1).saturating_sub(MAX_DRAINING);
    let oldest = scopes.into_iter().take(excess);
    let oldest: Vec<String> = oldest.map(|one| one.id.clone()).collect();
    host.systemd.stop_without_waiting(&oldest)
}

/// Keeps the private /tmp of a unit that is about to restart, for the processes in its scope.
fn keep_tmp(host: &Host, entry: &Handover) -> Result<()> {
    keep_private_tmp(
        &host.root,
        &entry.unit,
        units::run_of_old_scope(&entry.scope),
    )
}

/// [`crate::ops::drained`] removes what [`keep_tmp`] kept when the scope has ended. When the command that
/// makes the change with this trace id was killed, it also ends the change.
fn clean_up_later(host: &Host, app: &str, trace_id: &str, entry: &Handover) -> Result<()> {
    let run = units::run_of_old_scope(&entry.scope);
    let name = units::cleanup_unit_of(&entry.scope);
    let app = ["/usr/bin/robotctl", "--app", app];
    let command = ["drained", &entry.unit, run, "--change", trace_id];
    let argv = [&app[..], &command[..]].concat();
    let interval = entry.start_time().max(entry.drain_time() / MAX_LOOKS);
    host.systemd
        .run_beside_scope(&name, &entry.scope, interval, &argv)
}

/// Waits until the next release of each service waits for connections. Returns the unit that is down.
pub(super) fn wait_ready(host: &Host, app: &App, handed_over: &[Handover]) -> Option<String> {
    let down = par_wait(&app.services, |service| {
        let unit = app.unit(service);
        let entry = handed_over.iter().find(|one| one.unit == unit)?;
        let is_up = health::wait_ready(host, service, &unit, entry.process.pid);
        (!is_up).then_some(unit)
    });
    down.into_iter().flatten().next()
}

/// Step 4: the old main processes end their connections, or the drain time ends them. Afterwards, none
/// of them accepts a connection, so that only the next release answers its checks.
pub(super) fn drain_previous(session: &Session<'_>, handed_over: &[Handover]) {
    let groups = groups_of(session.host, handed_over);
    drain_all(session, handed_over);
    stop_acceptors(session, &groups);
}

/// Lets the processes in scopes end their connections.
pub(super) fn drain_all(session: &Session<'_>, handed_over: &[Handover]) {
    let host = session.host;
    let is_proxied = |one: &&Handover| one.role == HandoverRole::Proxied;
    let (proxied, others): (Vec<_>, Vec<_>) = handed_over.iter().partition(is_proxied);
    // A proxy stops accepting connections before the time of its server begins.
    for entries in [others, proxied] {
        let drained = par_wait(&entries, |entry| drain(host, entry));
        for (entry, drained) in entries.into_iter().zip(drained) {
            if let Err(error) = drained {
                let text = format!("`{}` does not drain as it should: {error:#}", entry.scope);
                warn(session, "drain-failed", &entry.unit, &text);
            }
        }
    }
}

fn drain(host: &Host, entry: &Handover) -> Result<()> {
    // The server behind a proxy ends first, so that it can close its connections through the proxy.
    let time = match entry.role {
        HandoverRole::Proxy => entry.drain_time().saturating_add(STOP_TIME),
        HandoverRole::Service | HandoverRole::Proxied => entry.drain_time(),
    };
    let unit = units::drain_unit_of(&entry.scope);
    // The limit comes first: an idle process ends at once, and a unit cannot be bound to a scope that has
    // ended. After a kill in between, `restore` stops what still accepts connections.
    let limited = host.systemd.end_scope_after(&unit, &entry.scope, time);
    let limited = limited.context("its drain time has no end");
    limited.and(signal(host, entry).context("it got no signal"))
}

/// Tells the main process in a scope to end. All processes get the signal when the main process is not
/// known or has ended.
fn signal(host: &Host, entry: &Handover) -> Result<()> {
    let signal = match entry.role {
        HandoverRole::Service => Signal::TERM,
        HandoverRole::Proxy => Signal::INT,
        // It serves the connections of its proxy: systemd ends its scope after that of the proxy.
        HandoverRole::Proxied => return Ok(()),
    };
    if entry.has_moved() {
        return entry.process.signal(signal);
    }
    let state = host.systemd.show_one(&entry.scope)?;
    let mut processes = members(&state).into_iter().filter_map(ProcessIdentity::of);
    processes.try_for_each(|one| one.signal(signal))
}

/// The control groups of the scopes whose processes accept connections: not those of servers behind a
/// proxy. A scope that has ended has none.
pub(super) fn groups_of(host: &Host, handed_over: &[Handover]) -> Vec<(Handover, String)> {
    let acceptors = handed_over.iter();
    let acceptors = acceptors.filter(|one| one.role != HandoverRole::Proxied);
    let (mut groups, mut ended) = (Vec::new(), Vec::new());
    for entry in acceptors.cloned() {
        match group_in_unit(entry.process.pid, &entry.scope) {
            Some(group) => groups.push((entry, group)),
            None => ended.push(entry),
        }
    }
    // Its main process has ended, and others may go on.
    let scopes: Vec<String> = ended.iter().map(|one| one.scope.clone()).collect();
    // What is left when systemd does not answer ends with the drain time.
    let states = host.systemd.show(&scopes).unwrap_or_default();
    let known = ended.into_iter().zip(states);
    groups.extend(known.filter_map(|(entry, state)| Some((entry, state.control_group?))));
    groups
}

/// Stops the scopes whose processes still accept connections some time after their signal.
pub(super) fn stop_acceptors(session: &Session<'_>, groups: &[(Handover, String)]) {
    let host = session.host;
    let stopped = par_wait(groups, |(_, group)| health::stops_accepting(group));
    let left = groups
        .iter()
        .zip(stopped)
        .filter(|(_, has_stopped)| !has_stopped);
    for ((entry, _), _) in left {
        let what = format!(
            "`{}` still accepted connections after ten seconds of draining",
            entry.scope
        );
        match host.systemd.stop(std::slice::from_ref(&entry.scope)) {
            Ok(()) => {
                let text = format!("{what}, and was stopped");
                warn(session, "drain-stopped", &entry.unit, &text);
            }
            Err(error) => {
                let text = format!("{what}, and cannot be stopped: {error:#}");
                warn(session, "drain-failed", &entry.unit, &text);
            }
        }
    }
}
