//! Whether a release is healthy: its services run it, pass their checks and stay up.

use super::checks::{check_service, still_answers};
use super::explained::{explained, log_of};
use super::proof::Proof;
use super::settle::{UnitFailure, active, settle};
use super::stopped::settled_daemons;
use super::verdict::Verdict;
use crate::app::{App, Service};
use crate::failure::Failure;
use crate::host::{Host, Stopwatch, Undetermined, UnitStatus, release_of_unit, wait_until};
use crate::render::ReleaseMount;
use crate::store::State;
use std::time::Duration;

/// How long systemd may take to make the mounts of a process.
const MOUNT_TIME: Duration = Duration::from_secs(1);

/// How often the checks of a release run again, because someone else has restarted a service meanwhile.
const MAX_RESTARTS_BY_OTHERS: u32 = 2;

/// Checks daemons of an app. Passes when all are healthy on a release that they may run after `state`.
/// `daemons` holds the units to check, with the status after their start. `proof` shortens the settle
/// time.
///
/// A person or a program such as needrestart(1) may restart a service meanwhile. The checks that this
/// disturbs run again.
///
/// # Errors
/// The first problem.
pub(crate) fn verify(
    host: &Host,
    app: &App,
    daemons: Vec<(String, UnitStatus)>,
    state: &State,
    proof: &Proof,
    trace: &str,
) -> Result<Vec<Verdict>, Failure> {
    let mut daemons = daemons;
    for _ in 0..MAX_RESTARTS_BY_OTHERS {
        let seen = verify_once(host, app, daemons.clone(), state, proof, trace);
        match seen
            .is_err()
            .then(|| restarted_by_others(host, app, &daemons))
        {
            Some(Some(now)) => daemons = now,
            Some(None) | None => return seen,
        }
    }
    verify_once(host, app, daemons, state, proof, trace)
}

/// The daemons as they are now, if someone else than systemd has restarted one of them and it is up again.
fn restarted_by_others(
    host: &Host,
    app: &App,
    before: &[(String, UnitStatus)],
) -> Option<Vec<(String, UnitStatus)>> {
    let units: Vec<String> = before.iter().map(|(unit, _)| unit.clone()).collect();
    let states = host.systemd.show(&units).ok()?;
    // Without `Restart=`, a request may have started a service again that ended.
    let is_counted = |unit: &str| {
        let service = app.service_of(unit);
        service.is_some_and(|one| one.restart.when != "no" || !one.has_socket_unit())
    };
    let mut both = before.iter().zip(&states);
    both.any(|((unit, before), now)| is_counted(unit) && now.is_restarted_since(before))
        .then(|| settled_daemons(host, app, &|_, _| {}).ok())?
        .map(|settled| {
            settled
                .into_iter()
                .filter(|(unit, _)| units.contains(unit))
                .collect()
        })
}

fn verify_once(
    host: &Host,
    app: &App,
    daemons: Vec<(String, UnitStatus)>,
    state: &State,
    proof: &Proof,
    trace: &str,
) -> Result<Vec<Verdict>, Failure> {
    let services: Vec<&Service> = daemons
        .iter()
        .filter_map(|(unit, _)| app.service_of(unit))
        .collect();
    let fail = |(unit, what): UnitFailure| unhealthy(host, app, &unit, what);
    let first = running_releases(app, &services, daemons, state).map_err(fail)?;
    let settled_from = Stopwatch::start();
    let mut verdicts = Vec::new();
    for (service, (_, state)) in services.iter().zip(&first) {
        verdicts.extend(passed(host, app, service, Some(state), trace)?);
    }
    let left = proof.settle_time(app, &services);
    let must_settle = !left.is_zero();
    let left = left.saturating_sub(settled_from.elapsed());
    settle(host, &first, left).map_err(fail)?;
    for (service, (_, state)) in services.iter().zip(&first).filter(|_| must_settle) {
        still_answers(host, app, service, Some(state), trace)
            .map_err(|what| unhealthy(host, app, &app.unit(service), what))?;
    }
    Ok(verdicts)
}

/// Runs the jobs of timers whose checks ask for it, on the live release.
///
/// # Errors
/// The first job that fails.
pub(crate) fn run_jobs(
    host: &Host,
    app: &App,
    skip: &dyn Fn(&str) -> bool,
    trace: &str,
) -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = Vec::new();
    let jobs = app.services.iter().filter(|service| {
        service.timer.is_some()
            && service.enable
            && !skip(&app.timer_unit(service))
            && !skip(&app.unit(service))
    });
    for service in jobs {
        verdicts.extend(passed(host, app, service, None, trace)?);
    }
    Ok(verdicts)
}

/// Fails when a unit is not active or does not run the right release.
fn running_releases(
    app: &App,
    services: &[&Service],
    daemons: Vec<(String, UnitStatus)>,
    allowed: &State,
) -> Result<Vec<(String, UnitStatus)>, UnitFailure> {
    let mut out = Vec::new();
    for (service, (unit, state)) in services.iter().zip(daemons) {
        let state = active(state).map_err(|what| (unit.clone(), what))?;
        let name = service.name.as_str();
        let what = match started_release(&state, app.name.as_str()) {
            Ok(id) if allowed.may_run(name, &id) => None,
            Ok(id) => {
                let wanted = allowed.starts_from(name);
                let wanted = wanted.map_or("no release", String::as_str);
                Some(format!("it runs {id}, not `{wanted}`"))
            }
            // A program outside the release does not need the release's mount.
            Err(why) => app.runs_from_release(service).then(|| why.to_string()),
        };
        if let Some(what) = what {
            return Err((unit, Failure::public(what)));
        }
        out.push((unit, state));
    }
    Ok(out)
}

/// The release that a service runs which has just started. systemd calls one of type `simple` active before
/// it has made the mounts of its process.
fn started_release(state: &UnitStatus, app: &str) -> Result<String, Undetermined> {
    wait_until(MOUNT_TIME, || match release_of_unit(state, app) {
        Err(Undetermined::NoMount) => Err(Undetermined::NoMount),
        found => Ok(found),
    })?
}

/// The verdicts of a service's checks, when all passed.
fn passed(
    host: &Host,
    app: &App,
    service: &Service,
    before: Option<&UnitStatus>,
    trace: &str,
) -> Result<Vec<Verdict>, Failure> {
    let verdicts = check_service(host, app, service, before, trace);
    for verdict in &verdicts {
        if let Some(wrong) = verdict.wrong() {
            return Err(unhealthy(host, app, &verdict.unit, wrong));
        }
    }
    Ok(verdicts)
}

/// What is wrong with a unit, for root with an explanation and its last lines.
fn unhealthy(host: &Host, app: &App, unit: &str, what: Failure) -> Failure {
    let log = log_of(host, app, unit);
    explained(
        host,
        app,
        (app.service_of(unit), ReleaseMount::Current),
        what,
        &log,
    )
    .after(&format!("`{unit}`"))
}
