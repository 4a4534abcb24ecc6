//! The groups of services, and of the directories that they share.

use super::reader::{Reader, get};
use crate::app::names::Name;
use crate::app::service::Service;
use crate::manifest::{Problem, Result, ServiceTable};

impl Reader<'_> {
    /// The group of a service.
    pub(super) fn group_of(&self, key: &str, table: &ServiceTable, user: &Name) -> Result<Name> {
        let path = ["service", key, "group"];
        match (&table.group, &self.group) {
            (Some(group), _) => get(&path, group, "a group name", Name::parse),
            (None, Some(group)) if *user == self.user => Ok(group.clone()),
            (None, _) => Ok(user.clone()),
        }
    }

    /// The group of the directories of the app: `app.group`, or that of the services that share them.
    ///
    /// systemd gives the directories to the group of each service that starts, with all files in them.
    pub(super) fn shared_group(&self, services: &[Service]) -> Result<Name> {
        let mut sharing = services.iter().filter(|one| one.user == self.user);
        let first = sharing.next().map(|service| &service.group);
        let group = self.group.as_ref().or(first).unwrap_or(&self.user);
        let sharing = services.iter().filter(|one| one.user == self.user);
        for service in sharing.filter(|service| service.group != *group) {
            let name = service.name.as_str();
            self.policy.enforce(Err(Problem::new(
                &["service", name, "group"],
                format!(
                    "service `{name}` has the group `{}`, and the directories that it shares with the other services have the group `{group}`",
                    service.group
                ),
                "write one `group` in `[app]` for all services of its user, and further groups in `groups`",
            )))?;
        }
        Ok(group.clone())
    }
}
