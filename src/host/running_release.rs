//! The release that a process runs.
//!
//! A mount ties each process to its release: the link `current` shows only what is live now. The kernel says
//! which directory of which file system is mounted there. A directory has the same place in its file system
//! for the process and for this host, whatever is mounted at `/opt/<app>` or `/opt/<app>/releases`.

use super::cgroup::members;
use super::mountinfo::{MountEntry, Place, mounts_of};
use super::systemd::UnitStatus;
use super::temp::temp_target;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why it cannot be determined which release a process or a service runs. It is neither the right nor a wrong one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undetermined {
    /// The service has no process.
    NoProcess,
    /// The process has ended, or proc(5), "hidepid", hides it from this user.
    Hidden,
    /// No release is mounted for the process, as when a drop-in changes `BindReadOnlyPaths=`.
    NoMount,
    /// What is mounted for the process is not in the directory of the releases, as when that was unmounted
    /// since. The path from the root of its file system.
    Elsewhere(PathBuf),
    /// The service has no main process, and its processes run several releases.
    Several(BTreeSet<String>),
}

impl fmt::Display for Undetermined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the release that it runs cannot be determined: ")?;
        match self {
            Self::NoProcess => f.write_str("it has no process"),
            Self::Hidden => f.write_str("its process is hidden or has ended"),
            Self::NoMount => f.write_str("no release is mounted for its process"),
            Self::Elsewhere(path) => write!(
                f,
                "its process uses `{}` of a file system that is not mounted at the releases",
                path.display()
            ),
            Self::Several(ids) => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                write!(f, "its processes run {}", ids.join(", "))
            }
        }
    }
}

/// The release that a process runs: the one that is mounted at `/opt/<app>/current` for it.
///
/// # Errors
/// Why it cannot be determined.
pub fn release_of(pid: u32, app: &str) -> Result<String, Undetermined> {
    let mounts = mounts_of(&pid.to_string()).ok_or(Undetermined::Hidden)?;
    release_in(&mounts, app, || Place::of(&releases(app)))
}

/// The release that a unit runs: that of its main process. Without one, as a service of type `forking` may
/// be, that of all its processes.
///
/// # Errors
/// Why it cannot be determined.
pub fn release_of_unit(state: &UnitStatus, app: &str) -> Result<String, Undetermined> {
    if let Some(pid) = state.main_pid {
        return release_of(pid, app);
    }
    let found = members(state).into_iter().map(|pid| release_of(pid, app));
    agreed(found.collect())
}

/// The release of several processes, when those that show one show the same.
fn agreed(found: Vec<Result<String, Undetermined>>) -> Result<String, Undetermined> {
    let mut why = Undetermined::NoProcess;
    let mut ids = BTreeSet::new();
    for one in found {
        match one {
            Ok(id) => drop(ids.insert(id)),
            Err(reason) => why = reason,
        }
    }
    match ids.len() {
        0 => Err(why),
        1 => ids.pop_first().ok_or(why),
        _ => Err(Undetermined::Several(ids)),
    }
}

fn releases(app: &str) -> PathBuf {
    PathBuf::from(format!("/opt/{app}/releases"))
}

/// `own` is where this host has the directory of the releases.
fn release_in(
    mounts: &[MountEntry],
    app: &str,
    own: impl FnOnce() -> Option<Place>,
) -> Result<String, Undetermined> {
    let current = PathBuf::from(format!("/opt/{app}/current"));
    // A service that sees the whole host has the mount on the release itself, behind the link. The last
    // mount at a point covers the others.
    let mut last = mounts.iter().rev();
    let at_current = last.find(|mount| mount.point == current);
    let mount = at_current.or_else(|| {
        let mut last = mounts.iter().rev();
        last.find(|mount| named_release(&mount.point, app).is_some())
    });
    let place = &mount.ok_or(Undetermined::NoMount)?.source;
    let id = own().and_then(|own| only_name(place.below(&own)?));
    // This host may have the releases at another place than when the process started. The name of a release
    // says what it holds, so the path is enough.
    id.or_else(|| named_release(&place.path, app))
        .ok_or_else(|| Undetermined::Elsewhere(place.path.clone()))
}

/// The release that a path such as `/srv/<app>/releases/<id>` names.
fn named_release(path: &Path, app: &str) -> Option<String> {
    let parent = path.parent()?;
    let is_of_app = parent.ends_with(Path::new(app).join("releases"));
    is_of_app
        .then(|| only_name(Path::new(path.file_name()?)))
        .flatten()
}

