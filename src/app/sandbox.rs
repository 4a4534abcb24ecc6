//! What a service is allowed beyond the floor, as its manifest says.

use super::lines::{Device, Line};
use super::names::AbsPath;
use std::collections::BTreeSet;

/// What `[service.NAME.sandbox]` and `runtime` ask for.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Names from [`EXCEPTIONS`].
    pub allow: BTreeSet<&'static str>,
    /// `CAP_*`, ambient and bounding.
    pub capabilities: BTreeSet<String>,
    /// `DeviceAllow=` lines.
    pub devices: Vec<Device>,
    /// `ReadWritePaths=`.
    pub read_write: Vec<AbsPath>,
    /// What an allow-list root shows besides the release: (host path, path inside).
    pub read_only: Vec<(AbsPath, AbsPath)>,
    /// The escape hatch: (directive, value), last word.
    pub directives: Vec<(String, Line)>,
}

impl Sandbox {
    /// Whether an exception is granted.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.contains(name)
    }
}
