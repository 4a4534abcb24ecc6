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
use crate::health::{self, ManagerSockets};
use crate::host::{
    Cleanup, Drain, Host, ProcessIdentity, Scope, Signal, UnitStatus, group_in_unit,
    has_inner_groups, keep_private_tmp, members, replace_main_process, start_dummy_processes,
    wait_until,
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
pub(crate) const MAX_DRAINING: usize = 2;
/// How long a process may take to stop once its drain time is over. It has got SIGTERM long before.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How long the steps of a handover may take, without the start of the services.
const ALLOWANCE: Duration = Duration::from_secs(30);
/// How long the start of one service counts at most.
const MAX_START: Duration = Duration::from_secs(3600);
/// How long systemd may take to act on a message.
const SYSTEMD_TIME: Duration = Duration::from_secs(5);
/// How often at most robotctl looks whether the command of a change was killed.
const MAX_LOOKS: u32 = 24;
/// How many scopes get a limit before their processes get a signal. A kill in between concerns these only.
const SIGNALLED_AT_ONCE: usize = 16;
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

/// The units that may be handed over.
pub(super) fn candidates(plan: &Plan, app: &App) -> Vec<String> {
    let all = overlapping(plan, app).into_iter();
    all.flat_map(|(_, units)| units.into_iter().map(|(unit, _)| unit))
        .collect()
}

/// What will be handed over, for the journal. `states` has the candidates as they are now.
pub(super) fn planned(states: &[UnitStatus], plan: &Plan, app: &App) -> Vec<Handover> {
    let overlapping = overlapping(plan, app);
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
    out
}

/// How long the next release may take to start: services may start one after another. A change does not wait
/// for a job of a timer. Another job may have no time limit, and a service may require it.
fn start_time(app: &App) -> Duration {
    let services = app.services.iter().filter(|one| one.timer.is_none());
    let times = services.map(|one| one.timeout_start.duration.min(MAX_START));
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
    let change = Change::new(session, &session.trace);
    let complete = jobs.iter().map(|(_, count, entries)| {
        ensure!(entries.len() == *count, "its processes do not all run");
        Ok(entries.as_slice())
    });
    let moved = move_aside(&change, complete.collect(), &states_of(session.host, &all));
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

/// What the steps of a handover need to know of the change.
pub(super) struct Change<'a> {
    host: &'a Host,
    app: &'a str,
    trace_id: &'a str,
}

impl<'a> Change<'a> {
    pub(super) fn new(session: &'a Session<'_>, trace_id: &'a str) -> Self {
        Self {
            host: session.host,
            app: &session.app,
            trace_id,
        }
    }
}

/// Steps 1 and 2 for services, each alone or with its proxy. What an interrupted command has done already
/// stays. Returns for each service why private files could not be kept.
///
/// One program starts all dummy processes, and another reads what systemd made of them: to start a
/// program takes longer than what it does.
pub(super) fn move_aside(
    change: &Change<'_>,
    services: Vec<Result<&[Handover]>>,
    states: &Result<Vec<UnitStatus>>,
) -> Vec<Result<Vec<Error>>> {
    let count = services.len();
    let moved = || -> Result<Vec<Result<Vec<Error>>>> {
        let states = states.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        let services = services.into_iter();
        let checked: Vec<Result<Vec<Moving<'_>>>> = services
            .map(|entries| entries.and_then(|entries| suitable(entries, states)))
            .collect();
        let both: usize = checked.iter().flatten().map(Vec::len).sum();
        let mut dummies = DummyProcesses::start(both)?;
        let mut moved = par_wait(&checked, |checked| match checked {
            Ok(both) => move_to_scopes(change, both, states),
            Err(error) => Err(anyhow!("{error:#}")),
        });
        // The proxy comes last: while its server is the main process still, so is the proxy, and a plain
        // restart ends both.
        for is_proxy in [false, true] {
            let mut replaced = Vec::new();
            for (at, both) in checked.iter().enumerate() {
                let mut both = both.iter().flatten();
                let its = both.find(|(entry, _)| (entry.role == HandoverRole::Proxy) == is_proxy);
                if let Some((entry, _)) = its
                    && matches!(moved.get(at), Some(Ok(_)))
                    && let Some(dummy) = dummies.next()
                {
                    replaced.push((at, *entry, dummy));
                }
            }
            for (at, error) in replace_mains(change.host, &replaced) {
                if let Some(one) = moved.get_mut(at) {
                    *one = Err(error);
                }
            }
        }
        Ok(moved)
    };
    moved().unwrap_or_else(|error| {
        let all = std::iter::repeat_with(|| Err(anyhow!("{error:#}")));
        all.take(count).collect()
    })
}

/// A unit to hand over, and its state.
type Moving<'a> = (&'a Handover, &'a UnitStatus);

/// The units of a service with their states, if systemd can hand over all of them.
fn suitable<'a>(entries: &'a [Handover], states: &'a [UnitStatus]) -> Result<Vec<Moving<'a>>> {
    let with_state = entries.iter().map(|entry| {
        let state = states.iter().find(|one| one.id == entry.unit);
        let state = state.ok_or_else(|| anyhow!("it does not run"))?;
        check_suitable(entry, state)?;
        Ok((entry, state))
    });
    with_state.collect()
}

/// Step 1 for a service and its proxy.
fn move_to_scopes(
    change: &Change<'_>,
    both: &[Moving<'_>],
    states: &[UnitStatus],
) -> Result<Vec<Error>> {
    let host = change.host;
    let proxy = both.iter().find(|(one, _)| one.role == HandoverRole::Proxy);
    for (entry, state) in both {
        end_oldest(host, entry, states)?;
        let is_proxied = entry.role == HandoverRole::Proxied;
        let binds_to = proxy.filter(|_| is_proxied).map(|(proxy, _)| *proxy);
        start_scope(change, entry, state, binds_to)?;
    }
    for (entry, state) in both {
        move_processes(host, entry, state)?;
    }
    let kept = both.iter().map(|(entry, _)| keep_tmp(host, entry));
    Ok(kept.filter_map(Result::err).collect())
}

/// Starts the scope of a unit, unless an interrupted command has done so. The units beside it come in the
/// same call: no kill can leave a scope without them.
///
/// [`crate::ops::drained`] removes what [`keep_tmp`] kept when the scope has ended. When the command that
/// makes the change with this trace id was killed, it also ends the change.
fn start_scope(
    change: &Change<'_>,
    entry: &Handover,
    state: &UnitStatus,
    binds_to: Option<&Handover>,
) -> Result<()> {
    let Change { host, app, .. } = *change;
    if entry.has_moved() {
        return Ok(());
    }
    write_limits(host, app, &entry.unit, state)?;
    let run = units::run_of_old_scope(&entry.scope);
    let drained = ["/usr/bin/robotctl", "--app", app, "drained", &entry.unit];
    let of_change = [run, "--change", change.trace_id];
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
        cleanup: Cleanup {
            name: &units::cleanup_unit_of(&entry.scope),
            interval: entry.start_time().max(entry.drain_time() / MAX_LOOKS),
            argv: &[&drained[..], &of_change[..]].concat(),
        },
        drain: Drain {
            timer: &units::drain_timer_of(&entry.scope),
            service: &units::drain_unit_of(&entry.scope),
            time: time_to_drain(entry),
        },
    })
}