/// The name of a release, of a path that has one part. A release that is being removed has another name.
fn only_name(path: &Path) -> Option<String> {
    let name = path.to_str()?;
    let is_one = path.components().count() == 1;
    (is_one && temp_target(name).is_none()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::mountinfo::{Place, mounts_in};
    use super::{Undetermined, agreed, release_in};
    use std::path::PathBuf;

    /// What the process with this mount table runs, on a host with the releases where the last mount of
    /// `host` says.
    fn runs(table: &str, host: &str) -> Result<String, Undetermined> {
        let own = || -> Option<Place> { Some(mounts_in(host).pop()?.source) };
        release_in(&mounts_in(table), "shop", own)
    }

    fn line(device: &str, source: &str, point: &str) -> String {
        format!("41 40 {device} {source} {point} ro - ext4 /dev/vda rw\n")
    }

    const CURRENT: &str = "/opt/shop/current";
    const RELEASES: &str = "/opt/shop/releases";

    #[test]
    fn the_mount_shows_the_release_wherever_the_releases_are() {
        let root = line("254:0", RELEASES, RELEASES);
        for (case, table, host, wanted) in [
            (
                "on the disk of /",
                line("254:0", "/opt/shop/releases/1-a", CURRENT),
                root.clone(),
                "1-a",
            ),
            (
                "a volume at /opt/shop",
                line("0:50", "/releases/1-a", CURRENT),
                line("0:50", "/releases", RELEASES),
                "1-a",
            ),
            (
                "a volume at releases",
                line("0:50", "/1-a", CURRENT),
                line("0:50", "/", RELEASES),
                "1-a",
            ),
            (
                "a bind mount",
                line("254:0", "/srv/my\\040vol/1-a", CURRENT),
                line("254:0", "/srv/my\\040vol", RELEASES),
                "1-a",
            ),
            (
                "the whole host",
                line("0:50", "/1-a", "/opt/shop/releases/1-a"),
                line("0:50", "/", RELEASES),
                "1-a",
            ),
            (
                "/opt is a link",
                line(
                    "254:0",
                    "/data/shop/releases/1-a",
                    "/data/shop/releases/1-a",
                ),
                root.clone(),
                "1-a",
            ),
            (
                "deleted",
                line("254:0", "/opt/shop/releases/1-a//deleted", CURRENT),
                root.clone(),
                "1-a",
            ),
            (
                "a volume was mounted later",
                line("254:0", "/opt/shop/releases/1-a", CURRENT),
                line("0:50", "/", RELEASES),
                "1-a",
            ),
            (
                "the releases cannot be seen",
                line("254:0", "/opt/shop/releases/1-a", CURRENT),
                String::new(),
                "1-a",
            ),
            (
                "the mount at current is the one that counts",
                line("0:50", "/2-b", CURRENT) + &line("0:50", "/1-a", "/opt/shop/releases/1-a"),
                line("0:50", "/", RELEASES),
                "2-b",
            ),
        ] {
            let table = line("254:0", "/usr", "/usr") + &table;
            assert_eq!(runs(&table, &host).as_deref(), Ok(wanted), "{case}");
        }
    }

    #[test]
    fn what_is_not_a_release_of_this_host_is_undetermined() {
        let elsewhere = |path: &str| Err(Undetermined::Elsewhere(PathBuf::from(path)));
        let host = line("0:50", "/", RELEASES);
        assert_eq!(
            runs(&line("0:51", "/1-a", CURRENT), &host),
            elsewhere("/1-a")
        );
        assert_eq!(
            runs(&line("0:50", "/1-a/x", CURRENT), &host),
            elsewhere("/1-a/x")
        );
        assert_eq!(runs(&line("0:50", "/", CURRENT), &host), elsewhere("/"));
        let other = line("0:50", "/opt/other/releases/1-a", "/opt/other/current");
        assert_eq!(runs(&other, &host), Err(Undetermined::NoMount));
        assert_eq!(runs("", &host), Err(Undetermined::NoMount));
    }

    #[test]
    fn processes_without_a_main_one_must_agree() {
        let id = |id: &str| Ok(id.to_owned());
        let none = || Err(Undetermined::NoMount);
        assert_eq!(agreed(vec![]), Err(Undetermined::NoProcess));
        assert_eq!(agreed(vec![none()]), none());
        assert_eq!(agreed(vec![id("1-a"), none(), id("1-a")]), id("1-a"));
        let both = agreed(vec![id("2-b"), id("1-a")]).unwrap_err();
        let said = "the release that it runs cannot be determined: its processes run 1-a, 2-b";
        assert_eq!(both.to_string(), said);
    }
}
