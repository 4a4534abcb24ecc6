//! `doctor`: runs the table of checks for every app. Works for any user; what needs root is skipped.

use super::context::Context;
use super::select::{PerApp, nothing_deployed};
use crate::app::{Layout, Name};
use crate::doctor::{
    BareContext, CheckContext, LoadedUnits, Report, checks_without_release, run_checks, skipped,
};
use crate::error::{Claim as _, Error, Kind};
use crate::host::{self, Root};
use crate::store::PublicRelease;
use crate::tree::FileTree;
use crate::units::{UnitFile, is_templated};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The options of `doctor`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DoctorRequest {
    /// Also writes the reports to this file.
    pub(crate) report: Option<PathBuf>,
    /// How long to wait while another `robotctl` changes an app.
    pub(crate) wait: Duration,
    /// Whether to compare the content of every file of the live releases.
    pub(crate) digests: bool,
}

/// What `--report` writes.
#[derive(Debug, Serialize)]
struct WrittenReport<'a> {
    ts: String,
    version: &'static str,
    apps: &'a [Report],
}

/// Runs the checks of every selected app.
///
/// # Errors
/// [`Kind::Refused`] when no app is deployed, unless a report is to be written.
pub(crate) fn run(ctx: &Context<'_>, request: &DoctorRequest) -> Result<PerApp<Report>, Error> {
    let mut all = ctx.for_each_app(|name| report(ctx, name, request))?;
    for report in &mut all.answers {
        let name = Name::parse(&report.app).ok();
        let environment = name.and_then(|name| ctx.store(&name).environment());
        report.for_app(environment.as_deref());
        report.for_root(
            ctx.options
                .root
                .as_deref()
                .filter(|_| ctx.host.is_offline()),
        );
    }
    if let Some(file) = &request.report {
        let written = write(file, &all.answers);
        written.map_err(|error| Error::of_kind(Kind::Degraded, error))?;
    } else if all.answers.is_empty() && all.failed.is_empty() {
        return nothing_deployed().nothing_changed();
    }
    Ok(all)
}

fn write(file: &Path, reports: &[Report]) -> Result<()> {
    let file = host::working_directory()?.join(file);
    let path = file.to_str().context("the report's path is not UTF-8")?;
    let written = WrittenReport {
        ts: host::now().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        apps: reports,
    };
    let json = serde_json::to_string_pretty(&written)? + "\n";
    Root::new(Path::new("/")).write_atomic(path, json.as_bytes(), 0o644)
}

fn report(ctx: &Context<'_>, name: &Name, request: &DoctorRequest) -> Result<Report> {
    let (store, layout) = (ctx.store(name), Layout::new(name));
    // A journal that a running command still writes is not an interrupted change.
    let idle = host::wait_until(request.wait, || {
        let is_busy = store.has_journal().unwrap_or(false) && store.lock_holder().is_some();
        if is_busy { Err(()) } else { Ok(()) }
    });
    if idle.is_err() {
        return Ok(skipped(name, "another `robotctl` is changing this app"));
    }
    let without_release = |reason: String| {
        Ok(checks_without_release(&BareContext {
            host: &ctx.host,
            store: &store,
            layout: &layout,
            name,
            reason,
        }))
    };
    let Ok(state) = store.state() else {
        return without_release("the state cannot be read".to_owned());
    };
    let Some(live) = &state.live else {
        return without_release("no release is live".to_owned());
    };
    let unreadable = || format!("the record of the live release {live} cannot be read");
    let release = match store.public_release(live) {
        Ok(Some(release)) => release,
        Ok(None) => return without_release(format!("the live release {live} has no record")),
        Err(_) => return without_release(unreadable()),
    };
    // Only root can read the manifest and the files of the release.
    let record = match store.release(live) {
        Ok(record) => record,
        Err(_) if !host::is_root() => None,
        Err(_) => return without_release(unreadable()),
    };
    let content = match &record {
        Some(record) => Some((record.app()?, record.tree()?)),
        None => None,
    };
    let units = unit_names(&release, content.as_ref().map(|(_, tree)| tree));
    Ok(run_checks(&CheckContext {
        host: &ctx.host,
        store: &store,
        layout: &layout,
        name,
        state: &state,
        release: &release,
        content: content.as_ref(),
        digests: request.digests,
        units: LoadedUnits::new(&ctx.host, units),
    }))
}

/// The units of a release, also those that its public record does not list: proxies and the target.
fn unit_names(release: &PublicRelease, tree: Option<&FileTree>) -> Vec<String> {
    let mut names: Vec<String> = release.units.iter().map(|one| one.unit.clone()).collect();
    for path in tree.into_iter().flat_map(FileTree::paths) {
        let unit = UnitFile::parse(path).and_then(|file| file.main().map(str::to_owned));
        names.extend(unit.filter(|unit| !names.contains(unit) && !is_templated(unit)));
    }
    names
}
