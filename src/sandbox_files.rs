//! The files that a service sees, as its unit says (systemd.exec(5), "Paths" and "Sandboxing").
//!
//! The rules are those of units that robotctl generates, with what drop-ins of the administrator add: binds,
//! directories that are hidden, and a root directory of its own.

use crate::exposure::Unit;
use crate::host::{Meta, RemoteMounts, Root};
use anyhow::{Result, bail};
use std::fmt;
use std::path::Path;

/// How many links the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// What `ProtectHome=yes` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What `PrivateTmp=yes` hides.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Where the directories are that systemd creates for a service, by the start of the directive.
const OWN_DIRECTORIES: [(&str, &str); 4] = [
    ("RuntimeDirectory", "/run"),
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
];

/// The files that a service sees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SandboxFiles {
    /// Whether it sees only what is bound.
    is_rooted: bool,
    /// Where it sees a path of the host: inside, on the host.
    binds: Vec<(String, String)>,
    /// What it does not see.
    hidden: Vec<String>,
    /// Mounts that are skipped.
    remote: RemoteMounts,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The path without links, as the service sees it.
    pub(crate) inside: String,
    /// The same file on the host.
    pub(crate) host: String,
    /// What it is.
    pub(crate) meta: Meta,
}

/// Why a service does not see a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// Nothing is there.
    Missing(String),
    /// It exists on the host, and the sandbox hides it.
    Hidden(String),
    /// Its links lead to each other.
    Loop(String),
}

impl Unseen {
    /// The path that is not seen.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Missing(path) | Self::Hidden(path) | Self::Loop(path) => path,
        }
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "`{path}`, which does not exist"),
            Self::Hidden(path) => write!(f, "`{path}`, which the service cannot see"),
            Self::Loop(path) => write!(f, "`{path}`, whose links lead to each other"),
        }
    }
}

/// What is at a path inside.
enum Place {
    /// This path of the host.
    Host(String),
    /// A directory that leads to binds.
    Above,
    /// Nothing.
    Hidden,
}

impl SandboxFiles {
    /// What a unit shows; `None` when it has another root than a directory, which is not read.
    pub(crate) fn of(unit: &Unit) -> Option<Self> {
        let last = |key: &str| {
            unit.values("Service", key)
                .last()
                .copied()
                .unwrap_or_default()
        };
        if !last("RootImage").is_empty() {
            return None;
        }
        let mut binds = Vec::new();
        for word in ["BindPaths", "BindReadOnlyPaths"]
            .iter()
            .flat_map(|key| list(unit, key))
        {
            let mut parts = word.split(':');
            let from = plain(parts.next().unwrap_or_default());
            let to = parts.next().map_or_else(|| from.clone(), plain);
            binds.push((to, from));
        }
        for (key, dir) in OWN_DIRECTORIES {
            for name in list(unit, key) {
                let path = format!("{dir}/{}", name.split(':').next().unwrap_or_default());
                binds.push((path.clone(), path));
            }
        }
        let mut hidden: Vec<String> = ["TemporaryFileSystem", "InaccessiblePaths"]
            .iter()
            .flat_map(|key| list(unit, key))
            .map(|word| plain(word.split(':').next().unwrap_or_default()))
            .collect();
        let is_on =
            |key: &str| !matches!(last(key), "" | "no" | "false" | "0" | "off" | "read-only");
        if is_on("ProtectHome") {
            hidden.extend(HOMES.map(str::to_owned));
        }
        if is_on("PrivateTmp") {
            hidden.extend(TEMPORARY.map(str::to_owned));
        }
        Some(Self {
            is_rooted: !matches!(last("RootDirectory"), "" | "/"),
            binds,
            hidden,
            remote: RemoteMounts::default(),
        })
    }

    /// The same without what lies on these mounts: for a path that somebody else has written, which may lead to a
    /// server that does not answer.
    #[must_use]
    pub(crate) fn without(mut self, remote: RemoteMounts) -> Self {
        self.remote = remote;
        self
    }

    /// Everything on the host, as it is without a sandbox.
    pub(crate) fn of_host(&self) -> Self {
        Self {
            is_rooted: false,
            binds: Vec::new(),
            hidden: Vec::new(),
            remote: self.remote.clone(),
        }
    }

    /// The metadata of a path of the host without links.
    fn meta(&self, root: &Root, host: &str) -> Result<Option<Meta>> {
        if self.remote.hold(Path::new(host)) {
            bail!("`{host}` is on a file system that may not answer");
        }
        root.meta(host)
    }

