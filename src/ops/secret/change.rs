//! `secret set`, `rotate` and `restore`: another value for a secret.

use super::declared::{declaring_apps, find_app, parse_name};
use super::restart::{SecretRestart, check_can_restart};
use super::source::ValueSource;
use crate::app::{App, EnvName, Layout, Name};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::events::Subject;
use crate::host::protect_memory;
use crate::manifest::nearest;
use crate::ops::attempt::AttemptKind;
use crate::ops::context::Context;
use crate::session::Session;
use crate::settings::{RunningUser, SecretFiles, SecretValue, running_users};
use anyhow::Result;
use std::time::Duration;

/// What becomes of the value of a secret.
#[derive(Debug, Clone)]
pub(crate) enum SecretChange {
    /// It gets this value.
    Set(ValueSource),
    /// It gets another value: a generated one if the manifest says `generate`, else this one.
    Rotate(ValueSource),
    /// It gets the previous value.
    Restore,
    /// It keeps its value, and the services that run with another one restart.
    Apply,
}

/// The options of a command that changes a secret.
#[derive(Debug, Clone)]
pub(crate) struct SecretRequest {
    /// The name of the secret.
    pub(crate) name: String,
    /// What becomes of its value.
    pub(crate) change: SecretChange,
    /// Restarts the services that use it.
    pub(crate) apply: bool,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

/// What a command has done to a secret.
#[derive(Debug)]
pub(crate) struct ChangedSecret {
    /// The app.
    pub(crate) app: String,
    /// The name of the secret.
    pub(crate) name: String,
    /// Whether it had this value already.
    pub(crate) is_same: bool,
    /// Whether a previous value is kept.
    pub(crate) has_previous: bool,
    /// The services that run with an older value.
    pub(crate) older: Vec<String>,
    /// The services that were restarted.
    pub(crate) restarted: Vec<String>,
}

/// Changes the value of a secret.
///
/// # Errors
/// Its kind says what was changed.
pub(crate) fn run(ctx: &Context<'_>, request: &SecretRequest) -> Result<ChangedSecret, Error> {
    ctx.record_attempt(AttemptKind::Secret, || {
        protect_memory().nothing_changed()?;
        let app = find_app(ctx).nothing_changed()?;
        let name = parse_name(&request.name).nothing_changed()?;
        ctx.check_privileges().nothing_changed()?;
        let layout = Layout::new(&app);
        let files = SecretFiles::new(&ctx.host.root, &layout);
        check_file(ctx, &layout, &name).nothing_changed()?;
        check_possible(ctx, request, files, &app, &name).nothing_changed()?;
        let apps = declaring_apps(ctx, &app).nothing_changed()?;
        let new = new_value(ctx, request, &app, &name, &apps).nothing_changed()?;
        check_variable(new.as_ref(), &name, &apps).nothing_changed()?;
        let writable = ctx.check_app_writable(&app).nothing_changed()?;
        ctx.change(
            &writable,
            "changing a secret",
            request.wait,
            |session, _| {
                // Another command may have changed it since.
                check_possible(ctx, request, files, &app, &name).nothing_changed()?;
                warn_of_unknown(ctx, &app, &name, &apps);
                change(ctx, session, request, files, (&app, &name), new)
            },
        )
    })
}

/// Refuses what cannot be done, before a value is asked for.
fn check_possible(
    ctx: &Context<'_>,
    request: &SecretRequest,
    files: SecretFiles<'_>,
    app: &Name,
    name: &EnvName,
) -> Result<()> {
    if request.apply {
        check_can_restart(ctx, &ctx.store(app), app)?;
    }
    let (kept, missing) = match request.change {
        SecretChange::Restore => (
            files.previous(name.as_str())?,
            format!("no earlier value of the secret `{name}` is kept"),
        ),
        SecretChange::Apply => (
            files.value(name.as_str())?,
            format!("the secret `{name}` has no value"),
        ),
        SecretChange::Set(_) | SecretChange::Rotate(_) => return Ok(()),
    };
    if kept.is_some() {
        return Ok(());
    }
    let set = CommandLine::sudo_robotctl(["secret", "set", name.as_str()]);
    fail(missing, Hint::to("set one", set))
}

/// The value that was asked for; `None` for one that is kept already.
fn new_value(
    ctx: &Context<'_>,
    request: &SecretRequest,
    app: &Name,
    name: &EnvName,
    apps: &[App],
) -> Result<Option<SecretValue>> {
    let source = match &request.change {
        SecretChange::Set(source) => source,
        SecretChange::Rotate(source) => {
            let mut secrets = apps.iter().flat_map(|app| &app.secrets);
            let declared = secrets.find(|secret| secret.name == *name);
            let generate = declared.and_then(|secret| secret.generate);
            if let (Some(bytes), ValueSource::Input { .. }) = (generate, source) {
                return SecretValue::generate(bytes).map(Some);
            }
            source
        }
        SecretChange::Restore | SecretChange::Apply => return Ok(None),
    };
    source.read(ctx, app, name).map(Some)
}

fn change(
    ctx: &Context<'_>,
    session: &Session<'_>,
    request: &SecretRequest,
    files: SecretFiles<'_>,
    (app, name): (&Name, &EnvName),
    new: Option<SecretValue>,
) -> Result<ChangedSecret, Error> {
    let word = name.as_str();
    let live = declaring_live(session).nothing_changed()?;
    let users = |live: &Option<App>| -> Result<Vec<RunningUser>> {
        match live {
            Some(live) => running_users(&ctx.host, live, word),
            None => Ok(Vec::new()),
        }
    };
    let current = files.value(word).nothing_changed()?;
    let before = users(&live).nothing_changed()?;
    let new = match request.change {
        SecretChange::Apply => current.clone(),
        _ => new,
    };
    let is_same = new.is_some() && new == current;
    if is_same && matches!(request.change, SecretChange::Rotate(_)) {
        return Err(Error::refused(
            format!("the secret `{name}` has this value already"),
            "rotate it to another value",
        ));
    }
    match &new {
        Some(new) => {
            if let Some(old) = value_to_keep(new, current, &before) {
                files.keep(word, &old)?;
            }
            if !is_same {
                files.write(word, new)?;
            }
        }
        None if current.is_some() => files.exchange(word)?,
        None => files.restore(word)?,
    }
    if !is_same {
        let text = format!("the secret `{name}` has another value");
        session.emit("info", "secret-changed", Subject::default(), &text);
    }
    let restarted = if request.apply {
        restart(ctx, session, files, word)?
    } else {
        Vec::new()
    };
    let older = users(&live)?.into_iter().filter(|user| user.is_older);
    Ok(ChangedSecret {
        app: app.to_string(),
        name: name.to_string(),
        is_same,
        has_previous: files.previous(word)?.is_some(),
        older: older.map(|user| user.unit).collect(),
        restarted,
    })
}

/// Restarts the services that run with an older value. If that fails, the previous value is restored.
fn restart(
    ctx: &Context<'_>,
    session: &Session<'_>,
    files: SecretFiles<'_>,
    name: &str,
) -> Result<Vec<String>, Error> {
    let tried = || -> Result<Vec<String>, Error> {
        let plan = SecretRestart::plan(ctx, session.store, name).nothing_changed()?;
        let Some(plan) = plan else {
            return Ok(Vec::new());
        };
        plan.apply(ctx, session)?;
        Ok(plan.units())
    };
    tried().or_else(|mut error| {
        // Later, the change itself has restored it.
        if error.kind <= Kind::Interrupted {
            files.restore(name)?;
        }
        if error.kind <= Kind::Interrupted || error.kind == Kind::RolledBack {
            error.message = format!(
                "the previous value of the secret `{name}` was restored: {}",
                error.message
            );
        }
        Err(error)
    })
}

/// The app of the live release.
fn declaring_live(session: &Session<'_>) -> Result<Option<App>> {
    let live = crate::ops::observe::live_release(session.store)?;
    Ok(live.map(|live| live.app))
}

/// The value to return to: the one that the services run with, else the one in use.
fn value_to_keep(
    new: &SecretValue,
    current: Option<SecretValue>,
    users: &[RunningUser],
) -> Option<SecretValue> {
    let mut given = users.iter().filter_map(|user| user.given.as_ref());
    let is_current = |one: &SecretValue| current.as_ref() == Some(one);
    let is_given = given.clone().any(is_current);
    let older = given.find(|one| *one != new).cloned();
    match current {
        Some(current) if current == *new => older,
        Some(current) if is_given => Some(current),
        current => older.or(current),
    }
}

/// Refuses a value that a service could not get as an environment variable.
fn check_variable(new: Option<&SecretValue>, name: &EnvName, apps: &[App]) -> Result<()> {
    let secrets = apps.iter().flat_map(|app| &app.secrets);
    let mut variables = secrets
        .filter(|secret| secret.name == *name)
        .filter_map(|secret| secret.variable.as_ref());
    let clause = variables.find_map(|variable| new?.variable_fault(variable.as_str()));
    match clause {
        None => Ok(()),
        Some(clause) => fail(
            format!("the value of the secret `{name}` {clause}"),
            "set another value, or remove `as = \"env\"` from the secret: then the service gets it as a file",
        ),
    }
}

/// Refuses a file that something else manages.
fn check_file(ctx: &Context<'_>, layout: &Layout, name: &EnvName) -> Result<()> {
    let (root, path) = (&ctx.host.root, layout.credential(name.as_str()));
    let real = root.path(&path).display().to_string();
    let Some(meta) = root.meta(&path)? else {
        return Ok(());
    };
    if meta.is_symlink {
        let target = root.read_link(&path)?.unwrap_or_default();
        return fail(
            format!("the secret `{name}` is a link to `{target}`, which something else may manage"),
            Hint::to(
                "to manage it with robotctl, remove the link",
                CommandLine::sudo(["rm", &real]),
            ),
        );
    }
    if meta.is_dir {
        let aside = CommandLine::sudo(["mv", &real, &format!("{real}.old")]);
        return fail(
            format!("the secret `{name}` is a directory, and no file"),
            Hint::to("move it to another place", aside),
        );
    }
    Ok(())
}

/// Warns about a secret that no manifest declares.
fn warn_of_unknown(ctx: &Context<'_>, app: &Name, name: &EnvName, apps: &[App]) {
    let declared = apps.iter().flat_map(|app| &app.secrets);
    let declared: Vec<&str> = declared.map(|secret| secret.name.as_str()).collect();
    if apps.is_empty() || declared.contains(&name.as_str()) {
        return;
    }
    let mut text = format!("no `[[secret]]` of the manifest is called `{name}`");
    if let Some(near) = nearest(name.as_str(), &declared) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    ctx.note("warning", app.as_str(), &text);
}

#[cfg(test)]
mod tests {
    use super::value_to_keep;
    use crate::settings::{RunningUser, SecretValue};

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.into()).unwrap()
    }

    #[test]
    fn the_value_that_the_services_run_with_is_kept() {
        for (current, given, new, kept) in [
            (None, &[][..], "new", None),
            (Some("old"), &[], "new", Some("old")),
            (Some("old"), &["old", "old"], "new", Some("old")),
            // Another value was set since they started.
            (Some("unused"), &["old"], "new", Some("old")),
            // They disagree.
            (Some("old"), &["older", "old"], "new", Some("old")),
            // The value is set already, and they still run with an older one.
            (Some("new"), &["old"], "new", Some("old")),
            (Some("new"), &["new"], "new", None),
            (None, &["old"], "new", Some("old")),
        ] {
            let users: Vec<RunningUser> = given
                .iter()
                .map(|text| RunningUser {
                    unit: "shop-web.service".to_owned(),
                    given: Some(value(text)),
                    is_older: true,
                })
                .collect();
            let found = value_to_keep(&value(new), current.map(value), &users);
            let wanted = kept.map(value);
            assert!(found == wanted, "{current:?} {given:?} {new}");
        }
    }
}
