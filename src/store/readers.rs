//! Who can read a release: root, the users of the app's services, and `release.reader-group`.
//!
//! A release may hold files that its source kept private, so its directory is closed to other users.
//! It is root's alone, mode 0700, until [`Store::give_access`] is called: the accounts of a first
//! release do not exist while it is staged.

use super::records::Store;
use crate::app::{App, Name};
use crate::error::HintedError;
use crate::host::is_without_lists;
use anyhow::{Context, Result};

impl Store {
    /// Lets the groups of an app enter one of its releases.
    ///
    /// # Errors
    /// When a group does not exist, or when the app has several groups and the file system of `/opt`
    /// has no access control lists.
    pub fn give_access(&self, app: &App, id: &str) -> Result<()> {
        let gid = |group: &Name| -> Result<u32> {
            let found = self.root.group(group.as_str())?;
            found.with_context(|| format!("the group `{group}` does not exist"))
        };
        let own = gid(&app.user)?;
        let others = other_groups(app).map(gid).collect::<Result<Vec<u32>>>()?;
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

    /// Closes the releases that every user can read: an earlier version of robotctl staged them.
    ///
    /// # Errors
    /// When the releases cannot be listed.
    pub fn close_open_releases(&self) -> Result<()> {
        for id in self.releases()? {
            let meta = self.root.meta(&self.layout.release(&id))?;
            if meta.is_some_and(|meta| meta.is_dir && meta.mode & 0o007 != 0)
                && let Ok(Some(record)) = self.release(&id)
                && let Ok(app) = record.app()
            {
                // A group of an old release may be gone. Then none of its services can start either.
                let _ = self.give_access(&app, &id);
            }
        }
        Ok(())
    }
}

/// The groups beside that of the app. The group of a service has the name of its user.
fn other_groups(app: &App) -> impl Iterator<Item = &Name> {
    let services = app.services.iter().map(|service| &service.user);
    let groups = services.chain(&app.release.reader_group);
    groups.filter(|group| **group != app.user)
}
