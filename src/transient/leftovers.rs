//! What killed runs left in `/run/systemd/system`: pre-check instances and jobs.

use super::job::is_running_check;
use crate::app::{Hooks, PRE_CHECK_SUFFIX};
use crate::host::{Host, UnitStatus, temp_target};
use crate::units::{BUILD_PREFIX, RUNTIME_UNIT_DIR, SOAK_PREFIX, is_of_drain, stem, unit_of_entry};
use anyhow::{Result, bail};

/// How the names of units begin that robotctl starts for an app without files.
const COMMAND_PREFIXES: [&str; 2] = [BUILD_PREFIX, SOAK_PREFIX];

/// The line that every file for an app contains.
pub(super) fn made_line(app: &str) -> String {
    format!("from the manifest of {app};")
}

/// The transient units of an app, in the order of their names. If no command changes the app, a killed
/// one left them.
///
/// # Errors
/// When the directory of the units cannot be listed, or a unit cannot be read.
pub(crate) fn transient_units(host: &Host, app: &str) -> Result<Vec<String>> {
    let mut units = Vec::new();
    for name in host.root.list(RUNTIME_UNIT_DIR)? {
        let is_unit = unit_of_entry(&name) == name && temp_target(&name).is_none();
        if is_unit
            && is_transient(&name, app)
            && !is_running_check(&name, app)
            && is_made_for(host, &format!("{RUNTIME_UNIT_DIR}/{name}"), app)?
        {
            units.push(name);
        }
    }
    units.sort();
    Ok(units)
}

