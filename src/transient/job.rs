//! Hooks and check commands as transient units, in the sandbox of their service.

use super::unit::TransientUnit;
use crate::app::{App, Hooks, Name, Service, Span, Target, Text};
use crate::host::{self, Host};
use crate::render::{ReleaseMount, derive, job};
use anyhow::{Result, anyhow};

/// What follows the app's name in the name of a check command's unit. The process id of its
/// `robotctl` comes next, so that a check and a deploy at the same time use different units.
const CHECK: &str = "check";
/// The same for the unit of a probe. A number follows the process id.
const PROBE: &str = "probe";
/// The same for the unit of a one-off command.
const RUN: &str = "run";

/// The transient unit of a job on a release.
///
/// # Errors
/// When its files cannot be rendered.
pub(crate) fn job_unit<'a>(
    host: &'a Host,
    app: &App,
    service: &Service,
    mount: ReleaseMount<'_>,
) -> Result<TransientUnit<'a>> {
    let tree = job(app, service, target(host, app), mount)?;
    Ok(TransientUnit::from_files(host, app.unit(service), tree))
}

/// The systemd version that units are rendered for.
pub(super) fn target(host: &Host, app: &App) -> Target {
    app.target.unwrap_or_else(|| {
        let version = host.systemd.version();
        version.map_or(Target::Portable, Target::Version)
    })
}

/// A check command of a service as a job.
///
/// # Errors
/// When the name of the job is not valid.
pub(crate) fn check_job(service: &Service, argv: &[Text], within: &Span) -> Result<Service> {
    let name = job_name(&format!("{CHECK}{}", host::pid()))?;
    Ok(derive::check_command(service, name, argv, within))
}

/// A job with the sandbox of a service, for a probe. It has the service's command, on which its directories
/// depend, and must run another one.
///
/// # Errors
/// When the name of the job is not valid.
pub(super) fn probe_job(service: &Service, number: usize) -> Result<Service> {
    let name = job_name(&format!("{PROBE}{}-{number}", host::pid()))?;
    let argv = &service.exec;
    let job = derive::check_command(service, name, argv, &service.timeout_start);
    Ok(Service {
        secrets: Vec::new(),
        secret_variables: Vec::new(),
        ..job
    })
}

/// A job with the sandbox, the settings and the secrets of a service, for a one-off command. It has the service's own
/// command, on which its directories depend, and must run another one.
///
/// # Errors
/// When the name of the job is not valid.
pub(super) fn one_off_job(service: &Service) -> Result<Service> {
    let name = job_name(&format!("{RUN}{}", host::pid()))?;
    Ok(derive::check_command(
        service,
        name,
        &service.exec,
        &service.timeout_start,
    ))
}

/// The unit that makes the attempts of a probe without a sandbox.
pub(super) fn control_unit(app: &App) -> String {
    app.unit_called(&format!("{PROBE}{}-control{}", host::pid(), Hooks::SUFFIX))
}

fn job_name(start: &str) -> Result<Name> {
    let name = format!("{start}{}", Hooks::SUFFIX);
    Name::parse(&name).map_err(|rule| anyhow!("`{name}`: {rule}"))
}

/// Whether a unit of an app, or its directory of drop-ins, belongs to a check command or a probe whose
/// `robotctl` still runs.
pub(super) fn is_running_check(unit: &str, app: &str) -> bool {
    let name = unit
        .strip_prefix(app)
        .and_then(|rest| rest.strip_prefix('-'));
    let mut starts = [CHECK, PROBE, RUN].into_iter();
    let rest = name.and_then(|name| starts.find_map(|start| name.strip_prefix(start)));
    let digits = rest.and_then(|rest| rest.split_once(Hooks::SUFFIX)?.0.split('-').next());
    let pid = digits.and_then(|digits| digits.parse().ok());
    pid.is_some_and(host::is_running)
}

#[cfg(test)]
mod tests {
    use super::is_running_check;

    #[test]
    fn a_check_runs_while_its_robotctl_runs() {
        let own = format!("demo-check{}-hook.service", std::process::id());
        assert!(is_running_check(&own, "demo"));
        assert!(is_running_check(&format!("{own}.d"), "demo"));
        let probe = format!("demo-probe{}-0-hook.service", std::process::id());
        assert!(is_running_check(&probe, "demo"));
        let control = format!("demo-probe{}-control-hook.service", std::process::id());
        assert!(is_running_check(&control, "demo"));
        assert!(!is_running_check(&own, "other"));
        for unit in [
            "demo-check0-hook.service",
            "demo-probe0-1-hook.service",
            "demo-check-hook.service",
            "demo-before-switch-hook.service",
            "demo-check1.service",
        ] {
            assert!(!is_running_check(unit, "demo"), "{unit}");
        }
    }
}
