//! Deciding health: is it up, is it the right release, does it answer, does it stay up.
//!
//! `active` is not success: a Gunicorn whose workers die after READY is active for half a
//! minute. Success is the checks passed, no restart over the settle time, and a main process
//! that really runs the release.

mod http;

pub use http::{Address, Answer, get};

use crate::host::{Host, UnitState, release_of, wait_until};
use crate::model::{App, Check, Listen, Probe, Service};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How long a service must stay up without a restart when no check says otherwise.
pub const SETTLE: Duration = Duration::from_secs(3);

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
    for service in &services {
        let unit = app.unit(service);
        let state = up(host, &unit).map_err(|what| fail(&unit, what))?;
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
    let settled_from = Instant::now();
    for service in &services {
        for verdict in check_service(host, app, service, trace) {
            if let Some(failure) = &verdict.failure {
                return Err(fail(&verdict.unit, format!("{}: {failure}", verdict.check)));
            }
            verdicts.push(verdict);
        }
    }
    settle(host, &services, &counts, settled_from).map_err(|(unit, what)| fail(&unit, what))?;
    Ok(verdicts)
}

fn unhealthy(host: &Host, unit: &str, what: String) -> Unhealthy {
    Unhealthy {
        unit: unit.to_owned(),
        what,
        lines: host.systemd.last_lines(unit, 8),
    }
}

/// The unit's state once it is active; what it is instead otherwise.
fn up(host: &Host, unit: &str) -> Result<UnitState, String> {
    let state = host
        .systemd
        .show_one(unit)
        .map_err(|error| format!("{error:#}"))?;
    if state.is_active() {
        return Ok(state);
    }
    Err(format!(
        "it is {} ({})",
        state.get("ActiveState"),
        state.get("Result")
    ))
}

/// Watches until the settle time is over: no unit may restart or go down meanwhile.
fn settle(
    host: &Host,
    services: &[&Service],
    counts: &[(String, UnitState)],
    from: Instant,
) -> Result<(), (String, String)> {
    let longest = services.iter().flat_map(|service| &service.checks);
    let longest = longest.filter_map(|check| match &check.probe {
        Probe::Settle(span) => Some(span.duration),
        _ => None,
    });
    let whole = longest.max().unwrap_or(SETTLE);
    let mut outcome = Ok(());
    let _: Result<(), ()> = wait_until(whole.saturating_sub(from.elapsed()), || {
        for (unit, before) in counts {
            let now = match up(host, unit) {
                Ok(now) => now,
                Err(what) => {
                    outcome = Err((unit.clone(), what));
                    return Ok(());
                }
            };
            if now.get("NRestarts") != before.get("NRestarts")
                || now.get("InvocationID") != before.get("InvocationID")
            {
                outcome = Err((unit.clone(), "it restarted by itself".to_owned()));
                return Ok(());
            }
        }
        Err(())
    });
    outcome
}

/// Runs the checks of one service; each is tried until it passes or its time is over.
pub fn check_service(host: &Host, app: &App, service: &Service, trace: &str) -> Vec<Verdict> {
    let unit = app.unit(service);
    let verdict = |check: &Check| {
        let start = Instant::now();
        let within = match check.probe {
            Probe::Settle(_) => Duration::ZERO,
            _ => check.within.duration,
        };
        let result = wait_until(within, || probe(host, &unit, service, check, trace));
        Verdict {
            unit: unit.clone(),
            check: describe(service, &check.probe),
            failure: result.err(),
            millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    };
    service.checks.iter().map(verdict).collect()
}

/// A check in words.
fn describe(service: &Service, probe: &Probe) -> String {
    match probe {
        Probe::Http {
            address,
            path,
            status,
            ..
        } => match http_address(service, *address) {
            Some(address) => format!("GET {address}{path} gives {status}"),
            None => format!("GET {path} gives {status}"),
        },
        Probe::Tcp(address) => format!("{address} accepts"),
        Probe::Unix(path) => format!("{path} accepts"),
        Probe::Command(argv) => {
            let words: Vec<&str> = argv.iter().map(crate::model::Text::as_str).collect();
            format!("`{}` succeeds", words.join(" "))
        }
        Probe::Settle(span) => format!("stays up for {}", span.text),
    }
}

fn http_address(service: &Service, address: Option<std::net::SocketAddr>) -> Option<Address> {
    if let Some(address) = address {
        return Some(Address::Tcp(address));
    }
    service.listen.iter().find_map(|listen| match listen {
        Listen::Unix(path) => Some(Address::Unix(path.to_string())),
        other => other.local_address().map(Address::Tcp),
    })
}

/// Looks once.
fn probe(
    host: &Host,
    unit: &str,
    service: &Service,
    check: &Check,
    trace: &str,
) -> Result<(), String> {
    // A broken service behind a socket lets clients hang: one look is short.
    let patience = check
        .within
        .duration
        .min(Duration::from_secs(5))
        .max(Duration::from_secs(1));
    match &check.probe {
        Probe::Http {
            address,
            path,
            status,
            contains,
        } => {
            let address = http_address(service, *address).ok_or("it has no address")?;
            let answer = get(&address, path.as_str(), trace, patience)?;
            if answer.status != *status {
                return Err(format!("it answers {}", answer.status));
            }
            match contains {
                Some(text) if !answer.body.contains(text.as_str()) => {
                    Err(format!("its body does not hold `{text}`"))
                }
                _ => Ok(()),
            }
        }
        Probe::Tcp(address) => std::net::TcpStream::connect_timeout(address, patience)
            .map(drop)
            .map_err(|error| error.to_string()),
        Probe::Unix(path) => std::os::unix::net::UnixStream::connect(host.root.path(path.as_str()))
            .map(drop)
            .map_err(|error| error.to_string()),
        Probe::Command(argv) => {
            let argv = argv.iter().map(ToString::to_string);
            let command = crate::host::Command::new(argv);
            command
                .run()
                .map(drop)
                .map_err(|error| format!("{error:#}"))
        }
        Probe::Settle(_) => up(host, unit).map(drop),
    }
}
