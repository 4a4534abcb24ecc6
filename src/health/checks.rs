//! Running the checks of one service.

use super::cause::cause_failure;
use super::explained::{explanation, in_words};
use super::probe::{describe, kind, probe};
use super::run::Run;
use super::settle::{active, no_answer};
use super::stopped::unmet_in_words;
use super::verdict::{Verdict, failed_check};
use crate::app::{App, Check, Listen, Probe, Service, Socket, Text};
use crate::failure::Failure;
use crate::host::{
    Deadline, Host, Stopwatch, UnitStatus, addresses_of, members, release_of_unit, wait_until,
};
use crate::render::ReleaseMount;
use crate::transient::job::{check_job, job_unit};
use crate::transient::unit::{RunFailure, run_to_end};
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::time::Duration;

/// The shortest time for one attempt.
const MIN_PROBE_TIME: Duration = Duration::from_secs(1);
/// The longest time for one attempt: a broken service behind a socket lets clients wait.
const MAX_PROBE_TIME: Duration = Duration::from_secs(5);
/// How many lines of a check command an error shows.
const COMMAND_LINES: usize = 3;

/// Runs the checks of a service. Each is repeated until it passes or its time is over. `before` is the
/// status of its unit, if it is known.
pub(crate) fn check_service(
    host: &Host,
    app: &App,
    service: &Service,
    before: Option<&UnitStatus>,
    trace: &str,
) -> Vec<Verdict> {
    let unit = app.unit(service);
    let checked = OnceCell::new();
    let checked = || checked.get_or_init(|| CheckedService::new(host, app, service, before));
    let verdict = |check: &Check| {
        let start = Stopwatch::start();
        let result = match &check.probe {
            Probe::Settle(_) => is_up(host, &unit, before),
            Probe::Job => {
                let run = run_to_end(&host.systemd, &unit, check.within.duration);
                run.map_err(|failure| run_failure(&failure))
            }
            Probe::Command(argv) => run_command(host, app, service, check, argv),
            Probe::Http { .. } | Probe::Tcp(_) | Probe::Unix(_) => {
                repeat(host, checked(), check, trace)
            }
        };
        let mut what = describe(service, &check.probe);
        if check.probe == Probe::Job
            && host
                .systemd
                .show_one(&unit)
                .is_ok_and(|one| one.is_skipped())
        {
            what = format!(
                "the job was not run: {}",
                unmet_in_words(&service.conditions)
            );
        }
        Verdict {
            unit: unit.clone(),
            check: what,
            failure: result.err(),
            millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            kind: kind(&check.probe),
        }
    };
    service.checks.iter().map(verdict).collect()
}

/// Repeats the checks that ask the service, after the settle time: worker processes may have died
/// while the main process stayed up.
///
/// # Errors
/// The check, and what was seen instead.
pub(crate) fn still_answers(
    host: &Host,
    app: &App,
    service: &Service,
    before: Option<&UnitStatus>,
    trace: &str,
) -> Result<(), Failure> {
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
    let checked = CheckedService::new(host, app, service, before);
    for check in checks {
        repeat(host, &checked, check, trace).map_err(|what| {
            failed_check(&describe(service, &check.probe), kind(&check.probe), &what)
        })?;
    }
    Ok(())
}

/// Whether a unit is up. Its main process tells, if it is known and still runs.
fn is_up(host: &Host, unit: &str, before: Option<&UnitStatus>) -> Result<(), Failure> {
    if before.is_some_and(|state| Run::of(state).is_known_to_last()) {
        return Ok(());
    }
    let state = host.systemd.show_one(unit);
    let state = state.map_err(|error| no_answer(&error))?;
    active(state).map(drop)
}

/// A service, and its status before the checks.
struct CheckedService<'a> {
    service: &'a Service,
    unit: String,
    before: Run,
}

impl<'a> CheckedService<'a> {
    fn new(host: &Host, app: &App, service: &'a Service, before: Option<&UnitStatus>) -> Self {
        let unit = app.unit(service);
        let ask = || host.systemd.show_one(&unit).unwrap_or_default();
        Self {
            service,
            before: before.map_or_else(|| Run::of(&ask()), Run::of),
            unit,
        }
    }

    /// Why nothing accepts connections, although the service runs.
    fn does_not_listen(&self, host: &Host) -> String {
        let state = host.systemd.show_one(&self.unit).unwrap_or_default();
        listens_elsewhere(&addresses_of(&members(&state)), &self.service.listen)
    }

    /// Why the service cannot pass its checks any more, if that is so.
    fn lost(&self, host: &Host) -> Option<Failure> {
        if self.before.is_known_to_last() {
            return None;
        }
        let now = host.systemd.show_one(&self.unit).ok()?;
        lost(&self.before.first, &now, self.service.has_socket_unit())
    }
}

/// Why nothing accepted connections, although a program listens on the addresses `found`, and should on `wanted`.
fn listens_elsewhere(found: &[SocketAddr], wanted: &[Listen]) -> String {
    if found.is_empty() {
        return "the program must bind the address in `listen` itself".to_owned();
    }
    let is_open = |listen: &Listen| {
        found.iter().any(|open| match listen {
            Listen::Tcp(address) => {
                let accepts = open.ip() == address.ip() || open.ip().is_unspecified();
                open.port() == address.port() && accepts
            }
            Listen::AnyAddress(port) => open.port() == *port && open.ip().is_unspecified(),
            Listen::Unix(_) => false,
        })
    };
    let list = |texts: Vec<String>| texts.join(", ");
    let open = list(found.iter().map(ToString::to_string).collect());
    if wanted.iter().all(is_open) {
        return format!(
            "the program listens on {open} by now: it listens too late, or the check asks another address"
        );
    }
    let wanted = list(wanted.iter().map(ToString::to_string).collect());
    format!("the program listens on {open}, and `listen` says {wanted}")
}

