//! Settings: the environment file and the secrets.

use super::findings;
use crate::app::App;
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::safe_fix::SafeFix;
use crate::settings::{env_file_faults, missing_variables, secret_faults, stale_services};
use anyhow::Result;

pub(in crate::doctor) fn secrets(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    Ok(findings(secret_faults(&context.host.root, app)?))
}

pub(in crate::doctor) fn env_file(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let root = &context.host.root;
    let mut faults = env_file_faults(root, &app.layout)?;
    faults.extend(missing_variables(root, app)?);
    Ok(findings(faults))
}

/// Services that run with older settings than the files hold.
pub(in crate::doctor) fn settings(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let stale = stale_services(context.host, app)?.into_iter();
    let pins = &context.state.pins;
    let is_pinned = |unit: &str| pins.keys().any(|name| app.unit_called(name) == unit);
    let finding = |(unit, what): (String, String)| {
        let message = format!("settings of `{unit}` changed since it started: {what}");
        let restart = CommandLine::sudo(["systemctl", "restart", unit.as_str()]);
        // A deploy is refused while a service is pinned.
        let is_pinned = is_pinned(&unit);
        let fix = match is_pinned {
            true => vec![Hint::to("restart it", restart)],
            false => vec![
                Hint::to(
                    "restart it as a deploy does, in the directory of the app's robot.toml",
                    CommandLine::sudo_robotctl(["deploy", "--apply"]),
                ),
                Hint::to("or restart it alone", restart),
            ],
        };
        let overlap = (!is_pinned).then_some(SafeFix::Overlap { unit });
        Finding::with_steps(Severity::Warning, message, fix).safely(overlap)
    };
    Ok(stale.map(finding).collect())
}
