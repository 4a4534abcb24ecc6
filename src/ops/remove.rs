//! `remove`: an app leaves the host.

use super::attempt::AttemptKind;
use super::context::Context;
use super::deploy::check_removable;
use crate::app::{Layout, Name};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::host::defer_signals;
use crate::store::Store;
use crate::transaction::{self, Removal, RemoveError, has_leftovers, installed_files, removal};
use anyhow::Result;
use std::time::Duration;

/// The options of a removal.
#[derive(Debug, Clone, Default)]
pub(crate) struct RemoveRequest {
    /// Also deletes state, settings and secrets.
    pub(crate) purge: bool,
    /// Removes nothing that did not come from the package of the app: for its maintainer script.
    pub(crate) from_package: bool,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

/// What a removal would do.
#[derive(Debug)]
pub(crate) struct Preview {
    /// The app.
    pub(crate) app: String,
    /// The live release.
    pub(crate) live: Option<String>,
    /// What is stopped and removed.
    pub(crate) removal: Removal,
    /// What stays, in one sentence.
    pub(crate) kept: String,
    /// The command that removes the app.
    pub(crate) apply: CommandLine,
}

/// Shows what a removal would do. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] when `--apply` would be refused.
pub(crate) fn preview(ctx: &Context<'_>, request: &RemoveRequest) -> Result<Preview, Error> {
    let look = || -> Result<Preview> {
        let (name, store) = app(ctx, request, false)?;
        ctx.check_preview(&ctx.check_app_writable(&name)?, request.wait)?;
        let is_named =
            ctx.options.app.is_some() || ctx.app_without_options().as_ref() != Some(&name);
        Ok(Preview {
            app: name.to_string(),
            live: store.state()?.live,
            removal: removal(&ctx.host, &store, &name, request.purge)?,
            kept: kept(&name, request.purge),
            apply: command(request, is_named.then_some(name.as_str()), true),
        })
    };
    look().nothing_changed()
}

/// Removes an app. The text says what was kept.
///
/// # Errors
/// [`Kind::Degraded`] when the app is removed in part; `recover` ends that.
pub(crate) fn apply(ctx: &Context<'_>, request: &RemoveRequest) -> Result<String, Error> {
    ctx.record_attempt(AttemptKind::Remove, || change(ctx, request))
}

fn change(ctx: &Context<'_>, request: &RemoveRequest) -> Result<String, Error> {
    ctx.check_privileges().nothing_changed()?;
    let (name, store) = match app(ctx, request, true) {
        // A package is removed also if its app is not deployed.
        Err(_) if request.from_package && is_absent(ctx) => {
            return Ok("the app is not deployed".to_owned());
        }
        found => found.nothing_changed()?,
    };
    if request.from_package && !check_removable(&store).nothing_changed()? {
        return Ok(format!(
            "the live release of {name} did not come from its package, so it is not removed"
        ));
    }
    let writable = ctx.check_app_writable(&name).nothing_changed()?;
    ctx.check_records(&writable)?;
    let purge = request.purge;
    ctx.change(&writable, "removing", request.wait, |session, _| {
        let store = session.store;
        let state = store.state().nothing_changed()?;
        let is_removed = state.live.is_none() && store.releases().nothing_changed()?.is_empty();
        if is_removed && !purge && !is_installed(ctx, &name).nothing_changed()? {
            // Records are all that is left: of a first deploy that failed, or of a removal that was
            // interrupted and has just been completed.
            store.delete()?;
            return Ok(kept(&name, purge));
        }
        let guard = defer_signals();
        let removed = transaction::remove(session, &name, purge);
        drop(guard);
        removed.map_err(|error| match error {
            RemoveError::Refused(error) => Error::of_kind(Kind::Refused, error),
            RemoveError::Restored(error) => {
                let error = Error::of_kind(Kind::RolledBack, error);
                Error {
                    message: format!(
                        "{name} was not removed, and was restored: {}",
                        error.message
                    ),
                    ..error
                }
                .hint("fix the cause and remove it again")
            }
            RemoveError::Interrupted(error) => super::session::interrupted(error),
        })?;
        Ok(kept(&name, purge))
    })
}

/// Whether nothing of the named app is on the host.
fn is_absent(ctx: &Context<'_>) -> bool {
    let name = ctx.named_app().ok().flatten();
    name.is_some_and(|name| matches!(is_installed(ctx, &name), Ok(false)))
}

/// The same command for an app, with `--apply` or without it.
fn command(request: &RemoveRequest, app: Option<&str>, is_apply: bool) -> CommandLine {
    let seconds = request.wait.as_secs();
    let line = CommandLine::sudo_robotctl([""; 0])
        .option("--app", app)
        .arg("remove");
    let line = match request.purge {
        true => line.arg("--purge"),
        false => line,
    };
    let line = match request.from_package {
        true => line.arg("--from-package"),
        false => line,
    };
    let line = line.option("--wait", (seconds > 0).then(|| seconds.to_string()));
    match is_apply {
        true => line.arg("--apply"),
        false => line,
    }
}

/// The app to remove. A purge also takes an app that was removed without one.
fn app(ctx: &Context<'_>, request: &RemoveRequest, is_apply: bool) -> Result<(Name, Store)> {
    ctx.check_host()?;
    if request.purge && ctx.options.app.is_none() {
        let meant = ctx.resolve_app().ok();
        let name = meant.as_ref().map_or("NAME", Name::as_str);
        return fail(
            "`--purge` deletes data that nothing can restore, so it needs the app's name",
            Hint::to("name the app", command(request, Some(name), is_apply)),
        );
    }
    let name = ctx.resolve_app()?;
    let store = ctx.store(&name);
    let is_leftover = request.purge && store.is_empty()? && has_leftovers(&ctx.host, &name)?;
    if !is_leftover && !is_installed(ctx, &name)? {
        ctx.check_known(&name)?;
        ctx.check_deployed(&name)?;
    }
    Ok((name, store))
}

/// Whether files or releases of an app are on the host, whatever its records say.
fn is_installed(ctx: &Context<'_>, name: &Name) -> Result<bool> {
    let root = &ctx.host.root;
    Ok(!installed_files(root, name)?.is_empty()
        || ctx.store(name).exists()? && root.meta(&Layout::new(name).releases())?.is_some())
}

/// What a removal keeps.
fn kept(name: &Name, purge: bool) -> String {
    let layout = Layout::new(name);
    if purge {
        return "its accounts are kept: other files may belong to them".to_owned();
    }
    format!(
        "its state in {}, its settings in {} and its accounts are kept",
        layout.state(),
        layout.etc()
    )
}
