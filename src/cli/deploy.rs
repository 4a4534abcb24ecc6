//! `robotctl deploy`

use super::release_origin::Origin;
use super::view::{self, DataSubject, PlanData};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Changed, Context, DeployRequest};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(super) struct Args {
    /// Directory or archive with the files of the release [default:
    /// `release.source` of the manifest]
    source: Option<PathBuf>,
    /// Apply the plan
    #[arg(long)]
    pub(super) apply: bool,
    /// Show the diff of each file in the plan
    #[arg(long, conflicts_with = "apply")]
    diff: bool,
    /// Apply only if the plan still has this hash
    #[arg(long, value_name = "HASH", requires = "apply")]
    plan: Option<String>,
    /// Deploy even a release that failed before
    #[arg(long)]
    force: bool,
    /// Also deploy services that a rollback pinned to another release
    #[arg(long)]
    lift_pins: bool,
    /// Refuse a release that asks for a right which the live one lacks; needs
    /// `--app`
    ///
    /// With it, a line of sudoers(5) lets a user deploy one app and nothing
    /// else. Rights are what a plan lists under `rights`. No link may lead to
    /// the manifest.
    #[arg(long)]
    same_rights: bool,
    /// Run the whole build, and reuse nothing that an earlier build made
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    pub(super) origin: Origin,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let origin = &args.origin;
    let request = DeployRequest {
        source: args.source.clone(),
        from: origin.from.clone(),
        from_package: origin.from_package.clone(),
        plan: args.plan.clone(),
        digest: origin.digest.clone(),
        signature: origin.signature.clone(),
        force: args.force,
        lift_pins: args.lift_pins,
        same_rights: args.same_rights,
        rebuild: args.rebuild,
        wait: Duration::from_secs(args.wait),
    };
    if args.apply {
        if let Changed::Nothing(text) = ops::deploy(ctx, &request)? {
            out.message(&text);
        }
        return Ok(Exit::Done);
    }
    let preview = ops::preview_deploy(ctx, &request)?;
    let plan = &preview.plan;
    let root = out.hint_root();
    let apply = preview.apply.filter(|_| preview.refusal.is_none());
    let apply = apply.map(|command| command.for_root(root));
    let data = PlanData::of_release("deploy", plan, args.diff).applied_by(apply.clone());
    let subject = DataSubject::app(ctx, &plan.app).of_release(Some(&plan.to));
    out.data("plan", &subject, &data, &view::plan::shown(plan, args.diff));
    if let Some(unseen) = preview.unseen {
        out.message(&format!("note: {unseen}"));
    }
    if let Some(refusal) = preview.refusal {
        return Err(refusal);
    }
    if let Some(command) = apply {
        out.message(&format!("\nto apply this plan: {command}"));
    }
    Ok(Exit::Done)
}
