//! What killed runs left in `/run`: second copies, stand-ins' drop-ins, jobs.

use crate::app::{Hooks, PRE_CHECK_SUFFIX, STAND_IN_SUFFIX};
use crate::error::HintedError;
use crate::health::is_at_work;
use crate::host::{self, Host};
use crate::units::{self, RUNTIME_UNIT_DIR};
use anyhow::{Result, bail};

/// What is in the first line of every file that is made for an app.
pub(super) fn made_line(app: &str) -> String {
    format!("from the manifest of {app};")
}

/// Refuses to go on while a unit of an earlier run is still there: to start it would do nothing, and
/// what it did then would be held for the new release's.
pub(super) fn ensure_no_leftovers(host: &Host, units: &[String]) -> Result<()> {
    if host.is_offline() {
        return Ok(());
    }
    let states = host.systemd.show(units)?;
    let mut join = units.iter().zip(states);
    let Some((unit, _)) = join.find(|(_, state)| !state.is_down()) else {
        return Ok(());
    };
    Err(HintedError::new(
        format!("`{unit}` of an earlier run is still there, nothing was changed"),
        format!("sudo systemctl stop {unit}, then try again"),
    )
    .into())
}

/// Stops and removes second copies that a killed run left.
///
/// # Errors
/// All that could not be stopped or removed.
pub fn clean_up(host: &Host, app: &str) -> Result<()> {
    if host.is_offline() {
        return Ok(());
    }
    let copy = |name: &str| {
        let unit = units::unit_of_entry(host::temp_target(name).unwrap_or(name));
        let stem = units::stem(unit);
        unit.starts_with(&format!("{app}-"))
            && [PRE_CHECK_SUFFIX, STAND_IN_SUFFIX, Hooks::SUFFIX]
                .iter()
                .any(|end| stem.trim_end_matches('@').ends_with(end))
    };
    let (mut found, mut failed) = (false, Vec::new());
    for name in host.root.list(RUNTIME_UNIT_DIR)? {
        if !copy(&name) || is_at_work(&name, app) {
            continue;
        }
        match remove_units(host, app, name) {
            Ok(taken) => found |= taken,
            // The others go all the same.
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    if found && let Err(error) = host.systemd.daemon_reload() {
        failed.push(format!("{error:#}"));
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("{}", failed.join("; ")),
    }
}

/// Takes away a unit or its drop-ins, if they were made for the app. By the file of a unit, the next
/// sweep finds what did not stop, so it stays then.
fn remove_units(host: &Host, app: &str, name: String) -> Result<bool> {
    let path = format!("{RUNTIME_UNIT_DIR}/{name}");
    if !made_for(host, &path, app)? {
        return Ok(false);
    }
    let unit = units::unit_of_entry(&name);
    if unit == name {
        host.systemd.stop_and_confirm(&[name])?;
        host.root.remove_file(&path)?;
        return Ok(true);
    }
    let unit = format!("{RUNTIME_UNIT_DIR}/{unit}");
    if host.root.meta(&unit)?.is_none() {
        host.root.remove_tree(&path)?;
    }
    Ok(true)
}

/// Whether a unit, or a file in a directory of drop-ins, was rendered for the app: the name alone
/// cannot tell `demo` with a service `staging-web` from `demo-staging` with a service `web`, which
/// may be deploying just now.
fn made_for(host: &Host, path: &str, app: &str) -> Result<bool> {
    let head = made_line(app);
    let is_dir = host.root.meta(path)?.is_some_and(|meta| meta.is_dir);
    let files = match is_dir {
        true => host.root.list(path)?,
        false => vec![String::new()],
    };
    if is_dir && files.is_empty() {
        return Ok(true); // A killed run left it; one at work makes it again.
    }
    for name in files {
        let bytes = host
            .root
            .read(format!("{path}/{name}").trim_end_matches('/'))?;
        let text = bytes.unwrap_or_default();
        if String::from_utf8_lossy(&text).contains(&head) {
            return Ok(true);
        }
    }
    Ok(false)
}
