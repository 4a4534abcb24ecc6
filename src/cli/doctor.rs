//! `robotctl doctor`

use super::view::{self, DataSubject};
use super::{Exit, Output, completion};
use crate::doctor::{CHECKS, Check, Severity};
use crate::error::Error;
use crate::ops::{self, Context, DoctorRequest, TraceRequest};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List the checks without running them
    #[arg(long)]
    list: bool,
    /// Explain a check without running it: why it matters, how to fix what it
    /// finds, what to read
    #[arg(long, value_name = "ID", conflicts_with = "list", add = completion::checks())]
    explain: Option<String>,
    /// Exit with code 1 if a finding has this severity or a higher one
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        default_value = "warning",
        conflicts_with = "report"
    )]
    fail_on: Severity,
    /// Show which findings can be fixed without a loss or an interruption
    #[arg(long, conflicts_with_all = ["list", "explain", "report"])]
    fix: bool,
    /// With --fix: do it, then run the checks again
    #[arg(long, requires = "fix")]
    pub(super) apply: bool,
    /// Also try what the sandboxes of the services prevent, in units that
    /// exist for about a second. Needs root
    #[arg(long, conflicts_with_all = ["list", "explain", "fix"])]
    probe: bool,
    /// Also write the report as JSON to this file, and exit with code 0
    /// even if there are findings
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Run a second instance of SERVICE for a while, and list the system
    /// calls that it makes and that its sandbox denies
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["list", "report"])]
    trace: Option<String>,
    /// How long the second instance of `--trace` runs
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "trace")]
    trace_time: u64,
    /// Compare the content of every file of the live release with what was
    /// staged, and not only its size and its time stamp
    #[arg(long)]
    digests: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let describe = |check: &Check, text: &str| {
        out.data("doctor-check", &DataSubject::default(), check, text);
    };
    if let Some(id) = &args.explain {
        let check = ops::explain(id)?;
        describe(check, &view::explanation::text(check));
        return Ok(Exit::Done);
    }
    if args.list {
        for check in CHECKS {
            describe(check, &view::explanation::line(check));
        }
        return Ok(Exit::Done);
    }
    if let Some(service) = &args.trace {
        let request = TraceRequest {
            service: service.clone(),
            time: Duration::from_secs(args.trace_time),
            wait: Duration::from_secs(args.wait),
        };
        let (app, trace) = ops::trace(ctx, &request)?;
        let subject = DataSubject::live(ctx, &app);
        out.data("trace", &subject, &trace, &view::trace::text(&app, &trace));
        return Ok(if trace.denied.is_empty() {
            Exit::Done
        } else {
            Exit::Findings
        });
    }
    if args.fix {
        return fix(args, ctx, out);
    }
    let request = DoctorRequest {
        probe: args.probe,
        report: args.report.clone(),
        wait: Duration::from_secs(args.wait),
        digests: args.digests,
    };
    let all = ops::doctor(ctx, &request)?;
    for report in &all.answers {
        let subject = DataSubject::live(ctx, &report.app);
        out.data("report", &subject, report, &view::report::text(report));
    }
    // A timer's job that reports findings has not failed.
    if args.report.is_some() {
        out.app_errors(ctx, all.failed);
        return Ok(Exit::Done);
    }
    out.failed_apps(ctx, all.failed)?;
    let mut reports = all.answers.iter();
    Ok(Exit::of(reports.all(|one| one.is_below(args.fail_on))))
}

fn fix(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let wait = Duration::from_secs(args.wait);
    let all = match args.apply {
        true => ops::fix(ctx, wait)?,
        false => ops::preview_fix(ctx, wait)?,
    };
    for fixes in &all.answers {
        let subject = DataSubject::live(ctx, &fixes.report.app);
        out.data("fix", &subject, fixes, &view::fixes::text(fixes));
        if let Some(command) = &fixes.apply {
            out.message(&format!("\nto do this: {command}"));
        }
    }
    out.failed_apps(ctx, all.failed)?;
    let mut all = all.answers.iter();
    Ok(Exit::of(all.all(|one| one.report.is_below(args.fail_on))))
}
