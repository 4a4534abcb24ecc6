//! `env`: the variables in `/etc/<app>/env`, and who must restart to get them.

use super::attempt::AttemptKind;
use super::context::Context;
use super::observe::live_release;
use super::secret::find_app;
use super::verbs::{ServicesRequest, restart};
use crate::app::{App, EnvName, Layout, Name, holds_secret};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, HintedError, fail};
use crate::events::Subject;
use crate::host::is_root;
use crate::session::Session;
use crate::settings::{Edited, env_values, set_variable, stale_services, unset_variable};
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// The mode of a new file: its values may be secret.
const MODE: u32 = 0o600;

/// A variable of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ListedVariable {
    /// Its name.
    pub(crate) name: String,
    /// Its value; `null` if the name says that it is a secret.
    pub(crate) value: Option<String>,
    /// The services for which the manifest sets it to another value, which the file overrides.
    pub(crate) overrides: Vec<String>,
}

/// The variables of an app.
#[derive(Debug)]
pub(crate) struct VariableList {
    /// The app.
    pub(crate) app: String,
    /// The file.
    pub(crate) file: String,
    /// The variables, by name.
    pub(crate) variables: Vec<ListedVariable>,
}

/// What becomes of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariableChange {
    /// Its name, as typed.
    pub(crate) name: String,
    /// Its value; `None` to remove it.
    pub(crate) value: Option<String>,
}

