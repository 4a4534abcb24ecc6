//! `--from`: what is live in another environment, with the settings of this one.
//!
//! The files are those that the source had when the other release was staged. What its build made is made again,
//! because it may contain the paths of the other app.

use super::request::DeployRequest;
use crate::app::{App, Name};
use crate::command_line::CommandLine;
use crate::error::{AS_ROOT, Hint, fail};
use crate::health::{check_service, daemon_states};
use crate::host::is_root;
use crate::ops::context::Context;
use crate::ops::load::Loaded;
use crate::ops::other_release::OtherRelease;
use crate::store::ReleaseRecord;
use anyhow::Result;

/// Reads the manifest of the release that is live in the environment `from`, for this environment.
pub(super) fn load(ctx: &Context<'_>, request: &DeployRequest, from: &str) -> Result<Loaded> {
    if request.source.is_some() || request.same_rights {
        return fail(
            "`--from` takes the files of another environment, so it needs no source and no `--same-rights`",
            "remove one of them",
        );
    }
    let base = base_name(ctx)?;
    let app = if from == base {
        base.clone()
    } else {
        format!("{base}-{from}")
    };
    let Ok(name) = Name::parse(&app) else {
        return fail(
            format!("`{from}` is not the name of an environment"),
            "write the name of a table `[environment.NAME]`, or the name of the app for its release without one",
        );
    };
    let own = match &ctx.options.environment {
        Some(environment) => format!("{base}-{environment}"),
        None => base.clone(),
    };
    if own == app {
        return fail(
            format!("`--from` names `{app}` itself"),
            "name the environment that has the release: `robotctl status` lists them",
        );
    }
    ctx.check_deployed(&name)?;
    if !is_root() {
        return fail(
            format!("only root can read the live release of `{name}`"),
            AS_ROOT,
        );
    }
    let store = ctx.store(&name);
    let Some(id) = store.state()?.live else {
        return ctx.nothing_live(&name, "then take it from there");
    };
    let record = store
        .release(&id)?
        .ok_or_else(|| store.missing_record(&id))?;
    let other = record.app()?;
    let Some(payload) = store.payload(&id)? else {
        return fail(
            format!("the list of files of {name} {id} was not kept"),
            "deploy that environment again, or deploy from the source",
        );
    };
    if is_of_environment(&record, from) != (from != base) {
        return fail(
            format!("`{name}` is no environment of `{base}`"),
            "name another environment",
        );
    }
    check_healthy(ctx, &other, &id)?;
    let dir = ctx.host.root.followed(&other.layout.release(&id));
    let mut loaded = ctx.checked_manifest(dir.join("robot.toml"), record.manifest)?;
    ctx.attempt.set_app(&loaded.app.name);
    loaded.from = Some(OtherRelease {
        app,
        id,
        dir,
        payload,
    });
    Ok(loaded)
}

fn is_of_environment(record: &ReleaseRecord, from: &str) -> bool {
    record.public.environment.as_deref() == Some(from)
}

/// The name of the app without its environment: as `--app` says, or the manifest of this directory.
fn base_name(ctx: &Context<'_>) -> Result<String> {
    let environment = ctx.options.environment.as_deref();
    if let Some(name) = ctx.named_app()? {
        let name = name.to_string();
        let base = environment.and_then(|one| name.strip_suffix(one)?.strip_suffix('-'));
        return Ok(base.unwrap_or(&name).to_owned());
    }
    match ctx.base_name_of_manifest()? {
        Some(name) => Ok(name),
        None => fail(
            "`--from` needs the app: there is no `robot.toml` in this directory",
            "name it with `--app NAME`",
        ),
    }
}

/// Refuses a release that is not healthy where it is live.
fn check_healthy(ctx: &Context<'_>, app: &App, id: &str) -> Result<()> {
    if ctx.host.is_offline() {
        return Ok(());
    }
    let states = daemon_states(&ctx.host, app)?;
    let down = states
        .iter()
        .find(|(_, state)| !state.is_active() && !state.is_skipped());
    let mut wrong = down.map(|(unit, _)| format!("`{unit}` is not running"));
    let running = app.services.iter().filter(|service| {
        let unit = app.unit(service);
        states
            .iter()
            .any(|(name, state)| *name == unit && state.is_active())
    });
    for service in running {
        if wrong.is_some() {
            break;
        }
        let verdicts = check_service(&ctx.host, app, service, None, &ctx.trace);
        let failed = verdicts
            .into_iter()
            .find(|verdict| verdict.failure.is_some());
        wrong = failed.map(|_| format!("a check of service `{}` fails", service.name));
    }
    let Some(wrong) = wrong else {
        return Ok(());
    };
    let doctor = CommandLine::sudo_robotctl(["--app", app.name.as_str(), "doctor"]);
    fail(
        format!("{} {id} is not healthy: {wrong}", app.name),
        Hint::to("see what is wrong", doctor),
    )
}
