//! `check`: runs the checks of the live release.

use super::context::Context;
use crate::app::Service;
use crate::command_line::CommandLine;
use crate::error::{AS_ROOT, Claim as _, Error, Hint, fail};
use crate::health::{Verdict, check_service, daemon_states, unmet_in_words};
use crate::host::is_root;
use anyhow::Result;

/// Runs the checks of the live release's services and timers.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when no release is live. A check that fails is a verdict.
pub(crate) fn run(ctx: &Context<'_>) -> Result<(String, Vec<Verdict>), Error> {
    let check = || -> Result<(String, Vec<Verdict>)> {
        if ctx.host.is_offline() {
            return fail(
                "checks need running services, and nothing runs below `--root`",
                Hint::to(
                    "run `check` on the host itself; this command checks a tree",
                    CommandLine::robotctl(["doctor"]),
                ),
            );
        }
        let name = ctx.selected_app()?;
        let store = ctx.store(&name);
        let Some(live) = store.state()?.live else {
            return ctx.nothing_live(&name, "then run its checks");
        };
        let record = match store.release(&live) {
            Err(_) if !is_root() => {
                return fail(
                    format!("only root can read the checks of `{name}`"),
                    AS_ROOT,
                );
            }
            read => read?,
        };
        let app = record.ok_or_else(|| store.missing_record(&live))?.app()?;
        let states = daemon_states(&ctx.host, &app)?;
        let is_skipped = |service: &Service| {
            let unit = app.unit(service);
            let mut skipped = states.iter().filter(|(_, state)| state.is_skipped());
            skipped.any(|(name, _)| *name == unit)
        };
        for service in app.services.iter().filter(|one| is_skipped(one)) {
            let text = format!(
                "`{}` was not started, so its checks were not run: {}",
                app.unit(service),
                unmet_in_words(&service.conditions)
            );
            ctx.note("info", name.as_str(), &text);
        }
        let is_checked = |service: &&Service| {
            (service.is_daemon() && !is_skipped(service)) || service.timer.is_some()
        };
        let services = app.services.iter().filter(is_checked);
        let (mut count, mut verdicts) = (0, Vec::new());
        for service in services {
            count += service.checks.len();
            verdicts.extend(check_service(&ctx.host, &app, service, None, &ctx.trace));
        }
        if count == 0 {
            let text = format!(
                "no service of `{name}` that should run has a `check`, so there is nothing to run"
            );
            ctx.note("info", name.as_str(), &text);
        }
        Ok((name.to_string(), verdicts))
    };
    check().nothing_changed()
}
