//! What `robotctl doctor` does in place of a report: `--explain`, `--fix`, `--trace`.

use super::view::{self, DataSubject};
use super::{Exit, Output, completion};
use crate::doctor::Severity;
use crate::error::Error;
use crate::ops::{self, Context, TraceRequest};
use std::time::Duration;

/// Arguments of `doctor` that make it do something else.
#[derive(Debug, clap::Args)]
pub(super) struct Actions {
    /// Explain a check without running it: why it matters, how to fix what it
    /// finds, what to read
    #[arg(long, value_name = "ID", conflicts_with = "list", add = completion::checks())]
    explain: Option<String>,
    /// Show which findings can be fixed without a loss or an interruption
    #[arg(long, conflicts_with_all = ["list", "explain", "report"])]
    fix: bool,
    /// With --fix: do it, then run the checks again
    #[arg(long, requires = "fix")]
    pub(super) apply: bool,
    /// Run a second instance of SERVICE for a while, for which every system
    /// call works, and list those that its sandbox denies. Needs root
    #[arg(
        long,
        value_name = "SERVICE",
        conflicts_with_all = ["list", "explain", "fix", "report", "probe"]
    )]
    trace: Option<String>,
    /// How long the second instance of `--trace` runs
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "trace")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    trace_time: u64,
}

impl Actions {
    /// Runs what was asked for, if something was.
    pub(super) fn run(
        &self,
        fail_on: Severity,
        wait: Duration,
        ctx: &Context<'_>,
        out: &Output,
    ) -> Option<Result<Exit, Error>> {
        match (&self.explain, &self.trace) {
            (Some(id), _) => Some(explain(id, out)),
            (None, Some(service)) => Some(self.trace(service, wait, ctx, out)),
            (None, None) => self.fix.then(|| self.fix(fail_on, wait, ctx, out)),
        }
    }

    fn trace(
        &self,
        service: &str,
        wait: Duration,
        ctx: &Context<'_>,
        out: &Output,
    ) -> Result<Exit, Error> {
        let request = TraceRequest {
            service: service.to_owned(),
            time: Duration::from_secs(self.trace_time),
            wait,
        };
        let (app, trace) = ops::trace(ctx, &request)?;
        let subject = DataSubject::live(ctx, &app);
        out.data("trace", &subject, &trace, &view::trace::text(&app, &trace));
        Ok(Exit::of(trace.denied.is_empty()))
    }

    fn fix(
        &self,
        fail_on: Severity,
        wait: Duration,
        ctx: &Context<'_>,
        out: &Output,
    ) -> Result<Exit, Error> {
        let all = match self.apply {
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
        Ok(Exit::of(all.all(|one| one.report.is_below(fail_on))))
    }
}

fn explain(id: &str, out: &Output) -> Result<Exit, Error> {
    let check = ops::explain(id)?;
    let text = view::explanation::text(check);
    out.data("doctor-check", &DataSubject::default(), check, &text);
    Ok(Exit::Done)
}
