//! The app's own jobs of a deploy: once, as its user, in its sandbox, on the new release.

use super::clean_up::ensure_no_leftovers;
use crate::app::{App, Service};
use crate::error::HintedError;
use crate::events::Subject;
use crate::health::TransientJob;
use crate::host;
use crate::plan::Plan;
use crate::render::ReleaseMount;
use crate::session::Session;
use anyhow::{Result, anyhow};
use std::time::Duration;

/// How much longer than its own timeout a job may take to be gone.
const STOP_SLACK: Duration = Duration::from_secs(60);

/// Runs `hooks.before-switch` while the earlier release is live and nothing has changed.
///
/// On the first deploy nothing is live, and neither user nor directories are there yet: it then
/// runs with [`first`].
///
/// # Errors
/// [`HintedError`] with the job's last lines, or when a job of an earlier run is still there.
pub fn before(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    let jobs = [&app.hooks.before_switch, &app.hooks.after_switch];
    let units = jobs.into_iter().flatten().map(|job| app.unit(job));
    ensure_no_leftovers(session.host, &units.collect::<Vec<_>>())?;
    let Some(job) = &app.hooks.before_switch else {
        return Ok(());
    };
    if session.host.is_offline() {
        let message = "hooks need a running host: `before-switch` was not run";
        session.emit(
            "warning",
            "hook-skipped",
            Subject::release(&plan.to),
            message,
        );
        return Ok(());
    }
    let there = host::files::user_ids(job.user.as_str())?.is_some();
    if plan.from.as_ref() == Some(&plan.to) || plan.from.is_none() || !there {
        return Ok(());
    }
    run(session, plan, app, job).map_err(|error| {
        HintedError::new(
            format!(
                "{} did not go live, nothing was changed: {error:#}",
                plan.to
            ),
            "mend `hooks.before-switch` and deploy again".to_owned(),
        )
        .into()
    })
}

/// Runs `hooks.before-switch` of a first deploy, once the app's user and directories are there.
///
/// # Errors
/// What became of the job, with its last lines.
pub(super) fn first(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    match &app.hooks.before_switch {
        Some(job) if plan.from.is_none() && !session.host.is_offline() => {
            run(session, plan, app, job)
        }
        _ => Ok(()),
    }
}

/// Runs `hooks.after-switch`, once the new release runs.
///
/// # Errors
/// What became of the job, with its last lines.
pub(super) fn after(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    match &app.hooks.after_switch {
        Some(job) if plan.from.as_ref() != Some(&plan.to) && !session.host.is_offline() => {
            run(session, plan, app, job)
        }
        _ => Ok(()),
    }
}

fn run(session: &Session<'_>, plan: &Plan, app: &App, job: &Service) -> Result<()> {
    let job_unit = TransientJob::put(session.host, app, job, ReleaseMount::Pinned(&plan.to))?;
    let name = job.name.as_str();
    let name = name.strip_suffix(crate::app::Hooks::SUFFIX).unwrap_or(name);
    let unit = app.unit(job);
    let about = Subject {
        release: Some(&plan.to),
        unit: Some(&unit),
    };
    session.emit("info", "hook", about, &format!("running `{name}`"));
    // Its own `timeout` ends it: this is for a systemd that does not.
    let ended = job_unit.run(job.timeout_start.duration.saturating_add(STOP_SLACK));
    let ended = ended.map_err(|what| {
        let lines = job_unit.last_lines(8).join("\n    ");
        anyhow!("`hooks.{name}` failed: {what}\n    {lines}")
    });
    job_unit.end_after(ended)
}
