//! The units of an app as systemd has loaded them. One call of `systemctl show` serves all checks.

use crate::app::layout::{ENABLE_DIR, RUNTIME_UNIT_DIR};
use crate::host::{Host, UnitStatus};
use anyhow::{Result, anyhow};
use std::cell::OnceCell;

/// Where drop-ins and units of the administrator are (systemd.unit(5), "Unit File Load Path"). Those that
/// `systemctl set-property` makes are in `system.control` beside each.
const OF_ADMINISTRATOR: [&str; 2] = [ENABLE_DIR, RUNTIME_UNIT_DIR];

/// A unit file or a drop-in that systemd has read for a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitText {
    /// Its path.
    pub(crate) path: String,
    /// Its content now.
    pub(crate) text: String,
}

impl UnitText {
    /// Whether the administrator made it.
    pub(crate) fn is_of_administrator(&self) -> bool {
        is_of_administrator(&self.path)
    }
}

/// Whether a path is that of a unit file or drop-in of the administrator.
fn is_of_administrator(path: &str) -> bool {
    OF_ADMINISTRATOR.iter().any(|dir| {
        let rest = path.strip_prefix(dir);
        rest.is_some_and(|rest| rest.starts_with('/') || rest.starts_with(".control/"))
    })
}

/// The units of an app. Nothing is asked before the first check needs it.
#[derive(Debug)]
pub(crate) struct LoadedUnits<'a> {
    host: &'a Host,
    names: Vec<String>,
    states: OnceCell<Result<Vec<UnitStatus>, String>>,
    files: OnceCell<Result<Vec<Vec<UnitText>>, String>>,
}

impl<'a> LoadedUnits<'a> {
    /// The units with these names.
    pub(crate) fn new(host: &'a Host, names: Vec<String>) -> Self {
        Self {
            host,
            names,
            states: OnceCell::new(),
            files: OnceCell::new(),
        }
    }

    /// Every unit with its state, in the order of the names.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub(super) fn all(&self) -> Result<impl Iterator<Item = (&str, &UnitStatus)> + Clone> {
        let ask = || {
            let asked = self.host.systemd.show_with_times(&self.names);
            asked.map_err(|error| format!("{error:#}"))
        };
        let states = self.states.get_or_init(ask);
        let states = states.as_ref().map_err(|error| anyhow!("{error}"))?;
        Ok(self.names.iter().map(String::as_str).zip(states))
    }

    /// The state of one of the units.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub(super) fn state(&self, unit: &str) -> Result<&UnitStatus> {
        let found = self.all()?.find(|(name, _)| *name == unit);
        found
            .map(|(_, state)| state)
            .ok_or_else(|| anyhow!("`{unit}` is not a unit of the app"))
    }

    /// Every unit that is loaded, with its state, its file and its drop-ins in the order in which they apply.
    ///
    /// # Errors
    /// When systemd does not answer, or a file cannot be read.
    pub(super) fn with_files(
        &self,
    ) -> Result<impl Iterator<Item = (&str, &UnitStatus, &[UnitText])>> {
        let units = self.all()?;
        let read = || {
            let all = units.clone().map(|(_, state)| self.read(state));
            let all: Result<Vec<_>> = all.collect();
            all.map_err(|error| format!("{error:#}"))
        };
        let files = self.files.get_or_init(read);
        let files = files.as_ref().map_err(|error| anyhow!("{error}"))?;
        let pairs = units.zip(files);
        let all = pairs.map(|((name, state), files)| (name, state, files.as_slice()));
        Ok(all.filter(|(_, state, _)| state.is_loaded()))
    }

    fn read(&self, state: &UnitStatus) -> Result<Vec<UnitText>> {
        let paths = std::iter::once(&state.fragment_path).chain(&state.drop_in_paths);
        let mut files = Vec::new();
        for path in paths.filter(|path| !path.is_empty()) {
            // One that is gone needs a reload, which the check `units` says.
            if let Some(text) = self.host.root.read_text(path)? {
                let path = path.clone();
                files.push(UnitText { path, text });
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::is_of_administrator;

    #[test]
    fn files_in_etc_and_run_are_those_of_the_administrator() {
        for (path, expected) in [
            ("/etc/systemd/system/a.service.d/50-local.conf", true),
            ("/etc/systemd/system.control/a.service.d/50-x.conf", true),
            ("/run/systemd/system/service.d/zzz-lxc.conf", true),
            ("/run/systemd/system.control/a.service.d/50-x.conf", true),
            ("/usr/lib/systemd/system/service.d/10-all.conf", false),
            ("/usr/local/lib/systemd/system/a.service.d/x.conf", false),
            ("/run/systemd/generator/a.service", false),
        ] {
            assert_eq!(is_of_administrator(path), expected, "{path}");
        }
    }
}