    /// Follows a path as the service would.
    ///
    /// # Errors
    /// When the host cannot be read, and when the way leads onto a mount that is skipped.
    pub(crate) fn find(&self, root: &Root, path: &str) -> Result<Result<Seen, Unseen>> {
        let mut left: Vec<String> = parts(path);
        let (mut at, mut links) = (String::new(), 0);
        while let Some(part) = left.pop() {
            if part == ".." {
                let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
                at.truncate(parent.len());
                continue;
            }
            let next = format!("{at}/{part}");
            let whole = || {
                let rest = left.iter().rev().map(|part| format!("/{part}"));
                format!("{next}{}", rest.collect::<String>())
            };
            let host = match self.place(root, &next)? {
                Place::Host(host) => host,
                Place::Above => {
                    at = next;
                    continue;
                }
                Place::Hidden => return Ok(Err(self.unseen(root, whole())?)),
            };
            let is_bind = self.binds.iter().any(|(to, _)| *to == next);
            let Some(meta) = self.meta(root, &host)? else {
                return Ok(Err(Unseen::Missing(whole())));
            };
            if !meta.is_symlink || is_bind {
                at = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Ok(Err(Unseen::Loop(path.to_owned())));
            }
            let target = root.read_link(&host)?.unwrap_or_default();
            if target.starts_with('/') {
                at.clear();
            }
            left.extend(parts(&target));
        }
        let Place::Host(host) = self.place(root, &at)? else {
            return Ok(Err(Unseen::Hidden(at)));
        };
        Ok(match self.meta(root, &host)? {
            Some(meta) => Ok(Seen {
                inside: at,
                host,
                meta,
            }),
            None => Err(Unseen::Missing(at)),
        })
    }

    /// What is at a path without links. The longest bind or hidden directory above it decides.
    fn place(&self, root: &Root, inside: &str) -> Result<Place> {
        let hidden = self
            .hidden
            .iter()
            .filter(|dir| rest_below(inside, dir).is_some());
        let hidden = hidden.map(String::len).max();
        let binds = self
            .binds
            .iter()
            .filter(|(to, _)| rest_below(inside, to).is_some());
        // Of two at one place, the last is mounted over the other.
        let bind = binds.max_by_key(|(to, _)| to.len());
        if let Some((to, from)) =
            bind.filter(|(to, _)| hidden.is_none_or(|length| length <= to.len()))
        {
            // systemd follows links to what it binds.
            let from = match self.of_host().find(root, from)? {
                Ok(seen) => seen.host,
                Err(_) => return Ok(Place::Hidden),
            };
            let rest = rest_below(inside, to).unwrap_or_default();
            return Ok(Place::Host(format!("{from}{rest}")));
        }
        if hidden.is_none() && !self.is_rooted {
            return Ok(Place::Host(inside.to_owned()));
        }
        let leads = |(to, _): &(String, String)| rest_below(to, inside).is_some();
        Ok(if self.binds.iter().any(leads) {
            Place::Above
        } else {
            Place::Hidden
        })
    }

    /// Whether the host has what the service does not see.
    fn unseen(&self, root: &Root, path: String) -> Result<Unseen> {
        let is_there = self.of_host().find(root, &path)?.is_ok();
        Ok(match is_there {
            true => Unseen::Hidden(path),
            false => Unseen::Missing(path),
        })
    }
}

/// The rest of a path below a directory, with its `/`; empty for the directory itself.
fn rest_below<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(dir.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The parts of a path, the last one first.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').rev();
    let parts = parts.filter(|part| !matches!(*part, "" | "."));
    parts.map(str::to_owned).collect()
}

/// The words of a list that an empty value resets.
fn list<'a>(unit: &'a Unit, key: &str) -> Vec<&'a str> {
    let mut words = Vec::new();
    for value in unit.values("Service", key) {
        match value {
            "" => words.clear(),
            value => words.extend(value.split_whitespace()),
        }
    }
    words
}

/// A path of a list without the signs before it and without quotes. Names of releases have no specifiers.
fn plain(word: &str) -> String {
    let word = word.trim_matches('"').trim_start_matches(['-', '+']);
    word.trim_end_matches('/').replace("%%", "%")
}

#[cfg(test)]
mod tests {
    use super::{SandboxFiles, Unseen};
    use crate::exposure::Unit;
    use crate::host::{RemoteMounts, Root};

    const ROOTED: &str = "[Service]\nRootDirectory=/run/robotctl/root\n\
        BindReadOnlyPaths=/usr -/bin -/absent\nProtectHome=yes\nPrivateTmp=yes\n\
        StateDirectory=shop\nBindReadOnlyPaths=/opt/shop/current\n";
    const OPEN: &str = "[Service]\nProtectHome=read-only\nPrivateTmp=yes\n\
        TemporaryFileSystem=/opt:ro\nBindReadOnlyPaths=/opt/shop/releases/2:/opt/shop/current\n";

