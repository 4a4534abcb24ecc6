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

/// The ids of people begin here (login.defs(5), "UID_MIN").
const FIRST_PERSON: u32 = 1000;
/// How a line of `/etc/passwd` and `/etc/group` is divided (passwd(5), group(5)).
const FIELDS: char = ':';

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub name: String,
    /// Whether a file of `/etc` makes it one, and not another database (nsswitch.conf(5)).
    pub is_local: bool,
    /// Whether it is the main group of the user.
    pub is_main: bool,
}

impl User {
    /// Whether the id is one of people, or of another database: system users have smaller ones.
    pub fn is_of_person(&self) -> bool {
        self.uid >= FIRST_PERSON
    }

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

    /// The members of a group, by their names; on the running host from any database (nsswitch.conf(5)). Of those whose
    /// main group it is, only the ones of `/etc/passwd` are known.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub fn members(&self, name: &str) -> Result<Vec<Member>> {
        let Some(gid) = self.group(name)? else {
            return Ok(Vec::new());
        };
        let (groups, users) = (self.lines_of("/etc/group")?, self.lines_of("/etc/passwd")?);
        let local = groups
            .iter()
            .find(|line| line.first().is_some_and(|first| first == name));
        let local = local
            .and_then(|line| line.get(3))
            .map_or("", String::as_str);
        let local: Vec<&str> = local.split(',').filter(|name| !name.is_empty()).collect();
        let mut all: Vec<String> = local.iter().map(|name| (*name).to_owned()).collect();
        if self.is_host() {
            let group = nix::unistd::Group::from_name(name);
            let group = group.with_context(|| format!("looking up the group `{name}`"))?;
            all.extend(group.into_iter().flat_map(|group| group.mem));
        }
        let has_it = |user: &Vec<String>| user.get(3).and_then(|gid| gid.parse().ok()) == Some(gid);
        let of_users = users.iter().filter(|user| has_it(user));
        let of_users = of_users.filter_map(|user| user.first()).map(|name| Member {
            name: name.clone(),
            is_local: true,
            is_main: true,
        });
        let of_group = all.into_iter().map(|name| Member {
            is_local: local.contains(&name.as_str()),
            is_main: false,
            name,
        });
        let mut members: Vec<Member> = of_users.chain(of_group).collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        members.dedup_by(|one, other| one.name == other.name);
        Ok(members)
    }

    /// Whether a user is in `/etc/passwd`, and not in another database.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_local_user(&self, name: &str) -> Result<bool> {
        let users = self.lines_of("/etc/passwd")?;
        let mut names = users.iter().filter_map(|user| user.first());
        Ok(names.any(|known| known == name))
    }

    /// The lines of a database in `/etc`, by their fields.
    fn lines_of(&self, path: &str) -> Result<Vec<Vec<String>>> {
        let text = self.read_text(path)?.unwrap_or_default();
        let fields = |line: &str| line.split(FIELDS).map(str::to_owned).collect();
        Ok(text.lines().map(fields).collect())
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

#[cfg(test)]
mod tests {
    use super::{Member, Root};

    #[test]
    fn the_members_of_a_group_are_those_of_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let write = |path: &str, text: &str| root.write_atomic(path, text.as_bytes(), 0o644);
        root.make_dir("/etc", 0o755).unwrap();
        assert_eq!(root.members("shop").unwrap(), []);
        write("/etc/group", "shop:x:990:ann,shop\nempty:x:991:\n").unwrap();
        write(
            "/etc/passwd",
            "shop:x:990:990::/var/lib/shop:/usr/sbin/nologin\nbob:x:1000:990::/home/bob:/bin/sh\nann:x:1001:1001::/:/x\n",
        )
        .unwrap();
        let member = |name: &str, is_main| Member {
            name: name.to_owned(),
            is_local: true,
            is_main,
        };
        let all = [
            member("ann", false),
            member("bob", true),
            member("shop", true),
        ];
        assert_eq!(root.members("shop").unwrap(), all);
        assert_eq!(root.members("empty").unwrap(), []);
        assert!(root.is_local_user("bob").unwrap() && !root.is_local_user("eve").unwrap());
        assert!(root.user("bob").unwrap().unwrap().is_of_person());
        assert!(!root.user("shop").unwrap().unwrap().is_of_person());
    }
}
