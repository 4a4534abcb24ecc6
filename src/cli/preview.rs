//! The plan of a deploy, and what is sure to be in its way.

use super::deploy::Args;
use super::find::Loaded;
use super::{Ctx, Format, typed};
use crate::app::App;
use crate::error::HintedError;
use crate::host;
use crate::manifest::Problem;
use crate::payload::Payload;
use crate::plan::Plan;
use crate::stage::is_staged;
use crate::transaction::{self, future_programs, space, verify_units};
use crate::tree::FileTree;
use anyhow::Result;

/// Shows the plan.
pub(super) fn show(ctx: &Ctx, plan: &Plan) {
    match ctx.printer.format {
        Format::Json => {
            let value = serde_json::json!({ "plan": plan, "hash": plan.hash() });
            ctx.printer.value(&value, |_| String::new());
        }
        Format::Text if plan.is_empty() => {
            let text = format!("nothing to do: {} {} is live\n", plan.app, plan.to);
            ctx.printer.data(&text);
        }
        Format::Text => ctx.printer.data(&text(plan)),
    }
}

/// The plan with what it changes in files that are there.
pub(super) fn text(plan: &Plan) -> String {
    let mut text = super::view::plan::text(plan);
    if plan.from.is_some() && !plan.files.is_empty() {
        text.push_str(&format!("\n{}", super::view::plan::diffs(plan)));
    }
    text
}

/// Says how this plan and no other is done, once nothing is known that stands in its way.
pub(super) fn print_apply_command(args: &Args, ctx: &Ctx, plan: &Plan) {
    if ctx.printer.format == Format::Text {
        ctx.printer.say(&format!(
            "\nthis was the plan; to do it: {}",
            typed::command(args, ctx, &plan.hash())
        ));
    }
}

/// Refuses what `--apply` would refuse, in the same words; makes nothing.
pub(super) fn preflight(
    ctx: &Ctx,
    loaded: &Loaded,
    plan: &Plan,
    live: Option<&App>,
    payload: &Payload,
    tree: &FileTree,
) -> Result<()> {
    let (host, app) = (&ctx.host, &loaded.app);
    if !is_staged(host, app, &plan.to).unwrap_or(true) {
        space(host, app, &plan.payload)?;
    }
    transaction::preflight(host, app, live)?;
    future_programs(host, app, payload)?;
    // The units are laid out below /run to be looked at.
    match host::is_root() && host.systemd.is_booted() {
        true => verify_rendered_units(ctx, loaded, tree),
        false => Ok(()),
    }
}

/// Asks systemd whether it understands the units; names the line of the manifest that it does not.
pub(super) fn verify_rendered_units(ctx: &Ctx, loaded: &Loaded, tree: &FileTree) -> Result<()> {
    let app = &loaded.app;
    verify_units(&ctx.host, app, tree).map_err(|error| match error.downcast::<HintedError>() {
        Ok(mut refusal) => {
            if let Some(line) = line(app, &loaded.text, &refusal.message) {
                let file = loaded.path.display();
                refusal.message = format!("{file}:{line}: {}", refusal.message);
            }
            refusal.into()
        }
        Err(error) => error,
    })
}

/// The line of the directive or of the calendar that systemd's words are about.
fn line(app: &App, text: &str, said: &str) -> Option<usize> {
    let at = |path: &[&str]| Problem::new(path, "").at(text).line;
    let ends = |value: &str| {
        let mut lines = said.lines();
        lines.any(|line| line.ends_with(&format!(": {value}")))
    };
    app.services.iter().find_map(|service| {
        let name = service.name.as_str();
        let calendar = service.timer.as_ref().and_then(|it| it.calendar.as_ref());
        if calendar.is_some_and(|calendar| ends(&calendar.to_string())) {
            return at(&["service", name, "timer", "calendar"]);
        }
        let mut all = service.sandbox.directives.iter();
        let bad =
            all.find(|(key, value)| said.contains(&format!("'{key}'")) || ends(&value.to_string()));
        let (key, _) = bad?;
        at(&["service", name, "sandbox", "directives", key])
    })
}
