//! What the service manager says of a unit.

use std::collections::BTreeMap;

/// What systemd says of a unit (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    properties: BTreeMap<String, String>,
}

impl UnitState {
    /// Reads what `systemctl show` prints: `Name=value` lines, an empty line after each unit.
    pub(super) fn parse(text: &str) -> Vec<Self> {
        let mut states = vec![Self::default()];
        for line in text.lines() {
            if line.is_empty() {
                states.push(Self::default());
            } else if let (Some((name, value)), Some(state)) =
                (line.split_once('='), states.last_mut())
            {
                state.properties.insert(name.to_owned(), value.to_owned());
            }
        }
        states
    }

    /// Whether nothing was said of it.
    pub(super) fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }

    /// A property as `systemctl show` prints it; empty when unknown.
    pub fn get(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    /// A state with these properties, for tests.
    #[cfg(test)]
    pub(crate) fn of(properties: &[(&str, &str)]) -> Self {
        let properties = properties.iter();
        let owned = properties.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            properties: owned.collect(),
        }
    }

    /// `ActiveState=active` or `reloading`.
    pub fn is_active(&self) -> bool {
        matches!(self.get("ActiveState"), "active" | "reloading")
    }

    /// `ActiveState=failed`.
    pub fn is_failed(&self) -> bool {
        self.get("ActiveState") == "failed"
    }

    /// `ActiveState=inactive` or `failed`: nothing of it runs.
    pub fn is_down(&self) -> bool {
        matches!(self.get("ActiveState"), "inactive" | "failed")
    }

    /// `LoadState=masked`: the administrator forbids it to start.
    pub fn is_masked(&self) -> bool {
        self.get("LoadState") == "masked"
    }

    /// `LoadState=loaded`.
    pub fn is_loaded(&self) -> bool {
        self.get("LoadState") == "loaded"
    }

    /// Whether a file, by its path, is one of those that the manager has read for it.
    pub fn is_made_of(&self, path: &str) -> bool {
        let mut drop_ins = self.get("DropInPaths").split(' ');
        self.get("FragmentPath") == path || drop_ins.any(|one| one == path)
    }

    /// The main process, when there is one.
    pub fn main_pid(&self) -> Option<u32> {
        self.get("MainPID").parse().ok().filter(|pid| *pid != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::UnitState;

    #[test]
    fn each_unit_ends_with_an_empty_line() {
        let states = UnitState::parse("Id=a.service\nMainPID=7\nResult=\n\nId=b=c\nMainPID=0\n");
        let one = UnitState::of(&[("Id", "a.service"), ("MainPID", "7"), ("Result", "")]);
        let two = UnitState::of(&[("Id", "b=c"), ("MainPID", "0")]);
        assert_eq!((one.main_pid(), two.main_pid()), (Some(7), None));
        assert_eq!(states, [one, two]);
        assert!(UnitState::parse("").iter().all(UnitState::is_empty));
    }
}
