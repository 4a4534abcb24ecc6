//! A second instance of a live service, which may make every system call and whose denied ones the kernel logs.

use super::precheck::PreCheckInstance;
use crate::app::{App, Service, Target};
use crate::health::{cause_failure, check_service};
use crate::host::{Host, wait_until};
use crate::sandbox::calls::logging_drop_in;
use anyhow::Result;
use std::time::Duration;

/// Runs an instance on the release `id` for a time, with the checks of its service, and removes it. Returns how the
/// instance ended, if it did not run until the end of the time.
///
/// # Errors
/// When the instance cannot be made or removed. That it fails is no error.
pub(crate) fn run_traced(
    host: &Host,
    app: &App,
    service: &Service,
    (target, id): (Target, &str),
    (time, trace): (Duration, &str),
) -> Result<Option<String>> {
    let instance = PreCheckInstance::new(app, service)?;
    let drop_in = logging_drop_in(&app.shape(service), &service.sandbox.directives, target);
    let unit = instance.unit(host, app, (target, id), Some(drop_in))?;
    unit.put()?;
    let started = unit.start();
    let state = host.systemd.show_one(unit.name())?;
    if started.is_ok() && state.is_active() {
        // Only a request makes a server do its work. What the checks find is not asked here.
        let check = || check_service(host, app, instance.service(), Some(&state), trace);
        let _ = instance.in_its_network(host, &unit, &state, check);
        let has_ended = || match host.systemd.show_one(unit.name()) {
            Ok(state) if state.is_active() => Err(()),
            _ => Ok(()),
        };
        let _ = wait_until(time, has_ended);
    }
    let state = host.systemd.show_one(unit.name());
    let ended = match state {
        Ok(state) if state.is_active() => None,
        Ok(state) => Some(cause_failure(&state).to_string()),
        Err(error) => Some(format!("{error:#}")),
    };
    unit.remove()?;
    Ok(ended)
}
