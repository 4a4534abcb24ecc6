//! The package that deployed an app last, and what became of it.

use super::format::FORMAT;
use super::records::Store;
use crate::app::InstalledPackage;
use anyhow::Result;
use serde::{Deserialize, Serialize};

const FILE: &str = "package.json";

/// The last version of a package that was tried on this host: it went live, or it failed and was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedPackage {
    #[serde(default)]
    format: u32,
    /// The package.
    #[serde(flatten)]
    pub package: InstalledPackage,
    /// Its release.
    pub release: String,
}

impl Store {
    /// What the package of the app says of itself; `None` without a package.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn installed_package(&self) -> Result<Option<InstalledPackage>> {
        let path = self.layout.package_file();
        let Some(bytes) = self.root.read(&path)? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&bytes);
        read.map(Some)
            .map_err(|error| self.damaged(&path, &error.to_string()))
    }

    /// The last version of the package that was tried.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn tried_package(&self) -> Result<Option<TriedPackage>> {
        self.read(FILE)
    }

    /// Records that a version of the package was tried.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn set_tried_package(&self, package: &InstalledPackage, release: &str) -> Result<()> {
        let tried = TriedPackage {
            format: FORMAT,
            package: package.clone(),
            release: release.to_owned(),
        };
        match self.tried_package() {
            Ok(Some(known)) if known == tried => Ok(()),
            _ => self.write(FILE, &tried),
        }
    }
}
