//! The units whose entries belong to an app or to services of it, by exact names.

use crate::app::{Name, PRE_CHECK_SUFFIX};
use crate::error::fail;
use crate::manifest::nearest;
use crate::store::{PublicUnit, Store};
use crate::units::{is_old_scope, slice_unit, stem};
use anyhow::Result;

/// The units whose entries are shown.
pub(super) struct LoggedUnits {
    /// How the names of the units of the app begin.
    prefix: String,
    /// The units of the services that the command means.
    units: Vec<PublicUnit>,
    /// Whether no service is named.
    is_whole: bool,
}

impl LoggedUnits {
    /// The units of a release, or of the live one; after a first deploy that failed, of the newest.
    ///
    /// # Errors
    /// When there is no release or no such service.
    pub(super) fn find(
        store: &Store,
        name: &Name,
        services: &[String],
        release: Option<&str>,
    ) -> Result<Self> {
        let live = store.state()?.live;
        let found = match release.or(live.as_deref()) {
            Some(id) => store.public_release(id)?,
            None => store.newest_release()?,
        };
        let Some(found) = found else {
            return fail(
                format!("this host has no release of `{name}`"),
                "deploy one; its services log then",
            );
        };
        let mut units = found.units;
        let mut names: Vec<&str> = units.iter().map(|one| one.service.as_str()).collect();
        names.dedup();
        for typed in services {
            if names.contains(&typed.as_str()) {
                continue;
            }
            let hint = match nearest(typed, &names) {
                Some(name) => format!("do you mean `{name}`?"),
                None => format!("its services are {}", names.join(", ")),
            };
            return fail(format!("`{name}` has no service `{typed}`"), hint);
        }
        if !services.is_empty() {
            units.retain(|one| services.contains(&one.service));
        }
        Ok(Self {
            prefix: format!("{name}-"),
            units,
            is_whole: services.is_empty(),
        })
    }

    /// The full names of the units.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.units.iter().map(|one| one.unit.as_str())
    }

    /// The matches of journalctl(1) for what may be shown. The slice also has what drains, and units that begin
    /// later; it is never that of another environment. systemd and its helpers name the unit in a field of their
    /// own.
    pub(super) fn matches(&self, name: &Name) -> Vec<String> {
        let mut any_of = vec![vec![format!(
            "_SYSTEMD_SLICE={}",
            slice_unit(name.as_str())
        )]];
        for unit in self.names() {
            any_of.push(vec![format!("_SYSTEMD_UNIT={unit}")]);
            any_of.push(vec![format!("UNIT={unit}"), "_UID=0".to_owned()]);
            any_of.push(vec![format!("COREDUMP_UNIT={unit}"), "_UID=0".to_owned()]);
        }
        any_of.join(&"+".to_owned())
    }

    /// What stands before the lines of a unit; `None` if they are not shown.
    pub(super) fn label<'a>(&'a self, unit: &'a str) -> Option<&'a str> {
        let mut units = self.units.iter();
        let known = units.find(|one| {
            let pre_check = format!("{}{PRE_CHECK_SUFFIX}", stem(&one.unit));
            one.unit == unit || is_old_scope(unit, &one.unit) || stem(unit) == pre_check
        });
        match known {
            Some(known) => Some(&known.service),
            // Hooks and commands of checks are in the slice of the app, too.
            None if self.is_whole => stem(unit).strip_prefix(&self.prefix),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LoggedUnits;
    use crate::store::{PublicUnit, UnitRole};

    #[test]
    fn a_label_is_the_name_of_the_service_and_never_that_of_another_app() {
        let units = |is_whole| LoggedUnits {
            prefix: "shop-".to_owned(),
            units: vec![PublicUnit {
                unit: "shop-web.service".to_owned(),
                service: "web".to_owned(),
                role: UnitRole::Daemon,
                enabled: true,
            }],
            is_whole,
        };
        for (unit, named, whole) in [
            ("shop-web.service", Some("web"), Some("web")),
            ("shop-web-old-0123abcd.scope", Some("web"), Some("web")),
            ("shop-web-precheck.service", Some("web"), Some("web")),
            (
                "shop-after-switch-hook.service",
                None,
                Some("after-switch-hook"),
            ),
            ("ssh.service", None, None),
        ] {
            assert_eq!(units(false).label(unit), named, "{unit}");
            assert_eq!(units(true).label(unit), whole, "{unit}");
        }
    }
}
