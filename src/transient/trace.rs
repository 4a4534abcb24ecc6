//! A second instance of a live service, which may make every system call and whose denied ones the kernel logs.

use super::precheck::PreCheckInstance;
use super::unit::TransientUnit;
use crate::app::{App, Service, Target};
use crate::health::{cause_failure, check_service};
use crate::host::{Host, defer_signals, interrupted, interruptible, wait_until};
use crate::sandbox::calls::logging_drop_in;
use anyhow::Result;
use std::time::Duration;

/// How much longer than asked for systemd lets an instance run, whatever became of robotctl: for its start and the
/// checks.
const SLACK: Duration = Duration::from_secs(120);

/// How a traced instance came to its end.
#[derive(Debug)]
pub(crate) enum TraceEnd {
    /// It ran for the whole time.
    InTime,
    /// It ended by itself, and why.
    ByItself(String),
    /// The user interrupted it.
    Interrupted,
}

/// Runs an instance on the release `id` for a time, with the checks of its service, and removes it, also after a
/// signal. Says how it came to an end.
///
/// # Errors
/// When the instance cannot be made or removed. That it fails is no error.
pub(crate) fn run_traced(
    host: &Host,
    app: &App,
    service: &Service,
    (target, id): (Target, &str),
    (time, trace): (Duration, &str),
) -> Result<TraceEnd> {
    let instance = PreCheckInstance::new(app, service)?;
    let filter = logging_drop_in(&app.shape(service), &service.sandbox.directives, target);
    // It has no filter of system calls, so that it may not outlive a robotctl that is killed.
    let seconds = time.saturating_add(SLACK).as_secs();
    let drop_in = format!("{filter}RuntimeMaxSec={seconds}\n");
    let unit = instance.unit(host, app, (target, id), Some(drop_in))?;
    let _signals = defer_signals();
    unit.put()?;
    let ended = interruptible(|| {
        let ended = watch(host, app, &instance, &unit, (time, trace));
        match (interrupted(), ended) {
            (true, _) => TraceEnd::Interrupted,
            (false, None) => TraceEnd::InTime,
            (false, Some(why)) => TraceEnd::ByItself(why),
        }
    });
    unit.remove()?;
    Ok(ended)
}

/// Starts the instance, runs the checks of its service, and waits. Returns how the instance ended by itself.
fn watch(
    host: &Host,
    app: &App,
    instance: &PreCheckInstance<'_>,
    unit: &TransientUnit<'_>,
    (time, trace): (Duration, &str),
) -> Option<String> {
    let started = unit.start();
    let state = host.systemd.show_one(unit.name()).unwrap_or_default();
    if started.is_ok() && state.is_active() {
        // Only a request makes a server do its work. What the checks find is not asked here.
        let check = || check_service(host, app, instance.service(), Some(&state), trace);
        let _ = instance.in_its_network(host, unit, &state, check);
        let has_ended = || match host.systemd.show_one(unit.name()) {
            Ok(state) if state.is_active() => Err(()),
            _ => Ok(()),
        };
        let _ = wait_until(time, has_ended);
    }
    match host.systemd.show_one(unit.name()) {
        Ok(state) if state.is_active() => None,
        Ok(state) => Some(cause_failure(&state).to_string()),
        Err(error) => Some(format!("{error:#}")),
    }
}
