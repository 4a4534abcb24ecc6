//! `--from-package`: a deploy by the maintainer script of a package.
//!
//! | the app | the package |
//! |---|---|
//! | is not deployed | goes live |
//! | runs an earlier or later version of the package | goes live |
//! | runs the same release | has nothing to do |
//! | runs another release, and this version was tried before: it failed, or the operator has rolled it back | stays as it is |
//! | runs a release that did not come from the package | stays as it is |
//!
//! `--force` deploys the last two as well.

use super::prepared::Prepared;
use super::request::DeployRequest;
use crate::app::{App, InstalledPackage};
use crate::command_line::CommandLine;
use crate::error::{Error, Kind, fail};
use crate::ops::outcome::Changed;
use crate::plan::Plan;
use crate::store::Store;
use anyhow::Result;

/// The package that the manifest came from, if it did.
pub(super) fn package_of(
    store: &Store,
    prepared: &Prepared<'_>,
) -> Result<Option<InstalledPackage>> {
    match prepared.loaded.is_of_package {
        true => store.installed_package(),
        false => Ok(None),
    }
}

/// Why the package leaves alone what is live, if it does.
pub(super) fn leaves_alone(
    request: &DeployRequest,
    store: &Store,
    prepared: &Prepared<'_>,
    plan: &Plan,
) -> Result<Option<String>> {
    if request.from_package.is_none() || request.force || plan.is_empty() {
        return Ok(None);
    }
    let (Some(live), Some(package)) = (&prepared.observed.live, package_of(store, prepared)?)
    else {
        return Ok(None);
    };
    let InstalledPackage { name, version } = &package;
    let reason = if !package.is_origin(&live.origin) {
        format!(
            "the live release {} did not come from the package {name}, so {version} does not replace it",
            live.id
        )
    } else if live.id != plan.to
        && store
            .tried_package()?
            .is_some_and(|tried| tried.release == plan.to)
    {
        format!(
            "version {version} of the package {name} was live or failed before, so {} stays live",
            live.id
        )
    } else {
        return Ok(None);
    };
    Ok(Some(format!(
        "{reason}; to deploy it: {}",
        again(prepared.app())
    )))
}

/// The command that deploys the package in any case.
fn again(app: &App) -> CommandLine {
    let environment = app.environment.as_ref().map(ToString::to_string);
    CommandLine::sudo_robotctl([""; 0])
        .option("--environment", environment)
        .arg("deploy")
        .arg("--from-package")
        .arg(app.name.as_str())
        .arg("--force")
        .arg("--apply")
}

/// Records that the package was tried, unless robotctl refused it: then the next attempt may succeed.
pub(super) fn record_tried(
    store: &Store,
    prepared: &Prepared<'_>,
    release: &str,
    ended: &Result<Changed, Error>,
) -> Result<()> {
    let was_tried = match ended {
        Ok(_) => true,
        Err(error) => matches!(error.kind, Kind::RolledBack | Kind::Degraded),
    };
    if let Some(package) = package_of(store, prepared)?.filter(|_| was_tried) {
        store.set_tried_package(&package, release)?;
    }
    Ok(())
}

/// Refuses to remove an app of which no package deployed the live release.
pub(crate) fn check_removable(store: &Store) -> Result<bool> {
    let Some(live) = store.state()?.live else {
        return Ok(true);
    };
    let Some(package) = store.installed_package()? else {
        return fail(
            "no package of the app is installed",
            "remove the app without `--from-package`",
        );
    };
    let record = store.release(&live)?;
    Ok(record.is_none_or(|record| package.is_origin(&record.origin)))
}
