//! Settings: the environment file and the secrets.

use super::findings;
use crate::app::{App, HostOverlay, Layout, Name};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::{Error, Hint};
use crate::host::{Root, UnitStatus};
use crate::safe_fix::SafeFix;
use crate::settings::{
    SameSecrets, disagreements_among, env_file_faults, host_overlay, in_words, missing_variables,
    same_secrets, secret_faults, stale_among, unused_variables,
};
use crate::store::Store;
use anyhow::Result;

pub(in crate::doctor) fn secrets(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    Ok(findings(secret_faults(&context.host.root, app)?))
}

pub(in crate::doctor) fn env_file(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let root = &context.host.root;
    let mut faults = env_file_faults(root, &app.layout)?;
    faults.extend(missing_variables(root, app)?);
    let mut found = findings(faults);
    if let Some(live) = &context.state.live {
        let unused = unused_variables(root, app, &context.layout.release(live))?;
        found.extend(unused.iter().map(|name| unused_variable(context, name)));
    }
    Ok(found)
}

fn unused_variable(context: &CheckContext<'_>, name: &str) -> Finding {
    let path = context.layout.env_file();
    let message = format!("no file of the live release contains `{name}`, which `{path}` sets");
    let real = context.host.root.path(&path).display().to_string();
    let comment = format!("s/^[[:space:]]*{name}[[:space:]]*=/#&/");
    let edit = CommandLine::sudo(["sed", "-i", &comment, &real]);
    let hint = Hint::to("correct its name, or make the line a comment", edit);
    Finding::new(Severity::Note, message, hint)
}

/// Secrets whose content another secret has too. That may be wanted, so they are notes.
pub(in crate::doctor) fn same(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let root = &context.host.root;
    let finding = |same: SameSecrets| {
        let others: Vec<String> = same.others.iter().map(|path| format!("`{path}`")).collect();
        let message = format!(
            "the secret `{}` has the same content as {}",
            same.name,
            others.join(", ")
        );
        let set = CommandLine::sudo_robotctl(["secret", "set", same.name.as_str()]);
        let fix = Hint::to("if it should have its own, set it", set);
        Finding::new(Severity::Note, message, fix)
    };
    let same = same_secrets(root, app)?.into_iter();
    let environments = same_in_environments(root, app)?.into_iter();
    let warning = |(message, hint)| Finding::new(Severity::Warning, message, hint);
    Ok(environments.map(warning).chain(same.map(finding)).collect())
}

/// A sentence about each secret that another environment of the manifest has too, and what to do. A secret of
/// production that staging knows is one that every program of staging can lose.
pub(in crate::doctor) fn same_in_environments(
    root: &Root,
    app: &App,
) -> Result<Vec<(String, Hint)>> {
    let others = other_environments(root, app)?;
    let mut found = Vec::new();
    for same in same_secrets(root, app)? {
        for other in &others {
            let directory = format!("{}/", Layout::new(other).credentials());
            if same.others.iter().any(|path| path.starts_with(&directory)) {
                let message = format!(
                    "the secret `{}` has the same value in another environment, `{other}`",
                    same.name
                );
                let set = CommandLine::sudo_robotctl(["secret", "set", same.name.as_str()]);
                let hint = Hint::to("give each environment a value of its own", set);
                found.push((message, hint));
            }
        }
    }
    Ok(found)
}

/// The other apps of this host that come from the same manifest, in another environment.
fn other_environments(root: &Root, app: &App) -> Result<Vec<Name>> {
    let base = |name: &Name, environment: Option<&str>| {
        let end = environment.map(|environment| format!("-{environment}"));
        let base = end.and_then(|end| name.as_str().strip_suffix(&end).map(str::to_owned));
        base.unwrap_or_else(|| name.to_string())
    };
    let own = base(&app.name, app.environment.as_ref().map(Name::as_str));
    let mut others = Vec::new();
    for name in Store::apps_with_records(root)? {
        let Ok(name) = Name::parse(&name) else {
            continue;
        };
        let environment = Store::new(root, &Layout::new(&name)).environment();
        if name != app.name && base(&name, environment.as_deref()) == own {
            others.push(name);
        }
    }
    Ok(others)
}

/// The overlay of this host, if it is not the one with which the release is live.
fn overlay(context: &CheckContext<'_>, app: &App) -> Option<Finding> {
    let path = context.layout.local_manifest();
    let now = match host_overlay(&context.host.root, context.layout) {
        Ok(now) => now,
        Err(error) => {
            let error = Error::from(error);
            return Some(Finding::with_steps(
                Severity::Warning,
                error.message,
                error.hints,
            ));
        }
    };
    let changed = HostOverlay::differing(app.overlay.as_ref(), now.as_ref());
    if changed.is_empty() {
        return None;
    }
    let message = format!(
        "settings changed: `{path}` differs from what is in force in {}",
        changed.join(", ")
    );
    let deploy = CommandLine::sudo_robotctl(["deploy", "--apply"]);
    let fix = Hint::to("apply them", deploy);
    Some(Finding::new(Severity::Warning, message, fix))
}

/// Services that run with older settings than the files hold, and an overlay of the host that is not in force.
pub(in crate::doctor) fn settings(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let states: Vec<UnitStatus> = context
        .units
        .all()?
        .map(|(_, state)| state.clone())
        .collect();
    let stale = stale_among(context.host, app, &states)?.into_iter();
    let pins = &context.state.pins;
    let is_pinned = |unit: &str| pins.keys().any(|name| app.unit_called(name) == unit);
    let finding = |(unit, what): (String, String)| {
        let message = format!("settings of `{unit}` changed since it started: {what}");
        let restart = CommandLine::sudo(["systemctl", "restart", unit.as_str()]);
        // A deploy is refused while a service is pinned.
        let is_pinned = is_pinned(&unit);
        let fix = match is_pinned {
            true => vec![Hint::to("restart it", restart)],
            false => vec![
                Hint::to(
                    "restart it as a deploy does",
                    CommandLine::sudo_robotctl(["deploy", "--apply"]),
                ),
                Hint::to("or restart it alone", restart),
            ],
        };
        let overlap = (!is_pinned).then_some(SafeFix::Overlap { unit });
        Finding::with_steps(Severity::Warning, message, fix).safely(overlap)
    };
    let mut found: Vec<Finding> = stale.map(finding).collect();
    for one in disagreements_among(context.host, app, &states, &|_| false)? {
        let message = format!(
            "{} have the value in use of the secret `{}`, and another one is in use in {}",
            in_words(&one.current),
            one.secret,
            in_words(&one.older)
        );
        let apply = CommandLine::sudo_robotctl(["secret", "apply", one.secret.as_str()]);
        let fix = Hint::to("restart what has another value", apply);
        found.push(Finding::new(Severity::Warning, message, fix));
    }
    found.extend(overlay(context, app));
    Ok(found)
}
