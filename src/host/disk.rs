//! What a file system has left, and which names it has on the disk.

use super::Root;
use anyhow::{Context, Result};
use std::fs::File;

impl Root {
    /// Bytes and inodes that are free for root on the file system that holds `path`.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn free_space(&self, path: &str) -> Result<(u64, u64)> {
        let mut real = self.followed(path);
        while !real.exists() && real.pop() {}
        let stat = nix::sys::statvfs::statvfs(&real)
            .with_context(|| format!("asking for the free space of `{}`", real.display()))?;
        Ok((
            stat.blocks_available() * stat.fragment_size(),
            // Some file systems count no inodes and report none.
            match stat.files() {
                0 => u64::MAX,
                _ => stat.files_available(),
            },
        ))
    }

    /// Whether the file system of a path, or of what would be above it, takes no writes.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn is_read_only(&self, path: &str) -> Result<bool> {
        let mut real = self.followed(path);
        while !real.exists() && real.pop() {}
        let stat = nix::sys::statvfs::statvfs(&real)
            .with_context(|| format!("looking at the file system of `{}`", real.display()))?;
        Ok(stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
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
