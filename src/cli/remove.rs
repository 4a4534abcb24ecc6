//! `robotctl remove`

use super::view::{self, DataSubject, PlanData};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context, RemoveRequest};
use std::time::Duration;

/// Arguments of `remove`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove the app
    #[arg(long)]
    pub(super) apply: bool,
    /// Also delete state, settings and secrets. They cannot be restored.
    /// Needs `--app NAME`
    #[arg(long)]
    purge: bool,
    /// Remove only what came from the app's package: for its maintainer script
    #[arg(long, conflicts_with = "purge")]
    pub(super) from_package: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let request = RemoveRequest {
        purge: args.purge,
        from_package: args.from_package,
        wait: Duration::from_secs(args.wait),
    };
    if args.apply {
        out.message(&ops::remove(ctx, &request)?);
        return Ok(Exit::Done);
    }
    let preview = ops::preview_remove(ctx, &request)?;
    let command = preview.apply.clone().for_root(out.hint_root());
    let data = PlanData::of_removal(&preview, &command);
    let subject = DataSubject::app(ctx, &preview.app);
    out.data("plan", &subject, &data, &view::removal::text(&preview));
    out.message(&format!("\nto apply this plan: {command}"));
    Ok(Exit::Done)
}
