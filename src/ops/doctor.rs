//! `doctor`: runs the table of checks for every app. Works for any user; what needs root is skipped.

use super::context::Context;
use super::overlaps::Overlaps;
use super::select::{PerApp, nothing_deployed};
use crate::app::{Layout, Name};
use crate::command_line::CommandLine;
use crate::doctor::{
    BareContext, CHECKS, Check, CheckContext, LoadedUnits, PROBE, Report, Severity,
    checks_without_release, run_checks, skipped,
};
use crate::error::{AS_ROOT, Claim as _, Error, Hint, Kind, fail};
use crate::host::{self, Root};
use crate::manifest::nearest;
use crate::safe_fix::SafeFix;
use crate::store::PublicRelease;
use crate::transient::probe::probe;
use crate::tree::FileTree;
use crate::units::{UnitFile, is_templated};
use anyhow::{Context as _, Result, anyhow};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The options of `doctor`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DoctorRequest {
    /// Also tries what the sandboxes of the services prevent.
    pub(crate) probe: bool,
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
/// [`Kind::Refused`] when no app is deployed, unless a report is to be written, and when this user or this
/// host cannot probe.
pub(crate) fn run(ctx: &Context<'_>, request: &DoctorRequest) -> Result<PerApp<Report>, Error> {
    if request.probe {
        check_can_probe(ctx).nothing_changed()?;
    }
    let all = ctx.for_each_app(|name| report_of(ctx, name, request))?;
    if let Some(file) = &request.report {
        let written = write(file, &all.answers);
        written.map_err(|error| Error::of_kind(Kind::Degraded, error))?;
    } else if all.answers.is_empty() && all.failed.is_empty() {
        return nothing_deployed().nothing_changed();
    }
    Ok(all)
}

/// The check with this id.
///
/// # Errors
/// [`Kind::Refused`] when there is none.
pub(crate) fn explain(id: &str) -> Result<&'static Check, Error> {
    let mut all = CHECKS.iter().chain([&PROBE]);
    if let Some(check) = all.find(|check| check.id == id) {
        return Ok(check);
    }
    let ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    let list = Hint::to("list them", CommandLine::robotctl(["doctor", "--list"]));
    let error = Error::new(Kind::Refused, format!("there is no check `{id}`"));
    let error = match nearest(id, &ids) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    };
    Err(error.hint(list))
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

/// The report of an app, with hints to type as they are, and with the safe fixes that can be made now.
pub(super) fn report(ctx: &Context<'_>, name: &Name, wait: Duration) -> Result<Report> {
    let request = DoctorRequest {
        wait,
        ..DoctorRequest::default()
    };
    report_of(ctx, name, &request)
}

/// Names what the doctor calls an error after a change. The change has not failed: it does not repair everything.
pub(super) fn name_errors(ctx: &Context<'_>, name: &Name) {
    if ctx.host.is_offline() {
        return;
    }
    // What cannot be checked is no error.
    let Ok(report) = report(ctx, name, Duration::ZERO) else {
        return;
    };
    let findings = report.findings.iter();
    for finding in findings.filter(|one| one.severity == Severity::Error) {
        let steps = finding.fix.iter().map(|step| format!("; {step}"));
        let steps: String = steps.collect();
        let text = format!("the doctor finds: {}{steps}", finding.message);
        ctx.note("warning", name.as_str(), &text);
    }
}

fn report_of(ctx: &Context<'_>, name: &Name, request: &DoctorRequest) -> Result<Report> {
    let mut report = checked(ctx, name, request)?;
    keep_possible_overlaps(ctx, name, &mut report);
    ctx.complete_fixes(name, &mut report);
    let root = ctx.options.root.as_deref();
    report.map_fixes(|step| step.for_root(root.filter(|_| ctx.host.is_offline())));
    Ok(report)
}

/// Removes the restarts by overlap that cannot be made: their commands stay hints.
fn keep_possible_overlaps(ctx: &Context<'_>, name: &Name, report: &mut Report) {
    let is_overlap = |fix: &SafeFix| matches!(fix, SafeFix::Overlap { .. });
    let mut fixes = report.findings.iter().flat_map(|one| &one.safe_fixes);
    if !fixes.any(is_overlap) {
        return;
    }
    // What cannot be planned cannot be done.
    let possible = Overlaps::plan(ctx, &ctx.store(name));
    let units = possible.ok().flatten().map(|overlaps| overlaps.units);
    let units = units.unwrap_or_default();
    for finding in &mut report.findings {
        let is_possible = |fix: &SafeFix| match fix {
            SafeFix::Overlap { unit } => units.contains(unit),
            _ => true,
        };
        finding.safe_fixes.retain(is_possible);
    }
}

/// Refuses a probe that cannot be made. Units run only on this host, and only root can start them.
fn check_can_probe(ctx: &Context<'_>) -> Result<()> {
    if ctx.host.is_offline() {
        return fail(
            "`--probe` needs running services, and nothing runs below `--root`",
            Hint::to(
                "probe on the host itself; this command checks a tree",
                CommandLine::robotctl(["doctor"]),
            ),
        );
    }
    if !host::is_root() {
        return fail("only root can probe the sandboxes of services", AS_ROOT);
    }
    Ok(())
}

fn checked(ctx: &Context<'_>, name: &Name, request: &DoctorRequest) -> Result<Report> {
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
        let probed = request.probe.then(|| Err(anyhow!("{reason}")));
        let report = checks_without_release(&BareContext {
            host: &ctx.host,
            store: &store,
            layout: &layout,
            name,
            reason,
        });
        Ok(report.with_probe(probed))
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
    let report = run_checks(&CheckContext {
        host: &ctx.host,
        store: &store,
        layout: &layout,
        name,
        state: &state,
        release: &release,
        content: content.as_ref(),
        digests: request.digests,
        units: LoadedUnits::new(&ctx.host, units),
    });
    let app = content.map(|(app, _)| app).filter(|_| request.probe);
    Ok(report.with_probe(app.map(|app| probe(&ctx.host, &app))))
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
