//! The app's own jobs of a deploy: once, as its user, in its sandbox, on the new release.

use super::precheck::remove_units;
use super::{About, Refusal, Work};
use crate::host;
use crate::model::{App, Service, Target};
use crate::plan::Plan;
use crate::render::hook;
use crate::verify::cause_text;
use anyhow::{Result, anyhow};

/// Runs `hooks.before-switch` while the earlier release is live and nothing has changed.
///
/// On the first deploy nothing is live, and neither user nor directories are there yet: it then
/// runs with [`first`].
///
/// # Errors
/// [`Refusal`] with the job's last lines.
pub fn before(work: &Work<'_>, plan: &Plan, app: &App) -> Result<()> {
    let Some(job) = &app.hooks.before_switch else {
        return Ok(());
    };
    if work.host.is_offline() {
        let message = "hooks need a running host: `before-switch` was not run";
        work.tell("warning", "hook-skipped", About::release(&plan.to), message);
        return Ok(());
    }
    let there = host::files::user_ids(job.user.as_str())?.is_some();
    if plan.from.as_ref() == Some(&plan.to) || plan.from.is_none() || !there {
        return Ok(());
    }
    run(work, plan, app, job).map_err(|error| {
        Refusal {
            message: format!(
                "{} did not go live, nothing was changed: {error:#}",
                plan.to
            ),
            hint: "mend `hooks.before-switch` and deploy again".to_owned(),
        }
        .into()
    })
}

/// Runs `hooks.before-switch` of a first deploy, once the app's user and directories are there.
///
/// # Errors
/// What became of the job, with its last lines.
pub(super) fn first(work: &Work<'_>, plan: &Plan, app: &App) -> Result<()> {
    match &app.hooks.before_switch {
        Some(job) if plan.from.is_none() && !work.host.is_offline() => run(work, plan, app, job),
        _ => Ok(()),
    }
}

/// Runs `hooks.after-switch`, once the new release runs.
///
/// # Errors
/// What became of the job, with its last lines.
pub(super) fn after(work: &Work<'_>, plan: &Plan, app: &App) -> Result<()> {
    match &app.hooks.after_switch {
        Some(job) if plan.from.as_ref() != Some(&plan.to) && !work.host.is_offline() => {
            run(work, plan, app, job)
        }
        _ => Ok(()),
    }
}

fn run(work: &Work<'_>, plan: &Plan, app: &App, job: &Service) -> Result<()> {
    let host = work.host;
    let unit = app.unit(job);
    let tree = hook(app, job, target(work, app), &plan.to)?;
    for (path, entry) in tree.iter() {
        host.root.put(path, Some(entry))?;
    }
    host.systemd.daemon_reload()?;
    let name = job.name.as_str();
    let name = name
        .strip_suffix(crate::model::Hooks::SUFFIX)
        .unwrap_or(name);
    let about = About {
        release: Some(&plan.to),
        unit: Some(&unit),
    };
    work.tell("info", "hook", about, &format!("running `{name}`"));
    // A job counts as started once it has ended well.
    let ended = host
        .systemd
        .start(std::slice::from_ref(&unit))
        .map_err(|_| {
            let state = host.systemd.show_one(&unit).unwrap_or_default();
            let lines = host.systemd.last_lines(&unit, 8).join("\n    ");
            anyhow!("`hooks.{name}` failed: {}\n    {lines}", cause_text(&state))
        });
    host.systemd.stop(std::slice::from_ref(&unit)).ok();
    host.systemd.reset_failed(std::slice::from_ref(&unit));
    remove_units(host, &tree)?;
    host.systemd.daemon_reload()?;
    ended
}

/// The systemd that units are written for.
fn target(work: &Work<'_>, app: &App) -> Target {
    app.target.unwrap_or_else(|| {
        let version = work.host.systemd.version();
        version.map_or(Target::Portable, Target::Version)
    })
}
