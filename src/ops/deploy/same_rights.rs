//! `--same-rights`: a deploy by a user who may deploy this app and nothing else.
//!
//! That user writes the manifest and the source. So robotctl trusts neither: `--app` names the app, no link
//! leads to the manifest, and the release asks for no right that the live one lacks.

use super::request::DeployRequest;
use super::source::FoundSource;
use crate::app::App;
use crate::command_line::CommandLine;
use crate::error::{Hint, fail};
use crate::ops::context::Context;
use crate::ops::load::Loaded;
use crate::ops::observe::live_release;
use crate::plan::{Observed, Right, rights};
use crate::store::Store;
use anyhow::Result;

/// Reads the manifest.
pub(super) fn load(ctx: &Context<'_>, request: &DeployRequest) -> Result<Loaded> {
    if request.same_rights && ctx.options.app.is_none() {
        return fail(
            "`--same-rights` needs `--app`: without it, the manifest chooses the app",
            "add `--app NAME`",
        );
    }
    if let Some(app) = &request.from_package {
        return ctx.load_installed_package(app);
    }
    ctx.load_for_deploy(request.source.as_deref(), request.links())
}

/// As [`check_rights`], before robotctl looks at the host: it reads only the records of the live release.
pub(super) fn check_live_rights(
    request: &DeployRequest,
    loaded: &Loaded,
    store: &Store,
    (_, outside_source): &FoundSource,
) -> Result<()> {
    if !request.same_rights {
        return Ok(());
    }
    let mut observed = Observed {
        live: live_release(store)?,
        ..Observed::default()
    };
    observed.facts.outside_source.clone_from(outside_source);
    check_rights(request, &loaded.app, &observed)
}

/// Refuses a release that asks for more rights than the live one, if the deploy says so.
pub(super) fn check_rights(request: &DeployRequest, app: &App, observed: &Observed) -> Result<()> {
    if !request.same_rights {
        return Ok(());
    }
    let Some(live) = &observed.live else {
        return fail(
            format!(
                "no release of `{}` is live, so there are no rights to compare with",
                app.name
            ),
            Hint::to(
                "read the plan and deploy it once without `--same-rights`",
                CommandLine::sudo_robotctl(["deploy"]),
            ),
        );
    };
    let new = rights(app, observed)
        .into_iter()
        .filter(|right| right.is_new);
    let new: Vec<String> = new.map(|right| named(&right)).collect();
    if new.is_empty() {
        return Ok(());
    }
    fail(
        format!(
            "the release asks for rights that {} lacks: {}",
            live.id,
            new.join("; ")
        ),
        Hint::to(
            "remove them from the manifest, or read the plan and deploy it once without `--same-rights`",
            CommandLine::sudo_robotctl(["deploy"]),
        ),
    )
}

/// A right in a sentence: ``user `mallory` of service web``.
fn named(right: &Right) -> String {
    format!(
        "{} `{}` of {}",
        right.kind.word(),
        right.value.replace('`', "'"),
        right.subject()
    )
}
