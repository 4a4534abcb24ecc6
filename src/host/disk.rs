//! Free space, what file systems allow, and durable names.

use super::mountinfo::{mount_points, unescaped};
use super::root::Root;
use anyhow::{Context, Result};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

impl Root {
    /// The bytes and inodes that any user may still take on the file system of a path (`f_bavail` and
    /// `f_favail` of statvfs(3)). What is kept for root stays free.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn free_space(&self, path: &str) -> Result<(u64, u64)> {
        let mut real = self.followed(path);
        while !real.exists() && real.pop() {}
        let stat = statvfs(&real)
            .with_context(|| format!("reading the free space of `{}`", real.display()))?;
        Ok((
            stat.blocks_available() * stat.fragment_size(),
            // Some file systems do not count inodes and report 0.
            match stat.files() {
                0 => u64::MAX,
                _ => stat.files_available(),
            },
        ))
    }

    /// The path, or the nearest existing one above it, when it exists and is not a directory.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn not_a_directory(&self, path: &str) -> Result<Option<PathBuf>> {
        let mut real = self.followed(path);
        // Below a file, nothing exists: the nearest existing path is the file.
        while !real.exists() && real.pop() {}
        Ok((!real.is_dir()).then_some(real))
    }

    /// Whether the file system of a path, or of its nearest existing parent, is read-only.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn is_read_only(&self, path: &str) -> Result<bool> {
        Ok(self.flags(path)?.contains(FsFlags::ST_RDONLY))
    }

    /// The same for every process of the host: a sandbox makes mounts read-only for one.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn is_read_only_for_all(&self, path: &str) -> Result<bool> {
        if !self.is_read_only(path)? {
            return Ok(false);
        }
        let table = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
        Ok(is_read_only_itself(&table, &self.mount_of(path)?))
    }

    /// The flags of the file system of a path, or of its nearest existing parent.
    fn flags(&self, path: &str) -> Result<FsFlags> {
        let mut real = self.followed(path);
        while !real.exists() && real.pop() {}
        let stat = statvfs(&real).with_context(|| {
            format!(
                "reading the state of the file system of `{}`",
                real.display()
            )
        })?;
        Ok(stat.flags())
    }

    /// Whether no program can be executed on the file system of a path, or of its nearest existing parent
    /// (mount(8), "noexec").
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn is_noexec(&self, path: &str) -> Result<bool> {
        Ok(self.flags(path)?.contains(FsFlags::ST_NOEXEC))
    }

    /// The mount point of the file system that holds a path, or the next directory above it that
    /// exists (proc_pid_mountinfo(5)).
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub fn mount_of(&self, path: &str) -> Result<PathBuf> {
        let mut real = self.followed(path);
        while !real.exists() && real.pop() {}
        let real = real.canonicalize().unwrap_or(real);
        let points = mount_points()?.into_iter();
        let above = points.filter(|point| real.starts_with(point));
        let nearest = above.max_by_key(|point| point.components().count());
        Ok(nearest.unwrap_or_else(|| PathBuf::from("/")))
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn sync_dir(&self, path: &str) -> Result<()> {
        let real = self.followed(path);
        let sync = || File::open(&real)?.sync_all();
        sync().with_context(|| format!("syncing `{}`", real.display()))
    }
}
/// Whether the file system that is mounted at a point is read-only, and not only this mount of it: the options of the
/// file system come last in the line (proc_pid_mountinfo(5)).
fn is_read_only_itself(table: &str, point: &Path) -> bool {
    // The last mount at a point covers the others.
    let mut lines = table.lines().rev();
    let line = lines.find(|line| {
        let found = line.split(' ').nth(4).map(unescaped);
        found.is_some_and(|found| Path::new(&found) == point)
    });
    let options = line.and_then(|line| line.rsplit(' ').next());
    options.is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

#[cfg(test)]
mod tests {
    use super::is_read_only_itself;
    use std::path::Path;

    #[test]
    fn a_read_only_mount_of_a_writable_file_system_is_not_read_only_itself() {
        let table = "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
                     22 21 8:1 /opt /opt ro,relatime - ext4 /dev/sda1 rw\n\
                     23 21 8:2 / /srv ro,relatime - ext4 /dev/sdb1 ro,errors=remount-ro\n";
        for (point, expected) in [("/", false), ("/opt", false), ("/srv", true), ("/x", false)] {
            assert_eq!(
                is_read_only_itself(table, Path::new(point)),
                expected,
                "{point}"
            );
        }
    }
}
