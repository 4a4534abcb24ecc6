//! What a deploy would do, and the command that does exactly that.

use super::prepared::Prepared;
use super::request::DeployRequest;
use super::same_rights::{find, load};
use crate::command_line::CommandLine;
use crate::error::Claim as _;
use crate::error::Error;
use crate::host::is_root;
use crate::ops::choose_release::previous_after;
use crate::ops::context::Context;
use crate::plan::Plan;
use crate::transaction::Operation;
use anyhow::Result;
use std::path::Path;

/// What only root can read, so that the plan of another user may lack it.
const UNSEEN: &str = "only root can see whether settings changed since the services started: type `sudo` \
                      before the command";

/// What a deploy would do.
#[derive(Debug)]
pub(crate) struct Preview {
    /// The plan.
    pub(crate) plan: Plan,
    /// What this user cannot see.
    pub(crate) unseen: Option<&'static str>,
    /// Why `--apply` would refuse it.
    pub(crate) refusal: Option<Error>,
    /// The command that applies exactly this plan; none when there is nothing to do.
    pub(crate) apply: Option<CommandLine>,
}

/// Shows what a deploy would do. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] when no plan can be made. A plan that cannot be applied comes with its refusal.
pub(crate) fn preview(ctx: &Context<'_>, request: &DeployRequest) -> Result<Preview, Error> {
    let look = || -> Result<Preview> {
        let loaded_source = load(ctx, request)?;
        let loaded = &loaded_source.0;
        ctx.check_host()?;
        ctx.check_answers(&loaded.app.name)?;
        let store = ctx.store(&loaded.app.name);
        let source = find(ctx, request, &loaded_source)?;
        let mut prepared = Prepared::scan(ctx, loaded, &store, request, source)?;
        let writable = prepared.check_app_writable(ctx, request, &store)?;
        ctx.check_preview(&writable, request.wait)?;
        prepared.observe(ctx, &store)?;
        prepared.hash()?;
        let mut plan = prepared.plan(ctx)?;
        plan.rollback_target = previous_after(&store, &plan, &Operation::Deploy)?;
        let refusal = prepared
            .refusal(ctx, request, &store, &plan)
            .nothing_changed();
        let apply = (!plan.is_empty()).then(|| command(ctx, request, &plan));
        let is_live = plan.from.is_some() && !ctx.host.is_offline();
        Ok(Preview {
            unseen: (is_live && !is_root()).then_some(UNSEEN),
            plan,
            refusal: refusal.err(),
            apply,
        })
    };
    look().nothing_changed()
}

/// The command that applies exactly this plan.
pub(super) fn command(ctx: &Context<'_>, request: &DeployRequest, plan: &Plan) -> CommandLine {
    let path = |path: &Path| path.display().to_string();
    let options = &ctx.options;
    let mut line = CommandLine::sudo_robotctl([""; 0])
        .option("--app", options.app.clone())
        .option("--manifest", options.manifest.as_deref().map(path))
        .option("--environment", options.environment.clone())
        .arg("deploy");
    line = line.option("--from-package", request.from_package.clone());
    for (given, name) in [
        (request.force, "--force"),
        (request.lift_pins, "--lift-pins"),
        (request.same_rights, "--same-rights"),
        (request.rebuild, "--rebuild"),
    ] {
        if given {
            line = line.arg(name);
        }
    }
    line = line
        .option("--digest", request.digest.clone())
        .option("--signature", request.signature.as_deref().map(path))
        .option("--from", request.from.clone());
    let wait = request.wait.as_secs();
    line = line.option("--wait", (wait > 0).then(|| wait.to_string()));
    line = line.arg("--apply").arg("--plan").arg(plan.hash());
    if let Some(source) = request.source.as_deref().map(path) {
        if source.starts_with('-') {
            line = line.arg("--");
        }
        line = line.arg(source);
    }
    line
}