    fn tree() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        for dir in [
            "/usr/bin",
            "/home/me",
            "/var/lib/shop",
            "/tmp",
            "/opt/shop/releases/1/bin",
            "/opt/shop/releases/2",
        ] {
            root.make_dir(dir, 0o755).unwrap();
        }
        for file in [
            "/usr/bin/python3.11",
            "/home/me/python",
            "/opt/shop/releases/1/app",
            "/tmp/x",
        ] {
            root.write_atomic(file, b"x", 0o755).unwrap();
        }
        for (link, target) in [
            ("/bin", "usr/bin"),
            ("/usr/bin/python3", "python3.11"),
            ("/opt/shop/current", "releases/1"),
            ("/opt/shop/releases/1/bin/python", "/usr/bin/python3"),
            ("/opt/shop/releases/1/bin/own", "../../current/app"),
            ("/opt/shop/releases/1/bin/mine", "/home/me/python"),
            ("/opt/shop/releases/1/bin/loop", "loop"),
        ] {
            root.symlink_atomic(link, target).unwrap();
        }
        (dir, root)
    }

    fn found(root: &Root, unit: &str, path: &str) -> Result<String, Unseen> {
        let files = SandboxFiles::of(&Unit::merge(&[unit])).unwrap();
        files.find(root, path).unwrap().map(|seen| seen.inside)
    }

    #[test]
    fn a_service_with_its_own_root_sees_what_is_bound() {
        let (_dir, root) = tree();
        let of = |path: &str| found(&root, ROOTED, path);
        let ok = |path: &str| Ok(path.to_owned());
        assert_eq!(of("/usr/bin/python3"), ok("/usr/bin/python3.11"));
        // systemd binds what `/bin` leads to.
        assert_eq!(of("/bin/python3"), ok("/bin/python3.11"));
        assert_eq!(of("/opt/shop/current/app"), ok("/opt/shop/current/app"));
        assert_eq!(
            of("/opt/shop/current/bin/python"),
            ok("/usr/bin/python3.11")
        );
        assert_eq!(of("/var/lib/shop"), ok("/var/lib/shop"));
        let hidden = |path: &str| Err(Unseen::Hidden(path.to_owned()));
        let missing = |path: &str| Err(Unseen::Missing(path.to_owned()));
        assert_eq!(of("/opt/shop/current/bin/mine"), hidden("/home/me/python"));
        assert_eq!(
            of("/opt/shop/releases/1/app"),
            hidden("/opt/shop/releases/1/app")
        );
        assert_eq!(of("/tmp/x"), hidden("/tmp/x"));
        assert_eq!(of("/srv/x"), missing("/srv/x"));
        assert_eq!(
            of("/opt/shop/current/absent/x"),
            missing("/opt/shop/current/absent/x")
        );
        assert!(matches!(
            of("/opt/shop/current/bin/loop"),
            Err(Unseen::Loop(_))
        ));
        // `current` is a directory inside, and its parent does not belong to the release.
        assert_eq!(of("/opt/shop/current/bin/own"), ok("/opt/shop/current/app"));
    }

    #[test]
    fn a_mount_that_may_not_answer_is_skipped() {
        let (_dir, root) = tree();
        root.symlink_atomic("/usr/to-home", "/home/me").unwrap();
        let table = "30 1 0:50 / /home rw - nfs server:/home rw\n";
        for (unit, path) in [
            (OPEN, "/home"),
            (OPEN, "/home/me/python"),
            (OPEN, "/usr/to-home/python"),
            (OPEN, "/usr/to-home/absent"),
            (ROOTED, "/home/me/python"),
            (ROOTED, "/opt/shop/current/bin/mine"),
            (
                "[Service]\nBindReadOnlyPaths=/usr/to-home:/srv\n",
                "/srv/python",
            ),
        ] {
            let files = SandboxFiles::of(&Unit::merge(&[unit])).unwrap();
            let found = files.find(&root, path);
            assert!(found.is_ok(), "{path}: {found:?}");
            let files = files.without(RemoteMounts::parse(table));
            let skipped = files.find(&root, path).unwrap_err();
            assert!(skipped.to_string().contains("may not answer"), "{path}");
            let local = files.of_host().find(&root, "/usr/bin/python3").unwrap();
            assert!(local.is_ok(), "{path}");
        }
    }

    #[test]
    fn a_service_that_sees_the_host_sees_all_but_what_is_hidden() {
        let (_dir, root) = tree();
        let of = |path: &str| found(&root, OPEN, path);
        assert_eq!(of("/home/me/python"), Ok("/home/me/python".to_owned()));
        assert_eq!(of("/tmp/x"), Err(Unseen::Hidden("/tmp/x".to_owned())));
        // The second release is mounted at `current`.
        assert_eq!(
            of("/opt/shop/current/app"),
            Err(Unseen::Missing("/opt/shop/current/app".to_owned()))
        );
        assert_eq!(of("/opt/shop/current"), Ok("/opt/shop/current".to_owned()));
        assert_eq!(
            SandboxFiles::of(&Unit::merge(&["[Service]\nRootImage=/x.raw\n"])),
            None
        );
    }
}