/// The options of a command that changes variables.
#[derive(Debug, Clone)]
pub(crate) struct EnvRequest {
    /// The changes, in their order.
    pub(crate) changes: Vec<VariableChange>,
    /// Restarts the services that run with older variables.
    pub(crate) apply: bool,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

/// What a command has done to the variables.
#[derive(Debug)]
pub(crate) struct ChangedVariables {
    /// The app.
    pub(crate) app: String,
    /// The names that have another value, or none now.
    pub(crate) names: Vec<String>,
    /// The services that run with older variables, by their short names.
    pub(crate) older: Vec<String>,
    /// Whether they were restarted.
    pub(crate) is_restarted: bool,
}

/// Lists the variables.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) for other users than root, and when the file cannot be read.
pub(crate) fn list(ctx: &Context<'_>) -> Result<VariableList, Error> {
    let look = || -> Result<VariableList> {
        let app = find_app(ctx)?;
        let layout = Layout::new(&app);
        if !is_root() {
            return fail(
                format!("only root can read `{}`", layout.env_file()),
                crate::error::AS_ROOT,
            );
        }
        let live = live_release(&ctx.store(&app))?.map(|live| live.app);
        let values = env_values(&ctx.host.root, &layout)?.into_iter();
        let variables = values.map(|(name, value)| ListedVariable {
            overrides: overridden(live.as_ref(), &name, &value),
            value: (!holds_secret(&name)).then_some(value),
            name,
        });
        Ok(VariableList {
            app: app.to_string(),
            file: layout.env_file(),
            variables: variables.collect(),
        })
    };
    look().nothing_changed()
}

/// The services for which the manifest has another value.
fn overridden(live: Option<&App>, name: &str, value: &str) -> Vec<String> {
    let services = live.into_iter().flat_map(|app| &app.services);
    let differs = |service: &&crate::app::Service| {
        let mut env = service.env.iter();
        env.any(|(key, own)| key.as_str() == name && own.as_str() != value)
    };
    let names = services.filter(differs).map(|one| one.name.to_string());
    names.collect()
}

/// Changes variables. The file changes in one step, or not at all.
///
/// # Errors
/// Its kind says what was changed. A restart that fails leaves the new variables in the file.
pub(crate) fn change(ctx: &Context<'_>, request: &EnvRequest) -> Result<ChangedVariables, Error> {
    let changed = ctx.record_attempt(AttemptKind::Env, || {
        let app = find_app(ctx).nothing_changed()?;
        ctx.check_privileges().nothing_changed()?;
        check_can_restart(ctx, request).nothing_changed()?;
        let changes = checked(&request.changes).nothing_changed()?;
        edited(ctx, &Layout::new(&app), &changes).nothing_changed()?;
        let writable = ctx.check_app_writable(&app).nothing_changed()?;
        ctx.change(
            &writable,
            "changing variables",
            request.wait,
            |session, _| write(ctx, session, &app, &changes),
        )
    })?;
    if !request.apply || changed.older.is_empty() {
        return Ok(changed);
    }
    restart(
        ctx,
        &ServicesRequest {
            services: changed.older.clone(),
            wait: request.wait,
        },
    )?;
    Ok(ChangedVariables {
        is_restarted: true,
        ..changed
    })
}

fn check_can_restart(ctx: &Context<'_>, request: &EnvRequest) -> Result<()> {
    if request.apply && ctx.host.is_offline() {
        return fail(
            "nothing runs below `--root`, so nothing can restart",
            "leave out `--apply`: the services get the variables when they start",
        );
    }
    Ok(())
}

/// Refuses what systemd would not take.
fn checked(changes: &[VariableChange]) -> Result<Vec<(EnvName, Option<&str>)>> {
    let mut out = Vec::new();
    for change in changes {
        let name = EnvName::parse(&change.name).map_err(|rule| {
            let message = format!(
                "`{}` is not the name of a variable",
                change.name.escape_debug()
            );
            let hint = match change.name.starts_with("export ") {
                true => "write it without `export`",
                false => rule,
            };
            HintedError::new(message, hint)
        })?;
        if change
            .value
            .as_ref()
            .is_some_and(|value| value.contains('\0'))
        {
            return fail(
                format!("the value of `{name}` contains a NUL byte, which no variable can have"),
                "remove it",
            );
        }
        out.push((name, change.value.as_deref()));
    }
    Ok(out)
}

fn write(
    ctx: &Context<'_>,
    session: &Session<'_>,
    app: &Name,
    changes: &[(EnvName, Option<&str>)],
) -> Result<ChangedVariables, Error> {
    let (root, layout) = (&ctx.host.root, Layout::new(app));
    let path = layout.env_file();
    // Another command may have changed it since.
    let edit = edited(ctx, &layout, changes).nothing_changed()?;
    if !edit.names.is_empty() {
        root.make_dir(&layout.etc(), 0o755).nothing_changed()?;
        root.write_atomic(&path, edit.text.as_bytes(), edit.mode)?;
        let text = format!("`{path}` has another value of {}", edit.names.join(", "));
        session.emit("info", "env-changed", Subject::default(), &text);
    }
    let older = match live_release(session.store)? {
        Some(live) => {
            let stale = stale_services(&ctx.host, &live.app)?;
            let services = live.app.services.iter();
            let services = services.filter(|one| stale.contains_key(&live.app.unit(one)));
            services.map(|one| one.name.to_string()).collect()
        }
        None => Vec::new(),
    };
    Ok(ChangedVariables {
        app: app.to_string(),
        names: edit.names,
        older,
        is_restarted: false,
    })
}

/// The file as it is to be.
struct EditedFile {
    text: String,
    mode: u32,
    /// The variables that differ from those of the file as it is.
    names: Vec<String>,
}

fn edited(
    ctx: &Context<'_>,
    layout: &Layout,
    changes: &[(EnvName, Option<&str>)],
) -> Result<EditedFile> {
    let (mut text, mode) = read(ctx, layout)?;
    let mut names = Vec::new();
    for (name, value) in changes {
        let edited = match value {
            Some(value) => set_variable(&text, name, value),
            None => unset_variable(&text, name),
        };
        match edited {
            Edited::Unchanged => {}
            Edited::Text(new) => {
                text = new;
                names.push(name.to_string());
            }
            Edited::Misread => {
                let path = layout.env_file();
                return fail(
                    format!(
                        "systemd would misread `{name}` in `{path}`: a line above it does not end"
                    ),
                    Hint::to("find the line", CommandLine::sudo_robotctl(["doctor"])),
                );
            }
        }
    }
    Ok(EditedFile { text, mode, names })
}

/// The text of the file and its mode; nothing if there is none.
fn read(ctx: &Context<'_>, layout: &Layout) -> Result<(String, u32)> {
    let (root, path) = (&ctx.host.root, layout.env_file());
    let Some(meta) = root.meta(&path)? else {
        return Ok((String::new(), MODE));
    };
    if !meta.is_file() {
        let what = if meta.is_symlink { "link" } else { "directory" };
        let real = root.path(&path).display().to_string();
        let aside = CommandLine::sudo(["mv", &real, &format!("{real}.old")]);
        return fail(
            format!("`{path}` is a {what}, and no file, so robotctl does not change it"),
            Hint::to("change it by hand, or move it aside", aside),
        );
    }
    match String::from_utf8(root.read(&path)?.unwrap_or_default()) {
        Ok(text) => Ok((text, meta.mode & 0o777)),
        Err(_) => fail(
            format!("`{path}` is not UTF-8, so systemd drops all of it"),
            Hint::to("see which line", CommandLine::sudo_robotctl(["doctor"])),
        ),
    }
}
