//! Users and groups of the host, or of a directory tree.

use super::root::Root;
use anyhow::{Context, Result};

/// A user (passwd(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The home directory.
    pub home: String,
    /// The program that a login starts.
    pub shell: String,
}

impl User {
    /// Whether a login is possible: for a person, or for a service that has a shell.
    pub fn can_log_in(&self) -> bool {
        let program = self.shell.rsplit('/').next().unwrap_or_default();
        !["", "nologin", "false", "sync"].contains(&program)
    }
}

impl Root {
    /// Whether a group exists; on the running host in any database (nsswitch.conf(5)).
    ///
    /// # Errors
    /// When the group database cannot be read.
    pub fn has_group(&self, name: &str) -> Result<bool> {
        Ok(self.group(name)?.is_some())
    }

    /// The id of a group; on the running host from any database (nsswitch.conf(5)).
    ///
    /// # Errors
    /// When the group database cannot be read.
    pub fn group(&self, name: &str) -> Result<Option<u32>> {
        if self.is_host() {
            let group = nix::unistd::Group::from_name(name);
            let group = group.with_context(|| format!("looking up the group `{name}`"))?;
            return Ok(group.map(|group| group.gid.as_raw()));
        }
        let text = self.read_text("/etc/group")?.unwrap_or_default();
        Ok(text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [first, _, gid, ..] if *first == name => gid.parse().ok(),
                _ => None,
            }
        }))
    }

    /// Looks up a user; on the running host in any database (nsswitch.conf(5)).
    ///
    /// # Errors
    /// When the user database cannot be read.
    pub fn user(&self, name: &str) -> Result<Option<User>> {
        if self.is_host() {
            let user = nix::unistd::User::from_name(name)
                .with_context(|| format!("looking up the user `{name}`"))?;
            return Ok(user.map(|user| User {
                uid: user.uid.as_raw(),
                home: user.dir.display().to_string(),
                shell: user.shell.display().to_string(),
            }));
        }
        let text = self.read_text("/etc/passwd")?.unwrap_or_default();
        Ok(text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [first, _, uid, _, _, home, shell] if *first == name => Some(User {
                    uid: uid.parse().ok()?,
                    home: (*home).to_owned(),
                    shell: (*shell).to_owned(),
                }),
                _ => None,
            }
        }))
    }
}

/// The user and group ids of a user of the running host.
///
/// # Errors
/// When the user database cannot be read.
pub fn user_ids(name: &str) -> Result<Option<(u32, u32)>> {
    let user = nix::unistd::User::from_name(name)
        .with_context(|| format!("looking up the user `{name}`"))?;
    Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// The name of a user of the running host; its number when it has no name.
///
/// # Errors
/// When the user database cannot be read.
pub fn user_name(uid: u32) -> Result<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .with_context(|| format!("looking up the user {uid}"))?;
    Ok(user.map_or_else(|| uid.to_string(), |user| user.name))
}
