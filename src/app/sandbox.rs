//! What the manifest allows a service beyond the floor.

use super::lines::{Device, Line};
use super::names::AbsPath;
use std::collections::BTreeSet;

/// What `[service.NAME.sandbox]` and `runtime` allow.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Names from [`EXCEPTIONS`](crate::sandbox::exceptions::EXCEPTIONS).
    pub allow: BTreeSet<&'static str>,
    /// `AmbientCapabilities=` and `CapabilityBoundingSet=`.
    pub capabilities: BTreeSet<String>,
    /// `DeviceAllow=` lines.
    pub devices: Vec<Device>,
    /// `ReadWritePaths=`.
    pub read_write: Vec<AbsPath>,
    /// More visible paths: (path on the host, path for the service).
    pub read_only: Vec<(AbsPath, AbsPath)>,
    /// Raw directives: (name, value). They override everything else.
    pub directives: Vec<(String, Line)>,
}

impl Sandbox {
    /// Whether an exception is granted.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.contains(name)
    }
}
