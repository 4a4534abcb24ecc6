//! `robotctl restart`, `robotctl start` and `robotctl stop`

use super::view::{self, DataSubject, PlanData};
use super::{Exit, Output, completion};
use crate::error::Error;
use crate::ops::{self, Changed, Context, ServicesPlan, ServicesRequest};
use std::time::Duration;

/// Arguments of `restart`, `start` and `stop`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these services [default: the whole app]
    #[arg(value_name = "SERVICE", add = completion::services())]
    services: Vec<String>,
    /// Show the plan and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// What a command does with services.
pub(super) struct Verb {
    name: &'static str,
    preview: fn(&Context<'_>, &ServicesRequest) -> Result<ServicesPlan, Error>,
    apply: fn(&Context<'_>, &ServicesRequest) -> Result<Changed, Error>,
}

pub(super) const RESTART: Verb = Verb {
    name: "restart",
    preview: ops::preview_restart,
    apply: ops::restart,
};
pub(super) const START: Verb = Verb {
    name: "start",
    preview: ops::preview_start,
    apply: ops::start,
};
pub(super) const STOP: Verb = Verb {
    name: "stop",
    preview: ops::preview_stop,
    apply: ops::stop,
};

pub(super) fn run(
    verb: &Verb,
    args: &Args,
    ctx: &Context<'_>,
    out: &Output,
) -> Result<Exit, Error> {
    let request = ServicesRequest {
        services: args.services.clone(),
        wait: Duration::from_secs(args.wait),
    };
    if !args.dry_run {
        if let Changed::Nothing(text) = (verb.apply)(ctx, &request)? {
            out.message(&text);
        }
        return Ok(Exit::Done);
    }
    let ServicesPlan { plan, nothing } = (verb.preview)(ctx, &request)?;
    let text = match plan.is_empty() {
        true => format!("{nothing}\n"),
        false => view::plan::shown(&plan, false),
    };
    let data = PlanData::of_release(verb.name, &plan, false);
    let subject = DataSubject::app(ctx, &plan.app).of_release(Some(&plan.to));
    out.data("plan", &subject, &data, &text);
    Ok(Exit::Done)
}
