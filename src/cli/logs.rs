//! `robotctl logs`

use super::view::{self, DataSubject};
use super::{Exit, Output, completion};
use crate::error::Error;
use crate::ops::{self, Context, LogsRequest};

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these services [default: the whole app]
    #[arg(value_name = "SERVICE", add = completion::services())]
    services: Vec<String>,
    /// Wait for further lines, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// The last N entries [default: 100, or all with `--since`, `--release` or
    /// `--trace`]
    #[arg(short = 'n', long = "lines", value_name = "N")]
    lines: Option<usize>,
    /// Only entries that this regular expression fits
    #[arg(short, long, value_name = "PATTERN")]
    grep: Option<String>,
    /// Only entries from this time on, such as 10min, yesterday or
    /// "2026-12-01 14:00"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what the processes of this release logged
    #[arg(long, value_name = "RELEASE", add = completion::releases())]
    release: Option<String>,
    /// Only entries with this trace id, in a field or in the text
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    trace: Option<String>,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let request = LogsRequest {
        services: args.services.clone(),
        follow: args.follow,
        lines: args.lines,
        grep: args.grep.clone(),
        since: args.since.clone(),
        release: args.release.clone(),
        trace: args.trace.clone(),
    };
    let colored = Output::has_colors();
    let mut subject = None;
    let mut count = 0;
    ops::logs(ctx, &request, &mut |record| {
        let Some(record) = record else {
            return !out.is_closed();
        };
        count += 1;
        let app = || DataSubject::app(ctx, &ctx.app_of_command().unwrap_or_default());
        let subject = subject
            .get_or_insert_with(app)
            .clone()
            .of_unit(&record.unit);
        let text = view::log::text(record, colored);
        out.shown_data("log", &subject, record, &text);
        !out.is_closed()
    })?;
    if count == 0 && !args.follow {
        out.message("no entry of the systemd journal fits");
    }
    Ok(Exit::Done)
}
