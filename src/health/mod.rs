//! Deciding health: is it up, is it the right release, does it answer, does it stay up.
//!
//! `active` is not success: a Gunicorn whose workers die after READY is active for half a
//! minute. Success is the checks passed, no restart over the settle time, and a main process
//! that really runs the release.

mod cause;
mod http;
mod job_unit;
mod probe;

pub use cause::{cause, cause_text};
pub use http::{Address, Answer, get};
pub use job_unit::{TransientJob, is_at_work, remove_units};

use crate::app::{App, Check, Probe, Service, Socket};
use crate::host::{Deadline, Host, Stopwatch, UnitState, interrupted, release_of, wait_until};
use crate::sandbox::explain::with_advice;
use job_unit::{command, run_job};
use probe::{describe, probe};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How long a service must stay up without a restart when no check says otherwise.
pub const DEFAULT_SETTLE: Duration = Duration::from_secs(3);
/// Less time than this is no look at all.
const MIN_PROBE_TIME: Duration = Duration::from_secs(1);
/// A broken service behind a socket lets clients hang: one look is no longer than this.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// One check's or unit's verdict.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// The unit.
    pub unit: String,
    /// What was looked at.
    pub check: String,
    /// `None` when it passed, else what was seen instead.
    pub failure: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Verdict {
    /// What was wanted and what was seen instead, when it did not pass.
    pub fn wrong(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        Some(format!("{}: {failure}", wanted(&self.check)))
    }
}

/// A check in words, as one that did not pass.
fn wanted(check: &str) -> String {
    match check.starts_with("GET ") {
        true => check.replacen(" gives ", " wanted ", 1),
        false => check.to_owned(),
    }
}

/// Why a release is not healthy.
#[derive(Debug, Clone)]
pub struct Unhealthy {
    /// The unit to look at.
    pub unit: String,
    /// One sentence.
    pub what: String,
    /// The last lines that the unit wrote.
    pub lines: Vec<String>,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.unit, self.what)?;
        for line in &self.lines {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// Looks at every service of `app` that is meant to run, and passes when all are healthy on
/// `release`, or on the release that it is pinned to. `skip` names units that the administrator keeps down.
///
/// # Errors
/// The first thing that is not as it should be.
pub fn verify(
    host: &Host,
    app: &App,
    release: &str,
    pins: &BTreeMap<String, String>,
    skip: &dyn Fn(&str) -> bool,
    trace: &str,
) -> Result<Vec<Verdict>, Unhealthy> {
    let services: Vec<&Service> = app
        .services
        .iter()
        .filter(|service| service.is_daemon() && !skip(&app.unit(service)))
        .collect();
    let mut verdicts = Vec::new();
    let mut counts = Vec::new();
    let fail = |unit: &str, what: String| unhealthy(host, unit, what);
    let units: Vec<String> = services.iter().map(|service| app.unit(service)).collect();
    let states = shown(host, &units).map_err(|(unit, what)| fail(&unit, what))?;
    for ((service, unit), state) in services.iter().zip(units).zip(states) {
        let state = active(state).map_err(|what| fail(&unit, what))?;
        let running = state
            .main_pid()
            .and_then(|pid| release_of(pid, app.name.as_str()));
        let expected = service
            .exec
            .first()
            .is_some_and(|program| program.as_str().starts_with(&app.layout.current()));
        let wanted = pins
            .get(service.name.as_str())
            .map_or(release, String::as_str);
        if expected && running.as_deref() != Some(wanted) {
            let runs = running.as_deref().unwrap_or("no release that can be seen");
            return Err(fail(&unit, format!("it runs {runs}, not `{wanted}`")));
        }
        counts.push((unit, state));
    }
    let settled_from = Stopwatch::start();
    for service in &services {
        for verdict in check_service(host, app, service, trace) {
            if let Some(wrong) = verdict.wrong() {
                return Err(fail(&verdict.unit, wrong));
            }
            verdicts.push(verdict);
        }
    }
    let whole = settle_time(&services).saturating_sub(settled_from.elapsed());
    settle(host, &counts, whole).map_err(|(unit, what)| fail(&unit, what))?;
    for service in &services {
        still_answers(host, app, service, trace).map_err(|what| fail(&app.unit(service), what))?;
    }
    Ok(verdicts)
}

/// Runs the jobs of timers whose checks ask for it, on the release that is live now.
///
/// # Errors
/// The first that does not succeed.
pub fn run_jobs(
    host: &Host,
    app: &App,
    skip: &dyn Fn(&str) -> bool,
    trace: &str,
) -> Result<Vec<Verdict>, Unhealthy> {
    let mut verdicts = Vec::new();
    let jobs = app.services.iter().filter(|service| {
        service.timer.is_some() && service.enable && !skip(&app.timer_unit(service))
    });
    for service in jobs.filter(|service| !skip(&app.unit(service))) {
        for verdict in check_service(host, app, service, trace) {
            if let Some(wrong) = verdict.wrong() {
                return Err(unhealthy(host, &verdict.unit, wrong));
            }
            verdicts.push(verdict);
        }
    }
    Ok(verdicts)
}

fn unhealthy(host: &Host, unit: &str, what: String) -> Unhealthy {
    let lines = host.systemd.last_lines(unit, 8);
    Unhealthy {
        unit: unit.to_owned(),
        what: with_advice(what, &lines),
        lines,
    }
}

/// The unit's state once it is active; what it is instead otherwise.
fn up(host: &Host, unit: &str) -> Result<UnitState, String> {
    let state = host.systemd.show_one(unit);
    state.map_err(|error| format!("{error:#}")).and_then(active)
}

fn active(state: UnitState) -> Result<UnitState, String> {
    match state.is_active() {
        true => Ok(state),
        false => Err(cause_text(&state)),
    }
}

/// What systemd knows of the units; a failure is told of the first.
fn shown(host: &Host, units: &[String]) -> Result<Vec<UnitState>, (String, String)> {
    host.systemd.show(units).map_err(|error| {
        let first = units.first().cloned().unwrap_or_default();
        (first, format!("{error:#}"))
    })
}

/// The longest time for which one of these must stay up.
pub fn settle_time(services: &[&Service]) -> Duration {
    let longest = services.iter().flat_map(|service| &service.checks);
    let longest = longest.filter_map(|check| match &check.probe {
        Probe::Settle(span) => Some(span.duration),
        _ => None,
    });
    longest.max().unwrap_or(DEFAULT_SETTLE)
}

/// Watches for a while: no unit may restart or go down meanwhile. `counts` holds units as they
/// were at its beginning.
///
/// # Errors
/// The unit, and what became of it.
pub fn settle(
    host: &Host,
    counts: &[(String, UnitState)],
    whole: Duration,
) -> Result<(), (String, String)> {
    let units: Vec<String> = counts.iter().map(|(unit, _)| unit.clone()).collect();
    let look = || -> Result<(), (String, String)> {
        let states = shown(host, &units)?;
        for ((unit, before), now) in counts.iter().zip(states) {
            let now = active(now).map_err(|what| (unit.clone(), what))?;
            let same = |name: &str| now.get(name) == before.get(name);
            if !same("NRestarts") || !same("InvocationID") {
                return Err((unit.clone(), "it restarted by itself".to_owned()));
            }
        }
        Ok(())
    };
    let mut outcome = Ok(());
    let _: Result<(), ()> = wait_until(whole, || {
        outcome = look();
        if outcome.is_err() { Ok(()) } else { Err(()) }
    });
    match counts.first() {
        Some((unit, _)) if interrupted() => Err((unit.clone(), "interrupted".to_owned())),
        _ => outcome,
    }
}

/// Looks once more at what answers: processes behind a main process that stays up may have died
/// after the first look.
///
/// # Errors
/// What was seen in place of an answer.
pub fn still_answers(host: &Host, app: &App, service: &Service, trace: &str) -> Result<(), String> {
    let asks = |check: &&Check| {
        matches!(
            check.probe,
            Probe::Http { .. } | Probe::Tcp(_) | Probe::Unix(_)
        )
    };
    let mut checks = service.checks.iter().filter(asks).peekable();
    if checks.peek().is_none() {
        return Ok(());
    }
    let who = CheckedService::of(host, app, service);
    for check in checks {
        look(host, &who, check, trace).map_err(|what| {
            let check = wanted(&describe(service, &check.probe));
            format!("{check}: {what}")
        })?;
    }
    Ok(())
}

/// A service that is looked at, and how it was at first.
struct CheckedService<'a> {
    service: &'a Service,
    unit: String,
    first: UnitState,
}