/// Stops and removes the transient units that killed runs of an app left. Returns whether there were
/// any.
///
/// # Errors
/// With everything that could not be stopped or removed.
pub(crate) fn remove_leftovers(host: &Host, app: &str) -> Result<bool> {
    if host.is_offline() {
        return Ok(false);
    }
    let (mut has_removed, mut failed) = (false, Vec::new());
    for name in host.root.list(RUNTIME_UNIT_DIR)? {
        if !is_transient(&name, app) || is_running_check(&name, app) {
            continue;
        }
        match remove(host, app, name) {
            Ok(removed) => has_removed |= removed,
            // One that cannot be removed does not keep the others.
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    if has_removed && let Err(error) = host.systemd.daemon_reload() {
        failed.push(format!("{error:#}"));
    }
    if failed.is_empty() {
        Ok(has_removed)
    } else {
        bail!("{}", failed.join("; "))
    }
}

/// Clears the failures of transient units of an app that are over: systemd lists a unit that had to be killed
/// as failed until then, although its files are gone. It says nothing about the app.
///
/// # Errors
/// When systemd does not answer.
pub(crate) fn clear_failures(host: &Host, app: &str) -> Result<()> {
    if host.is_offline() {
        return Ok(());
    }
    let commands = COMMAND_PREFIXES.map(|prefix| format!("{prefix}{app}.*"));
    let patterns: Vec<String> = [format!("{app}-*")].into_iter().chain(commands).collect();
    let failed = host.systemd.failed_units(&patterns)?;
    let states = host.systemd.show(&failed)?;
    let is_over = |state: &&UnitStatus| {
        // A command that runs now may still read why its unit failed.
        let has_file = state.fragment_path.starts_with(RUNTIME_UNIT_DIR);
        !has_file && (is_transient(&state.id, app) || is_of_drain(&state.id))
            || is_of_command(&state.id, app)
    };
    let over: Vec<String> = states
        .iter()
        .filter(is_over)
        .map(|one| one.id.clone())
        .collect();
    host.systemd.reset_failed(&over);
    Ok(())
}

/// Whether a unit is one that robotctl itself starts for an app: a build, or the watch after a deploy. No app but
/// the bundled one has a name that begins with `robotctl-`, so no service has such a name.
fn is_of_command(unit: &str, app: &str) -> bool {
    let mut rests = COMMAND_PREFIXES
        .iter()
        .filter_map(|prefix| unit.strip_prefix(prefix)?.strip_prefix(app));
    rests.any(|rest| rest.starts_with('.'))
}

/// Whether a name in the unit directory can be that of a transient unit of an app, its directory of
/// drop-ins, or a temporary file of either.
fn is_transient(name: &str, app: &str) -> bool {
    let unit = unit_of_entry(temp_target(name).unwrap_or(name));
    let stem = stem(unit);
    let suffixes = [PRE_CHECK_SUFFIX, Hooks::SUFFIX];
    unit.starts_with(&format!("{app}-")) && suffixes.iter().any(|suffix| stem.ends_with(suffix))
}

/// Removes a unit or its drop-ins, if they were made for the app. A unit that does not stop keeps its
/// file, by which the next command finds it.
fn remove(host: &Host, app: &str, name: String) -> Result<bool> {
    let path = format!("{RUNTIME_UNIT_DIR}/{name}");
    if !is_made_for(host, &path, app)? {
        return Ok(false);
    }
    let unit = unit_of_entry(&name);
    if unit == name {
        host.systemd.stop_and_confirm(&[name])?;
        host.root.remove_file(&path)?;
    } else if host
        .root
        .meta(&format!("{RUNTIME_UNIT_DIR}/{unit}"))?
        .is_none()
    {
        // The drop-ins of a unit stay as long as the unit.
        host.root.remove_tree(&path)?;
    }
    Ok(true)
}

/// Whether a unit, or a file in a directory of drop-ins, was rendered for the app. The name is not
/// enough: `demo-staging-web` can be a service of `demo`, or of `demo-staging`, which may be deploying
/// at this moment.
fn is_made_for(host: &Host, path: &str, app: &str) -> Result<bool> {
    let is_dir = host.root.meta(path)?.is_some_and(|meta| meta.is_dir);
    let files = if is_dir {
        let names = host.root.list(path)?.into_iter();
        names.map(|name| format!("{path}/{name}")).collect()
    } else {
        vec![path.to_owned()]
    };
    // An empty directory: a running command would create it again.
    if files.is_empty() {
        return Ok(true);
    }
    let line = made_line(app);
    for file in files {
        let bytes = host.root.read(&file)?.unwrap_or_default();
        if String::from_utf8_lossy(&bytes).contains(&line) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::{is_made_for, is_of_command, is_transient};
    use crate::host::Host;
    use crate::tree::{Entry, FileTree};

    #[test]
    fn transient_units_are_known_by_their_names() {
        for name in [
            "demo-web-precheck.service",
            "demo-web-precheck.socket",
            "demo-web-precheck.service.d",
            "demo-before-switch-hook.service",
            ".demo-web-precheck.service.robotctl-1-2-3",
        ] {
            assert!(is_transient(name, "demo"), "{name}");
            assert!(!is_transient(name, "other"), "{name}");
        }
        for name in ["demo-web.service", "demo-web.service.d", "demo.target"] {
            assert!(!is_transient(name, "demo"), "{name}");
        }
    }

    #[test]
    fn units_of_builds_and_watches_are_known_by_the_whole_name_of_the_app() {
        for name in [
            "robotctl-build-demo.service",
            "robotctl-build-demo.0.service",
            "robotctl-soak-demo.service",
        ] {
            assert!(is_of_command(name, "demo"), "{name}");
            assert!(!is_of_command(name, "de"), "{name}");
        }
        for name in [
            "robotctl-build-demo-staging.service",
            "robotctl-recover.service",
            "robotctl-status-demo.service",
            "demo-web.service",
        ] {
            assert!(!is_of_command(name, "demo"), "{name}");
        }
    }

    #[test]
    fn a_file_tells_which_app_it_was_made_for() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new(Some(dir.path()));
        let unit = "/run/systemd/system/demo-staging-web-precheck.service";
        let mut tree = FileTree::default();
        let text = "# Generated by robotctl from the manifest of demo-staging; x\n";
        tree.insert(unit.to_owned(), Entry::file(text));
        tree.insert(format!("{unit}.d/05.conf"), Entry::file(text));
        host.root.put_tree(&tree).unwrap();
        for path in [unit, &format!("{unit}.d")] {
            assert!(is_made_for(&host, path, "demo-staging").unwrap());
            assert!(!is_made_for(&host, path, "demo").unwrap());
        }
    }
}
