//! Settings: the environment file and the secrets.

use crate::app::App;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::settings::{Fault, env_file_faults, missing_variables, secret_faults};
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

fn findings(faults: Vec<Fault>) -> Vec<Finding> {
    let finding = |fault: Fault| {
        let severity = match fault.is_error {
            true => Severity::Error,
            false => Severity::Warning,
        };
        Finding::with_steps(severity, fault.message, fault.fix)
    };
    faults.into_iter().map(finding).collect()
}