fn lost(before: &UnitStatus, now: &UnitStatus, has_socket_unit: bool) -> Option<Failure> {
    let was_up = before.is_active();
    if now.is_active() {
        let another_run = before.invocation_id != now.invocation_id;
        return (was_up && another_run).then(|| Failure::public("it restarted by itself"));
    }
    // The first request may start a service that has a socket unit.
    let is_final = now.is_down() && (was_up || !has_socket_unit);
    let restarts = now.sub_state.starts_with("auto-restart");
    (is_final || restarts).then(|| cause_failure(now))
}

/// Repeats a probe until it passes, the check's time is over, or the service has ended. No attempt
/// lasts longer than that time.
fn repeat(
    host: &Host,
    checked: &CheckedService<'_>,
    check: &Check,
    trace: &str,
) -> Result<(), Failure> {
    let within = check.within.duration;
    let deadline = Deadline::after(within);
    let mut lost = None;
    let seen = wait_until(within, || {
        let time = deadline.left().clamp(MIN_PROBE_TIME, MAX_PROBE_TIME);
        let seen = probe(
            host,
            checked.service,
            &check.probe,
            trace,
            Deadline::after(time),
        );
        lost = seen.as_ref().err().and_then(|_| checked.lost(host));
        if lost.is_some() { Ok(()) } else { seen }
    });
    match lost {
        Some(what) => Err(what),
        None => seen.map_err(|what| match checked.service.socket {
            Socket::Direct if what.summary().starts_with("Connection refused") => {
                Failure::public(format!("{what}: {}", checked.does_not_listen(host)))
            }
            _ => what,
        }),
    }
}

/// Runs a check command until it succeeds or the check's time is over: as the service's user, in its
/// sandbox and environment, on the release that the service runs.
fn run_command(
    host: &Host,
    app: &App,
    service: &Service,
    check: &Check,
    argv: &[Text],
) -> Result<(), Failure> {
    if host.is_offline() {
        return Err(Failure::public("a command needs a running host"));
    }
    let text = |error: anyhow::Error| Failure::of(&error);
    let job = check_job(service, argv, &check.within).map_err(text)?;
    let state = host.systemd.show_one(&app.unit(service)).map_err(text)?;
    let release = release_of_unit(&state, app.name.as_str());
    let mount = match &release {
        Ok(id) => ReleaseMount::Pinned(id),
        Err(_) => ReleaseMount::Current,
    };
    let mut unit = job_unit(host, app, &job, mount).map_err(text)?;
    unit.put().map_err(text)?;
    let within = check.within.duration;
    let deadline = Deadline::after(within);
    let outcome = wait_until(within, || unit.run(deadline.left().max(MIN_PROBE_TIME)));
    let outcome = outcome.map_err(|failure| {
        let (failure, log) = (run_failure(&failure), unit.run_log());
        let known = explanation(host, app, (service, mount), &log).map(|known| in_words(&known));
        let known = known.map(|text| format!("; {text}")).unwrap_or_default();
        let lines = log.last_lines(COMMAND_LINES, 0).join("; ");
        let detail = format!("{failure}{known}: {lines}");
        failure.with_detail(detail).into()
    });
    unit.remove_after(outcome).map_err(text)
}

/// Why a run failed.
pub(crate) fn run_failure(failure: &RunFailure) -> Failure {
    match failure {
        RunFailure::Failed(state) => cause_failure(state),
        RunFailure::Timeout(_) | RunFailure::Interrupted => Failure::public(failure.to_string()),
        RunFailure::Unknown(error) => no_answer(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{listens_elsewhere, lost};
    use crate::app::Listen;
    use crate::host::{ActiveState, UnitStatus};

    #[test]
    fn a_program_that_listens_where_it_should_listens_too_late() {
        let late = "it listens too late, or the check asks another address";
        for (found, wanted, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", late),
            ("0.0.0.0:80", "127.0.0.1:80", late),
            ("[::]:80", ":80", late),
            ("127.0.0.1:81", "127.0.0.1:80", "`listen` says 127.0.0.1:80"),
            ("127.0.0.1:80", ":80", "`listen` says"),
        ] {
            let (found, wanted) = (found.parse().unwrap(), Listen::parse(wanted).unwrap());
            let text = listens_elsewhere(&[found], &[wanted]);
            assert!(text.contains(expected), "{text}");
        }
        let text = listens_elsewhere(&[], &[]);
        assert!(text.contains("must bind the address"), "{text}");
    }

    #[test]
    fn a_service_that_ended_fails_its_checks_at_once() {
        let status = |active_state, sub_state: &str| UnitStatus {
            active_state,
            sub_state: sub_state.to_owned(),
            ..UnitStatus::default()
        };
        let up = status(ActiveState::Active, "running");
        let down = status(ActiveState::Inactive, "dead");
        let failed = status(ActiveState::Failed, "failed");
        let starting = status(ActiveState::Activating, "start");
        let restarting = status(ActiveState::Activating, "auto-restart");
        let another = UnitStatus {
            invocation_id: Some("b".to_owned()),
            ..up.clone()
        };
        for (before, now, has_socket_unit, is_lost) in [
            (&up, &up, false, false),
            (&up, &another, false, true),
            (&up, &failed, true, true),
            (&down, &down, false, true),
            // Its socket starts it with the first request.
            (&down, &down, true, false),
            (&down, &starting, true, false),
            (&down, &another, true, false),
            (&down, &restarting, true, true),
        ] {
            let found = lost(before, now, has_socket_unit);
            assert_eq!(found.is_some(), is_lost, "{before:?} {now:?}");
        }
    }
}
