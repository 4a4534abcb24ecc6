//! Users of the host, or of the tree that stands for it.

use super::Root;
use anyhow::{Context, Result};
use std::path::Path;

/// What is known of a user (passwd(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// Its home directory.
    pub home: String,
    /// What a login starts.
    pub shell: String,
}

impl User {
    /// Whether somebody may log in as it: a person, or a service that has a shell.
    pub fn logs_in(&self) -> bool {
        let program = self.shell.rsplit('/').next().unwrap_or_default();
        !["", "nologin", "false", "sync"].contains(&program)
    }
}

impl Root {
    /// Whether there is a group of this name; on the running host wherever it is kept.
    ///
    /// # Errors
    /// When the group database cannot be read.
    pub fn has_group(&self, name: &str) -> Result<bool> {
        if self.path("/") == Path::new("/") {
            let group = nix::unistd::Group::from_name(name);
            let group = group.with_context(|| format!("looking up the group `{name}`"))?;
            return Ok(group.is_some());
        }
        let text = self.read_text("/etc/group")?.unwrap_or_default();
        Ok(text
            .lines()
            .any(|line| line.split(':').next() == Some(name)))
    }

    /// A user by name; on the running host wherever it is kept (nsswitch.conf(5)).
    ///
    /// # Errors
    /// When the user database cannot be read.
    pub fn user(&self, name: &str) -> Result<Option<User>> {
        if self.path("/") == Path::new("/") {
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
