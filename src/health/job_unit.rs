//! Jobs of ours: units in `/run` that are there while the job is, in the sandbox of a service.

use super::cause_text;
use crate::app::{App, Check, Hooks, Name, Service, Target, Text};
use crate::host::{self, Deadline, Host, release_of, wait_until};
use crate::render::{ReleaseMount, derive, job};
use crate::tree::FileTree;
use crate::units::RUNTIME_UNIT_DIR;
use anyhow::{Context as _, Result, anyhow};
use std::time::Duration;

/// What the name of a check's unit begins with, after the app's; the pid of its `robotctl` follows,
/// so that a check and a deploy at the same time do not meet.
const CHECK: &str = "check";

/// One job whose unit is in place; [`TransientJob::end`] takes it away.
#[derive(Debug)]
pub struct TransientJob<'a> {
    host: &'a Host,
    unit: String,
    tree: FileTree,
}

impl<'a> TransientJob<'a> {
    /// Puts the unit of a job in place.
    ///
    /// # Errors
    /// When it cannot be rendered or written.
    pub fn put(
        host: &'a Host,
        app: &App,
        service: &Service,
        mount: ReleaseMount<'_>,
    ) -> Result<Self> {
        let tree = job(app, service, target(host, app), mount)?;
        let job_unit = Self {
            host,
            unit: app.unit(service),
            tree,
        };
        host.root.put_tree(&job_unit.tree)?;
        let files: Vec<&str> = job_unit.tree.iter().map(|(path, _)| path).collect();
        let unit = std::slice::from_ref(&job_unit.unit);
        host.systemd.reload_if_needed(unit, &files)?;
        Ok(job_unit)
    }

    /// Runs it once, to its end.
    ///
    /// # Errors
    /// What became of it, as a clause.
    pub fn run(&self, within: Duration) -> Result<(), String> {
        let systemd = &self.host.systemd;
        // Five runs within ten seconds would fail it (systemd.unit(5), "StartLimitBurst=").
        systemd.reset_failed(std::slice::from_ref(&self.unit));
        run_job(self.host, &self.unit, within)
    }

    /// The last lines that it wrote.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        self.host.systemd.last_lines(&self.unit, count)
    }

    /// Takes the unit away, after a job that ended so; both may have gone wrong. That the manager
    /// was not told of a unit that has gone is no harm.
    ///
    /// # Errors
    /// What became of the job, and why its unit is still there.
    pub fn end_after(self, outcome: Result<()>) -> Result<()> {
        let (root, unit) = (&self.host.root, self.unit.clone());
        let paths: Vec<String> = self.tree.paths().map(str::to_owned).collect();
        let is_gone = |path: &String| matches!(root.meta(path), Ok(None));
        let ended = self.end().or_else(|error| match paths.iter().all(is_gone) {
            true => Ok(()),
            false => Err(error),
        });
        match (outcome, ended) {
            (Ok(()), away) => away.with_context(|| format!("`{unit}` is still there")),
            (Err(what), Err(away)) => Err(anyhow!("{what:#}; `{unit}` is still there: {away:#}")),
            (failed, Ok(())) => failed,
        }
    }

    /// Takes the unit away.
    ///
    /// # Errors
    /// When it cannot be stopped or removed.
    pub fn end(self) -> Result<()> {
        let unit = std::slice::from_ref(&self.unit);
        self.host.systemd.stop_and_confirm(unit)?;
        self.host.systemd.reset_failed(unit);
        remove_units(self.host, &self.tree)?;
        self.host.systemd.reload_if_needed(unit, &[])
    }
}

/// Starts a job and waits for its end, but no longer than `within`; then it is stopped.
///
/// # Errors
/// What became of it, as a clause.
pub(super) fn run_job(host: &Host, unit: &str, within: Duration) -> Result<(), String> {
    // A job counts as started once it has ended well.
    match host.systemd.start_within(unit, within) {
        Ok(true) => Ok(()),
        Ok(false) if host::interrupted() => Err("it was interrupted".to_owned()),
        Ok(false) => Err(format!("it did not end within {within:.0?}")),
        Err(_) => Err(match host.systemd.show_one(unit) {
            Ok(state) => cause_text(&state),
            Err(error) => format!("{error:#}"),
        }),
    }
}

/// Removes units that lie in `/run`, with the directories of their drop-ins.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove_units(host: &Host, tree: &FileTree) -> Result<()> {
    for (path, _) in tree.iter() {
        host.root.remove_file(path)?;
        // Never the unit directory itself: it is how a host says that it runs systemd.
        if let Some((dir, _)) = path.rsplit_once('/')
            && dir != RUNTIME_UNIT_DIR
        {
            host.root.remove_dir_if_empty(dir)?;
        }
    }
    Ok(())
}

/// The systemd that units are written for.
fn target(host: &Host, app: &App) -> Target {
    app.target.unwrap_or_else(|| {
        let version = host.systemd.version();
        version.map_or(Target::Portable, Target::Version)
    })
}

/// Runs a command until it succeeds or the check's time is over: as the service's user, in its
/// sandbox and environment, on the release that it runs.
pub(super) fn command(
    host: &Host,
    app: &App,
    service: &Service,
    check: &Check,
    argv: &[Text],
) -> Result<(), String> {
    if host.is_offline() {
        return Err("a command needs a running host".to_owned());
    }
    let say = |error: anyhow::Error| format!("{error:#}");
    let name = check_name().map_err(say)?;
    let copy = derive::check_command(service, name, argv, &check.within);
    let state = host.systemd.show_one(&app.unit(service)).map_err(say)?;
    let runs = state
        .main_pid()
        .and_then(|pid| release_of(pid, app.name.as_str()));
    let mount = runs
        .as_deref()
        .map_or(ReleaseMount::Current, ReleaseMount::Pinned);
    let job_unit = TransientJob::put(host, app, &copy, mount).map_err(say)?;
    let within = check.within.duration;
    let over = Deadline::after(within);
    let look = || job_unit.run(over.left().max(super::MIN_PROBE_TIME));
    let outcome = wait_until(within, look)
        .map_err(|what| anyhow!("{what}: {}", job_unit.last_lines(3).join("; ")));
    job_unit.end_after(outcome).map_err(say)
}

/// The name of the job that runs a check's command.
fn check_name() -> Result<Name> {
    let name = format!("{CHECK}{}{}", host::pid(), Hooks::SUFFIX);
    Name::parse(&name).map_err(|rule| anyhow!("`{name}`: {rule}"))
}

/// Whether a unit of an app is that of a check whose `robotctl` is still at work.
pub fn is_at_work(unit: &str, app: &str) -> bool {
    let name = unit
        .strip_prefix(app)
        .and_then(|rest| rest.strip_prefix('-'));
    let rest = name.and_then(|name| name.strip_prefix(CHECK));
    let pid = rest.and_then(|rest| rest.split_once(Hooks::SUFFIX)?.0.parse().ok());
    pid.is_some_and(host::is_running)
}

#[cfg(test)]
mod tests {
    use super::is_at_work;

    #[test]
    fn the_check_of_a_living_robotctl_is_at_work() {
        let own = format!("demo-check{}-hook.service", std::process::id());
        assert!(is_at_work(&own, "demo"));
        assert!(is_at_work(&format!("{own}.d"), "demo"));
        assert!(!is_at_work(&own, "other"));
        for unit in [
            "demo-check0-hook.service",
            "demo-check-hook.service",
            "demo-before-switch-hook.service",
            "demo-check1.service",
        ] {
            assert!(!is_at_work(unit, "demo"), "{unit}");
        }
    }
}
