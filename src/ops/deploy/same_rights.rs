//! `--same-rights`: a deploy by a user who may deploy this app and nothing else.
//!
//! That user writes the manifest and the source. So robotctl trusts neither: `--app` names the app, no link
//! leads to the manifest, and the release asks for no right that the live one lacks.

use super::from;
use super::provenance::{check_signed, named_source};
use super::request::DeployRequest;
use super::source::{FoundSource, find_source};
use crate::app::App;
use crate::command_line::CommandLine;
use crate::error::{Hint, fail};
use crate::ops::context::Context;
use crate::ops::load::Loaded;
use crate::ops::observe::live_release;
use crate::plan::{Observed, Right, rights};
use crate::stage::Source;
use crate::store::Store;
use anyhow::Result;

/// A manifest, and the source that the command line names.
pub(super) type LoadedSource = (Loaded, Option<Source>);

/// Reads the manifest. An archive proves first where it comes from.
pub(super) fn load(ctx: &Context<'_>, request: &DeployRequest) -> Result<LoadedSource> {
    if request.same_rights && ctx.options.app.is_none() {
        return fail(
            "`--same-rights` needs `--app`: without it, the manifest chooses the app",
            "add `--app NAME`",
        );
    }
    if let Some(app) = &request.from_package {
        let loaded = ctx.load_installed_package(app)?;
        check_signed(ctx, request, &loaded, None)?;
        return Ok((loaded, None));
    }
    if let Some(other) = &request.from {
        let loaded = from::load(ctx, request, other)?;
        check_signed(ctx, request, &loaded, None)?;
        return Ok((loaded, None));
    }
    // The manifest may be in the archive.
    if ctx.options.manifest.is_none() {
        let named = named_source(ctx, request)?;
        let source = request.source.as_deref().zip(named.as_ref());
        let loaded = ctx.load_for_deploy(source, request.links())?;
        return Ok((loaded, named));
    }
    let loaded = ctx.load_for_deploy(None, request.links())?;
    check_signed(ctx, request, &loaded, None)?;
    Ok((loaded, named_source(ctx, request)?))
}

/// Finds the source, and refuses one that must be signed and is not.
pub(super) fn find(
    ctx: &Context<'_>,
    request: &DeployRequest,
    (loaded, named): &LoadedSource,
) -> Result<FoundSource> {
    let found = find_source(request, loaded, named.as_ref())?;
    check_signed(ctx, request, loaded, Some(&found))?;
    Ok(found)
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
