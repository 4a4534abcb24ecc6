//! The app's own jobs of a deploy: they run once, as its user, in its sandbox, on the new release.
//!
//! | step | when |
//! |---|---|
//! | [`before_switch`] | the previous release is live and nothing has changed |
//! | [`before_first_switch`] | on a first deploy, after its user and directories were created |
//! | [`after_switch`] | the new release runs |

use super::job::job_unit;
use super::still_running::check_not_running;
use crate::app::{App, Hooks, Service};
use crate::error::HintedError;
use crate::events::Subject;
use crate::health::{explained, run_failure};
use crate::host;
use crate::plan::Plan;
use crate::render::ReleaseMount;
use crate::session::Session;
use anyhow::Result;
use std::time::Duration;

/// How much longer than its own timeout a job may take.
const STOP_SLACK: Duration = Duration::from_secs(60);

/// Runs `hooks.before-switch` while the previous release is live. On a first deploy, and when the
/// deploy creates the hook's user, it runs with [`before_first_switch`] or not at all.
///
/// # Errors
/// [`HintedError`] with the last lines of the job, or when a job of an earlier run still runs.
pub(crate) fn before_switch(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    let jobs = [&app.hooks.before_switch, &app.hooks.after_switch];
    let units = jobs.into_iter().flatten().map(|job| app.unit(job));
    check_not_running(session.host, &units.collect::<Vec<_>>())?;
    let Some(job) = &app.hooks.before_switch else {
        return Ok(());
    };
    if session.host.is_offline() {
        let message = "hooks need a running host: `before-switch` was not run";
        let subject = Subject::release(&plan.to);
        session.emit("warning", "hook-skipped", subject, message);
        return Ok(());
    }
    let has_user = host::user_ids(job.user.as_str())?.is_some();
    if plan.from.as_ref() == Some(&plan.to) || plan.from.is_none() || !has_user {
        return Ok(());
    }
    run(session, plan, app, job).map_err(|error| {
        HintedError::new(
            format!(
                "{} did not go live, and what is live did not change: {error:#}",
                plan.to
            ),
            "fix `hooks.before-switch` and deploy again",
        )
        .into()
    })
}

/// Runs `hooks.before-switch` of a first deploy, after the app's user and directories were created.
///
/// # Errors
/// Why the job failed, with its last lines.
pub(crate) fn before_first_switch(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
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
/// Why the job failed, with its last lines.
pub(crate) fn after_switch(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    match &app.hooks.after_switch {
        Some(job) if plan.from.as_ref() != Some(&plan.to) && !session.host.is_offline() => {
            run(session, plan, app, job)
        }
        _ => Ok(()),
    }
}

fn run(session: &Session<'_>, plan: &Plan, app: &App, job: &Service) -> Result<()> {
    let mount = ReleaseMount::Pinned(&plan.to);
    let mut unit = job_unit(session.host, app, job, mount)?;
    unit.put()?;
    let name = job.name.as_str();
    let name = name.strip_suffix(Hooks::SUFFIX).unwrap_or(name);
    let subject = Subject {
        release: Some(&plan.to),
        unit: Some(unit.name()),
    };
    session.emit("info", "hook", subject, &format!("running `{name}`"));
    // systemd ends the job after its own `timeout`. This is for a systemd that does not.
    let outcome = unit.run(job.timeout_start.duration.saturating_add(STOP_SLACK));
    let outcome = outcome.map_err(|failure| {
        let (failure, log) = (run_failure(&failure), unit.run_log());
        let failure = explained(session.host, app, (Some(job), mount), failure, &log);
        failure.after(&format!("`hooks.{name}` failed")).into()
    });
    unit.remove_after(outcome)
}
