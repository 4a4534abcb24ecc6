//! Who can read a release: root, the users of the app's services, and `release.reader-group`.
//!
//! A release may hold files that its source kept private, so its directory is closed to other users.
//! It is root's alone, mode 0700, until [`Store::give_access`] is called: the accounts of a first
//! release do not exist while it is staged.

use super::damage::Damaged;
use super::records::Store;
use super::state::State;
use crate::app::{App, Name};
use crate::error::HintedError;
use crate::host::is_without_lists;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

impl Store {
    /// Lets the groups of `apps` enter a release. The first of them owns it.
    ///
    /// # Errors
    /// When a group does not exist, or when there are several groups and the file system of `/opt` has
    /// no access control lists. Nothing is changed then.
    pub fn give_access(&self, id: &str, apps: &[&App]) -> Result<()> {
        let (own, others) = self.groups(apps)?;
        let given = self
            .root
            .set_readers(&self.layout.release(id), own, &others);
        given.map_err(|error| {
            if !is_without_lists(&error) {
                return error;
            }
            let message = format!(
                "the file system of `{}` has no access control lists, which several groups need",
                self.layout.opt()
            );
            let hint = "remove `release.reader-group` and every `user` of a service, or use a file \
                        system such as ext4, XFS or Btrfs";
            HintedError::new(message, hint).into()
        })
    }

    /// Lets the services of an app read the releases that they run: the live one, and those to which some
    /// are pinned. A pinned service runs as the user that the live release names.
    ///
    /// # Errors
    /// As [`Store::give_access`].
    pub fn give_access_in_use(&self, live: &str, app: &App, state: &State) -> Result<()> {
        self.give_access(live, &[app])?;
        for (id, record) in self.pinned_apps(live, state)? {
            self.give_access(&id, &[&record, app])?;
        }
        Ok(())
    }

    /// What is wrong with who can read the releases that the services run, if anything.
    ///
    /// # Errors
    /// When a group does not exist, or a release cannot be read.
    pub fn access_fault(&self, live: &str, app: &App, state: &State) -> Result<Option<String>> {
        let fault = self.access_fault_of(live, &[app])?;
        if fault.is_some() {
            return Ok(fault);
        }
        for (id, record) in self.pinned_apps(live, state)? {
            let fault = self.access_fault_of(&id, &[&record, app])?;
            if fault.is_some() {
                return Ok(fault);
            }
        }
        Ok(None)
    }

    /// The releases to which services are pinned, with their apps.
    fn pinned_apps(&self, live: &str, state: &State) -> Result<Vec<(String, App)>> {
        let ids: BTreeSet<&String> = state.pins.values().filter(|id| *id != live).collect();
        let mut apps = Vec::new();
        for id in ids {
            // The check `pins` of the doctor reports one that is missing.
            let exists = self.root.meta(&self.layout.release(id))?.is_some();
            if exists {
                match self.release(id) {
                    Ok(Some(record)) => apps.push((id.clone(), record.app()?)),
                    Ok(None) => {}
                    // So does the check `state`.
                    Err(error) if error.is::<Damaged>() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(apps)
    }

    fn access_fault_of(&self, id: &str, apps: &[&App]) -> Result<Option<String>> {
        if self.is_open(id)? {
            return Ok(Some(format!(
                "every user of this host can read the release {id}"
            )));
        }
        let (own, others) = match self.groups(apps) {
            Ok(groups) => groups,
            // A deploy creates it.
            Err(error) => return Ok(Some(format!("{error:#}"))),
        };
        let is_right = self
            .root
            .has_readers(&self.layout.release(id), own, &others)?;
        Ok((!is_right)
            .then(|| format!("the release {id} has other readers than its services need")))
    }

    /// Whether every user can enter a release.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn is_open(&self, id: &str) -> Result<bool> {
        let meta = self.root.meta(&self.layout.release(id))?;
        Ok(meta.is_some_and(|meta| meta.is_dir && meta.mode & 0o007 != 0))
    }

    /// Closes the releases that every user can read, but for those that are in use: an earlier version of
    /// robotctl staged them. A rollback to one gives access to its groups again.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn close_open_releases(&self, in_use: &BTreeSet<&str>) -> Result<()> {
        for id in self.root.list(&self.layout.releases())? {
            if !in_use.contains(id.as_str()) && self.is_open(&id)? {
                self.root.close_to_others(&self.layout.release(&id))?;
            }
        }
        Ok(())
    }

    /// The group of the first app, and the others that these apps need.
    fn groups(&self, apps: &[&App]) -> Result<(u32, Vec<u32>)> {
        let gid = |group: &Name| -> Result<u32> {
            let found = self.root.group(group.as_str())?;
            found.with_context(|| format!("the group `{group}` does not exist"))
        };
        let first = apps.first().context("no app uses the release")?;
        let own = gid(&first.group)?;
        let named = apps.iter().flat_map(|app| groups_of(app));
        let others = named.map(gid).collect::<Result<BTreeSet<u32>>>()?;
        Ok((
            own,
            others.into_iter().filter(|other| *other != own).collect(),
        ))
    }
}

/// The groups of an app that read its release.
fn groups_of(app: &App) -> impl Iterator<Item = &Name> {
    let services = app.services.iter().map(|service| &service.group);
    services
        .chain([&app.group])
        .chain(&app.release.reader_group)
}
