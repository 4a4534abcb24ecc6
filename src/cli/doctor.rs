//! `robotctl doctor`

use super::doctor_actions::Actions;
use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::doctor::{CHECKS, Severity};
use crate::error::Error;
use crate::ops::{self, Context, DoctorRequest};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List the checks without running them
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    pub(super) actions: Actions,
    /// Exit with code 1 if a finding has this severity or a higher one
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        default_value = "warning",
        conflicts_with = "report"
    )]
    fail_on: Severity,
    /// Also try what the sandboxes of the services prevent, in units that
    /// exist for about a second. Needs root
    #[arg(long, conflicts_with_all = ["list", "explain", "fix"])]
    probe: bool,
    /// Also write the report as JSON to this file, and exit with code 0
    /// even if there are findings
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Compare the content of every file of the live release with what was
    /// staged, and not only its size and its time stamp
    #[arg(long)]
    digests: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let wait = Duration::from_secs(args.wait);
    if let Some(done) = args.actions.run(args.fail_on, wait, ctx, out) {
        return done;
    }
    if args.list {
        for check in CHECKS {
            let text = view::explanation::line(check);
            out.data("doctor-check", &DataSubject::default(), check, &text);
        }
        return Ok(Exit::Done);
    }
    let request = DoctorRequest {
        probe: args.probe,
        report: args.report.clone(),
        wait,
        digests: args.digests,
    };
    let all = ops::doctor(ctx, &request)?;
    for report in &all.answers {
        let subject = DataSubject::live(ctx, &report.app);
        let mut text = view::report::text(report);
        if !ctx.host.is_offline() {
            text.push_str(&view::report::safe_to_fix(report));
        }
        out.data("report", &subject, report, &text);
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