/// How long the processes of a unit may drain. The server behind a proxy ends first, so that it can close
/// its connections through the proxy.
fn time_to_drain(entry: &Handover) -> Duration {
    match entry.role {
        HandoverRole::Proxy => entry.drain_time().saturating_add(STOP_TIME),
        HandoverRole::Service | HandoverRole::Proxied => entry.drain_time(),
    }
}

/// Dummy processes that are not main processes yet. Dropping this value ends them.
struct DummyProcesses(Vec<u32>);

impl DummyProcesses {
    fn start(count: usize) -> Result<Self> {
        start_dummy_processes(count).map(Self)
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

/// Makes dummy processes the main processes of units whose processes are in scopes. Returns which did not
/// become one.
fn replace_mains(host: &Host, units: &[(usize, &Handover, u32)]) -> Vec<(usize, Error)> {
    let mut failed = Vec::new();
    let mut sent = Vec::new();
    for one in units {
        let (at, entry, dummy) = *one;
        match replace_main_process(entry.process.pid, dummy) {
            Ok(()) => sent.push(one),
            Err(error) => {
                end_process(dummy);
                failed.push((at, error));
            }
        }
    }
    // What systemd has accepted leaves the list.
    let _: Result<(), ()> = wait_until(SYSTEMD_TIME, || {
        let names: Vec<String> = sent
            .iter()
            .map(|(_, entry, _)| entry.unit.clone())
            .collect();
        let states = host.systemd.show(&names).map_err(drop)?;
        let mut states = states.iter();
        sent.retain(|(_, _, dummy)| states.next().and_then(|one| one.main_pid) != Some(*dummy));
        match sent.is_empty() {
            true => Ok(()),
            false => Err(()),
        }
    });
    for (at, _, dummy) in sent {
        end_process(*dummy);
        failed.push((*at, anyhow!("systemd took no other main process for it")));
    }
    failed
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

/// Waits until the next release of each service waits for connections. Returns the unit that is down.
pub(super) fn wait_ready(host: &Host, app: &App, handed_over: &[Handover]) -> Option<String> {
    let services = app.services.iter().filter_map(|service| {
        let unit = app.unit(service);
        let entry = handed_over.iter().find(|one| one.unit == unit)?;
        Some((service, entry))
    });
    let both: Vec<(&Service, &Handover)> = services.collect();
    let names: Vec<String> = both.iter().map(|(_, entry)| entry.unit.clone()).collect();
    // Without an answer, the wait for each unit asks again.
    let states = host.systemd.show(&names).unwrap_or_default();
    let states = states.iter().map(Some).chain(std::iter::repeat(None));
    let jobs: Vec<_> = both.into_iter().zip(states).collect();
    let sockets = ManagerSockets::read();
    let down = par_wait(&jobs, |((service, entry), state)| {
        let (unit, previous) = (&entry.unit, entry.process.pid);
        let is_up = health::wait_ready(host, service, unit, *state, previous, &sockets);
        (!is_up).then(|| unit.clone())
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
    let chunks = [others, proxied];
    for entries in chunks.iter().flat_map(|all| all.chunks(SIGNALLED_AT_ONCE)) {
        // The limit comes first: after a kill in between, `restore` stops what still accepts connections.
        if let (Err(error), Some(first)) = (limit(host, entries), entries.first()) {
            let text = format!("the time of what drains has no end: {error:#}");
            warn(session, "drain-failed", &first.unit, &text);
        }
        for entry in entries {
            if let Err(error) = signal(host, entry).context("it got no signal") {
                let text = format!("`{}` does not drain as it should: {error:#}", entry.scope);
                warn(session, "drain-failed", &entry.unit, &text);
            }
        }
    }
}

/// Starts the timers that end scopes when their drain time is over. A scope that has ended is no error.
fn limit(host: &Host, entries: &[&Handover]) -> Result<()> {
    let timers = entries.iter().map(|one| units::drain_timer_of(&one.scope));
    let timers: Vec<String> = timers.collect();
    let Err(error) = host.systemd.start_at_once(&timers) else {
        return Ok(());
    };
    let scopes = entries.iter().map(|one| one.scope.clone());
    let all: Vec<String> = timers.iter().cloned().chain(scopes).collect();
    let states = host.systemd.show(&all)?;
    let (timers, scopes) = states.split_at(timers.len());
    let both = timers.iter().zip(scopes);
    let down = both.filter(|(timer, scope)| timer.is_down() && scope.is_active());
    let down: Vec<String> = down.map(|(timer, _)| format!("`{}`", timer.id)).collect();
    if down.is_empty() {
        return Ok(());
    }
    Err(error.context(format!("starting {}", down.join(", "))))
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
    let sockets = ManagerSockets::read();
    let stopped = par_wait(groups, |(_, group)| {
        health::stops_accepting(group, &sockets)
    });
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

#[cfg(test)]
mod tests {
    use super::{ALLOWANCE, MAX_START, start_time};
    use crate::app::App;
    use crate::manifest::parse;
    use std::time::Duration;

    #[test]
    fn a_job_without_a_time_limit_does_not_make_a_start_endless() {
        let of = |job: &str| {
            let text = format!(
                "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/w\"]\n\
                 timeout-start = \"1min\"\n{job}"
            );
            start_time(&App::from_manifest(&parse(&text).unwrap(), None).unwrap())
        };
        let web = ALLOWANCE + Duration::from_secs(60);
        assert_eq!(of(""), web);
        let job = "[service.job]\nexec = [\"/bin/j\"]\n";
        let timed = format!("{job}timer = {{ calendar = \"daily\" }}\n");
        assert_eq!(of(&timed), web);
        assert_eq!(of(&format!("{job}type = \"oneshot\"\n")), web + MAX_START);
    }
}
