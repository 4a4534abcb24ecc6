//! Free space, what file systems allow, and durable names.

use super::remove::mount_points;
use super::root::Root;
use anyhow::{Context, Result};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::File;
use std::path::PathBuf;

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
