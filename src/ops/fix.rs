//! `doctor --fix`: what is safe to do about the findings, and doing it.
//!
//! The session ends an interrupted change and cleans up first. Each step can be repeated, and the checks
//! say what is left, so the next command finishes what a killed one began. A restart by overlap is a change with a journal.

use super::attempt::AttemptKind;
use super::context::Context;
use super::doctor::report;
use super::overlaps::Overlaps;
use super::safe_steps::{Step, StepResult, carry_out, steps};
use super::select::{PerApp, nothing_deployed};
use super::session::{Leftovers, RecoveryReport};
use crate::app::Name;
use crate::command_line::CommandLine;
use crate::doctor::Report;
use crate::error::{Claim as _, Error, Kind};
use crate::events::Subject;
use crate::safe_fix::SafeFix;
use crate::session::Session;
use crate::transaction::StateRebuild;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// What is safe to do about the findings of an app, or was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Fixes {
    /// The steps, in the order in which they are done.
    pub(crate) steps: Vec<Step>,
    /// What the doctor finds: before the steps in a preview, after them with `--apply`.
    pub(crate) report: Report,
    /// The command that does the planned steps; none when there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) apply: Option<CommandLine>,
}

/// Shows what is safe to do about the findings of the selected apps. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] when no app is deployed, and for other users than root.
pub(crate) fn preview(ctx: &Context<'_>, wait: Duration) -> Result<PerApp<Fixes>, Error> {
    ctx.check_privileges().nothing_changed()?;
    let all = ctx.change_each_app(|name| {
        ctx.check_preview_lock(name, wait)?;
        let report = report(ctx, name, wait).nothing_changed()?;
        let steps = steps(&ctx.host, &report);
        let apply = (!steps.is_empty()).then(|| command(ctx, name, wait));
        Ok(Fixes {
            steps,
            report,
            apply,
        })
    })?;
    not_empty(all)
}

/// Does what is safe about the findings of the selected apps, and checks them again.
///
/// # Errors
/// Its kind says what was changed. What one step could not fix is not an error: the doctor still reports it.
pub(crate) fn apply(ctx: &Context<'_>, wait: Duration) -> Result<PerApp<Fixes>, Error> {
    ctx.record_attempt(AttemptKind::Fix, || {
        ctx.check_privileges().nothing_changed()?;
        let all = ctx.change_each_app(|name| {
            let writable = ctx.check_app_writable(name).nothing_changed()?;
            ctx.change(&writable, "fixing", wait, |session, recovery| {
                fix_app(ctx, session, name, recovery)
            })
        })?;
        not_empty(all)
    })
}

fn not_empty(mut all: PerApp<Fixes>) -> Result<PerApp<Fixes>, Error> {
    if all.answers.is_empty() && all.failed.is_empty() {
        return nothing_deployed().nothing_changed();
    }
    let mut steps = all.answers.iter().flat_map(|one| &one.steps);
    if steps.any(|step| step.result == StepResult::Done) {
        // The command as a whole may not claim that nothing was changed.
        for (_, error) in &mut all.failed {
            if error.kind == Kind::Refused {
                error.kind = Kind::Degraded;
            }
        }
    }
    Ok(all)
}

/// The command that carries out a preview.
fn command(ctx: &Context<'_>, name: &Name, wait: Duration) -> CommandLine {
    let seconds = wait.as_secs();
    let line = CommandLine::sudo_robotctl(["--app", name.as_str(), "doctor", "--fix"])
        .option("--wait", (seconds > 0).then(|| seconds.to_string()))
        .arg("--apply");
    let root = ctx.options.root.as_deref();
    line.for_root(root.filter(|_| ctx.host.is_offline()))
}

fn fix_app(
    ctx: &Context<'_>,
    session: &Session<'_>,
    name: &Name,
    recovery: &RecoveryReport,
) -> Result<Fixes, Error> {
    let look = || report(ctx, name, Duration::ZERO);
    let mut done = steps_of(recovery);
    let mut overlaps = Vec::new();
    for step in steps(&ctx.host, &look()?) {
        if matches!(step.fix, SafeFix::Overlap { .. }) {
            overlaps.push(step);
            continue;
        }
        let result = carry_out(session, name, &step.fix).map_err(|error| format!("{error:#}"));
        done.push(ended(session, step, result));
    }
    done.extend(restart(ctx, session, overlaps)?);
    Ok(Fixes {
        steps: done,
        report: look()?,
        apply: None,
    })
}

/// What opening the session has done.
fn steps_of(recovery: &RecoveryReport) -> Vec<Step> {
    let done = [
        (recovery.found, SafeFix::EndChange, "journal"),
        (
            recovery.state == StateRebuild::Written,
            SafeFix::RebuildState,
            "state",
        ),
        (
            recovery.leftovers == Leftovers::Removed,
            SafeFix::RemoveLeftovers,
            "leftovers",
        ),
    ];
    let done = done.into_iter().filter(|(is_done, _, _)| *is_done);
    done.map(|(_, fix, check)| Step::new(fix, [check].into(), StepResult::Done))
        .collect()
}

/// A step with its result, which an event reports.
fn ended(session: &Session<'_>, step: Step, result: Result<(), String>) -> Step {
    let subject = Subject {
        release: None,
        unit: step.fix.unit(),
    };
    let result = match result {
        Ok(()) => {
            session.emit("info", "fixed", subject, &step.fix.done());
            StepResult::Done
        }
        Err(error) => {
            let text = format!("could not {}: {error}", step.text);
            session.emit("warning", "fix-failed", subject, &text);
            StepResult::Failed { error }
        }
    };
    Step { result, ..step }
}

/// Restarts services by overlap, all in one change.
fn restart(ctx: &Context<'_>, session: &Session<'_>, steps: Vec<Step>) -> Result<Vec<Step>, Error> {
    if steps.is_empty() {
        return Ok(steps);
    }
    let plan = Overlaps::plan(ctx, session.store);
    let result = match plan.map_err(|error| format!("{error:#}")) {
        Err(error) => Err(error),
        Ok(None) => Err("no overlap is possible any more".to_owned()),
        Ok(Some(overlaps)) => match overlaps.apply(ctx, session) {
            Ok(_) => Ok(()),
            // The host is as before.
            Err(error) if matches!(error.kind, Kind::Refused | Kind::RolledBack) => {
                Err(error.message)
            }
            Err(error) => return Err(error),
        },
    };
    let steps = steps.into_iter().map(|step| match &result {
        // The change itself has reported it.
        Ok(()) => Step {
            result: StepResult::Done,
            ..step
        },
        Err(error) => ended(session, step, Err(error.clone())),
    });
    Ok(steps.collect())
}
