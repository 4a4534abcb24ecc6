//! `robotctl doctor`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::doctor::{CHECKS, Report};
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
    if args.list {
        for check in CHECKS {
            let text = format!("{:12} {}\n", check.id, check.summary);
            out.data("doctor-check", &DataSubject::default(), check, &text);
        }
        return Ok(Exit::Done);
    }
    let request = DoctorRequest {
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
    let healthy = all.answers.iter().all(Report::is_healthy);
    Ok(if healthy { Exit::Done } else { Exit::Findings })
}
