//! The attributes of chattr(1) that forbid root to change a file or directory.

use super::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use std::path::PathBuf;

/// A file or directory that an attribute protects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// Its real path.
    pub path: PathBuf,
    /// The attribute, as chattr(1) takes it: `i` (immutable) or `a` (append only).
    pub attribute: char,
}

impl Root {
    /// The entry at a path, or at the nearest existing path above it, when an attribute protects it.
    /// No entry of a protected directory can be replaced or removed, and a protected file neither.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn protected(&self, path: &str) -> Result<Option<Protected>> {
        let mut real = self.path(path);
        while real.symlink_metadata().is_err() && real.pop() {}
        let stat = statx(CWD, &real, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
            .with_context(|| format!("reading the attributes of `{}`", real.display()))?;
        let protection = [
            (StatxAttributes::IMMUTABLE, 'i'),
            (StatxAttributes::APPEND, 'a'),
        ];
        let mut protection = protection.into_iter();
        let found = protection.find(|(flag, _)| stat.stx_attributes.contains(*flag));
        Ok(found.map(|(_, attribute)| Protected {
            path: real,
            attribute,
        }))
    }
}
