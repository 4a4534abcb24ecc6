//! The package of the app, compared with what is live.

use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use anyhow::Result;

/// Whether the version that dpkg has installed is live.
pub(in crate::doctor) fn package(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let store = context.store;
    let (Some(package), Some(live)) = (store.installed_package()?, &context.state.live) else {
        return Ok(Vec::new());
    };
    let tried = store
        .tried_package()?
        .filter(|tried| tried.package == package);
    let what = match &tried {
        Some(tried) if *live == tried.release => return Ok(Vec::new()),
        Some(tried) => match store.failure_reason(&tried.release).ok().flatten() {
            Some(_) => format!("its release {} failed", tried.release),
            None => format!(
                "you have deployed another release than its {}",
                tried.release
            ),
        },
        None => "its release was not deployed".to_owned(),
    };
    let deploy = CommandLine::sudo_robotctl([""; 0])
        .option("--environment", context.release.environment.as_deref())
        .arg("deploy")
        .arg("--from-package")
        .arg(context.name.as_str())
        .arg("--force")
        .arg("--apply");
    Ok(vec![Finding::new(
        Severity::Warning,
        format!(
            "version {} of the package {} is installed, but {what}: {live} is live",
            package.version, package.name
        ),
        Hint::to(
            "install a newer version, or deploy this one in any case",
            deploy,
        ),
    )])
}