impl<'a> CheckedService<'a> {
    fn of(host: &Host, app: &App, service: &'a Service) -> Self {
        let unit = app.unit(service);
        Self {
            service,
            first: host.systemd.show_one(&unit).unwrap_or_default(),
            unit,
        }
    }

    /// What became of it, when nobody will answer any more.
    fn gone(&self, host: &Host) -> Option<String> {
        let now = host.systemd.show_one(&self.unit).ok()?;
        let was_up = self.first.is_active();
        if now.is_active() {
            let another = self.first.get("InvocationID") != now.get("InvocationID");
            return (was_up && another).then(|| "it restarted by itself".to_owned());
        }
        let down = now.is_failed() || now.get("ActiveState") == "inactive";
        // The first request may start what waits behind a socket.
        let for_good = down && (was_up || !self.service.has_socket_unit());
        let again = now.get("SubState").starts_with("auto-restart");
        (for_good || again).then(|| cause_text(&now))
    }
}

/// Looks until what is looked at passes or the check's time is over, or the service has ended. No
/// look goes on after that, whatever is looked at.
fn look(host: &Host, who: &CheckedService<'_>, check: &Check, trace: &str) -> Result<(), String> {
    let within = check.within.duration;
    let over = Deadline::after(within);
    let mut gone = None;
    let seen = wait_until(within, || {
        let patience = over.left().clamp(MIN_PROBE_TIME, PROBE_TIMEOUT);
        let end = Deadline::after(patience);
        let seen = probe(host, who.service, &check.probe, trace, end);
        gone = seen.as_ref().err().and_then(|_| who.gone(host));
        match gone {
            Some(_) => Ok(()),
            None => seen,
        }
    });
    match gone {
        Some(what) => Err(what),
        None => seen.map_err(|what| match who.service.socket {
            Socket::Direct if what.starts_with("Connection refused") => {
                format!("{what}: the program must bind the address in `listen` itself")
            }
            _ => what,
        }),
    }
}

/// Runs the checks of one service; each is tried until it passes or its time is over.
pub fn check_service(host: &Host, app: &App, service: &Service, trace: &str) -> Vec<Verdict> {
    let unit = app.unit(service);
    let who = OnceCell::new();
    let who = || who.get_or_init(|| CheckedService::of(host, app, service));
    let verdict = |check: &Check| {
        let start = Stopwatch::start();
        let result = match &check.probe {
            Probe::Settle(_) => up(host, &unit).map(drop),
            Probe::Job => run_job(host, &unit, check.within.duration),
            Probe::Command(argv) => command(host, app, service, check, argv),
            Probe::Http { .. } | Probe::Tcp(_) | Probe::Unix(_) => look(host, who(), check, trace),
        };
        Verdict {
            unit: unit.clone(),
            check: describe(service, &check.probe),
            failure: result.err(),
            millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    };
    service.checks.iter().map(verdict).collect()
}
