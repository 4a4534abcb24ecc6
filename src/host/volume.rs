//! File systems: how much room they have, and whether they take writes.

use super::Root;
use anyhow::{Context as _, Result};
use nix::sys::statvfs::{FsFlags, statvfs};

impl Root {
    /// Bytes and inodes that are free for root on the file system that holds `path`.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn free_space(&self, path: &str) -> Result<(u64, u64)> {
        let mut real = self.path(path);
        while !real.exists() && real.pop() {}
        let stat = statvfs(&real)
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
        let mut real = self.path(path);
        while !real.exists() && real.pop() {}
        let stat = statvfs(&real)
            .with_context(|| format!("looking at the file system of `{}`", real.display()))?;
        Ok(stat.flags().contains(FsFlags::ST_RDONLY))
    }
}
