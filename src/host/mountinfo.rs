//! The mounts that a process sees (proc_pid_mountinfo(5)).

use super::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxFlags, statvfs, statx};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// How fstab(5) names a device: by its node, or by a tag of it.
const DEVICES: [&str; 5] = ["/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="];

/// What systemd notes about the container that it runs in.
const CONTAINER: &str = "/run/systemd/container";

/// What the kernel adds to the path of a directory that was deleted.
const DELETED: &str = "//deleted";

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountEntry {
    /// Identifies it, as in `stx_mnt_id` of statx(2).
    id: u64,
    /// The directory that is mounted.
    pub(super) source: Place,
    /// Where it is mounted.
    pub(super) point: PathBuf,
}

/// A directory, by the file system that holds it. It has the same place however it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the device, as `major:minor`.
    device: String,
    /// The path from the root of the file system. It stays that of a directory that was deleted.
    pub(super) path: PathBuf,
}

impl Place {
    /// The path of this directory below another one; `None` when it is not below it.
    pub(super) fn below(&self, other: &Self) -> Option<&Path> {
        let is_same = self.device == other.device;
        let below = self.path.strip_prefix(&other.path);
        below.ok().filter(|_| is_same)
    }

    /// Where a path of this host is. `None` when it does not exist, or the kernel does not say it: before
    /// Linux 5.8.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let real = fs::canonicalize(path).ok()?;
        let found = statx(CWD, &real, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
        if found.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
            return None;
        }
        let all = mounts_of("self")?;
        let mount = all.iter().find(|mount| mount.id == found.stx_mnt_id)?;
        let below = real.strip_prefix(&mount.point).ok()?;
        Some(Self {
            device: mount.source.device.clone(),
            path: mount.source.path.join(below),
        })
    }
}

/// The mounts that a process sees, in the order in which they were made. `None` when the process has ended
/// or is hidden.
pub(super) fn mounts_of(process: &str) -> Option<Vec<MountEntry>> {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
    Some(mounts_in(&text))
}

pub(super) fn mounts_in(table: &str) -> Vec<MountEntry> {
    table.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<MountEntry> {
    let mut words = line.split(' ');
    let id = words.next()?.parse().ok()?;
    let (device, source, point) = (words.nth(1)?, words.next()?, words.next()?);
    let source = source.strip_suffix(DELETED).unwrap_or(source);
    Some(MountEntry {
        id,
        source: Place {
            device: device.to_owned(),
            path: PathBuf::from(unescaped(source)),
        },
        point: PathBuf::from(unescaped(point)),
    })
}

/// All mount points that this process sees.
pub(super) fn mount_points() -> Result<Vec<PathBuf>> {
    let all = mounts_of("self").context("reading the mounts")?;
    Ok(all.into_iter().map(|mount| mount.point).collect())
}

impl Root {
    /// The mount points of fstab(5) at which nothing is mounted, except for those that are mounted by hand
    /// (mount(8), "noauto"), and in a container for those of devices: systemd-fstab-generator(8) ignores them there.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn unmounted_points(&self) -> Result<Vec<String>> {
        let table = self.read("/etc/fstab")?.unwrap_or_default();
        let mounted = mount_points()?;
        let mut points = points_in(&String::from_utf8_lossy(&table), is_without_devices());
        points.retain(|point| {
            // The mount table has real paths.
            let real = fs::canonicalize(self.followed(point));
            let real = real.unwrap_or_else(|_| PathBuf::from(point));
            !mounted.contains(&real)
        });
        Ok(points)
    }
}

/// Whether this is a container. systemd-fstab-generator(8) asks whether `/sys` can be written; some containers have
/// such a `/sys` and no devices.
fn is_without_devices() -> bool {
    let is_read_only =
        |found: rustix::fs::StatVfs| found.f_flag.contains(StatVfsMountFlags::RDONLY);
    Path::new(CONTAINER).exists() || statvfs("/sys").is_ok_and(is_read_only)
}

/// The mount points of a table in the format of fstab(5), without those of `noauto`, and if asked without those of
/// devices. They have no `/` at their end and none twice.
fn points_in(table: &str, without_devices: bool) -> Vec<String> {
    let lines = table.lines().map(str::trim_start);
    let entries = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (source, point, options) = (words.next()?, words.next()?, words.nth(1)?);
            let is_device = DEVICES.iter().any(|start| source.starts_with(start));
            let is_mounted = !options.split(',').any(|option| option == "noauto");
            let point: PathBuf = Path::new(&unescaped(point)).components().collect();
            let point = point.into_os_string().into_string().ok()?;
            let counts = is_mounted && !(is_device && without_devices);
            (counts && point.starts_with('/')).then_some(point)
        });
    entries.collect()
}

/// A path of the mount table, in which some bytes are written in octal, such as `\040`.
pub(super) fn unescaped(text: &str) -> OsString {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal.filter(|_| *byte == b'\\') {
            Some(value) => {
                out.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::{Place, mounts_in, points_in, unescaped};
    use std::path::Path;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescaped("/mnt/a\\040b\\134c"), "/mnt/a b\\c");
        assert_eq!(unescaped("/plain\\"), "/plain\\");
    }

    #[test]
    fn a_table_of_file_systems_has_mount_points() {
        let table = "# comment /x /y\n\nUUID=1 / ext4 defaults 0 1\n/dev/a none swap sw 0 0\n\
                     /dev/b\t/opt/my\\040app ext4 nofail,noatime 0 2\n\
                     /dev/c /media/usb vfat user,noauto 0 0\n/dev/d /short\n\
                     LABEL=x /srv/x/ ext4 defaults\nhost:/y //srv/./y// nfs defaults\n\
                     /srv/z /opt/z none bind\n";
        let all = ["/", "/opt/my app", "/srv/x", "/srv/y", "/opt/z"];
        assert_eq!(points_in(table, false), all);
        // A container has no devices to mount.
        assert_eq!(points_in(table, true), ["/srv/y", "/opt/z"]);
    }

    #[test]
    fn a_directory_has_the_same_place_however_it_is_mounted() {
        let table = "21 1 0:31 /vol/releases /opt/my\\040app/releases rw - ext4 /dev/vda rw\n\
                     22 21 0:31 /vol/releases/1-a /current ro shared:1 - ext4 /dev/vda rw\n\
                     23 21 0:32 /vol/releases/1-a /other ro - tmpfs tmpfs rw\n\
                     24 21 0:31 /vol/releases/2-b//deleted /old ro - ext4 /dev/vda rw\n";
        let mounts = mounts_in(table);
        let [releases, current, other, old] = &mounts[..] else {
            panic!("{mounts:?}");
        };
        assert_eq!(releases.point, Path::new("/opt/my app/releases"));
        let below = |place: &Place| place.below(&releases.source).map(Path::to_owned);
        assert_eq!(below(&current.source).as_deref(), Some(Path::new("1-a")));
        assert_eq!(below(&other.source), None);
        assert_eq!(below(&old.source).as_deref(), Some(Path::new("2-b")));
        assert_eq!(mounts_in("damaged\n1 2 3\n"), []);
    }

    #[test]
    fn the_place_of_a_directory_is_known() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let (above, below) = (Place::of(dir.path()), Place::of(&dir.path().join("a")));
        if let (Some(above), Some(below)) = (above, below) {
            assert_eq!(below.below(&above), Some(Path::new("a")));
        }
        assert_eq!(Place::of(Path::new("/nothing/here")), None);
    }
}
