//! What the manifest allows a service beyond the floor.

use super::lines::{Device, Line};
use super::names::AbsPath;
use crate::sandbox::prefix::Prefix;
use std::collections::BTreeSet;

/// What `[service.NAME.sandbox]` and `runtime` allow.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Names from [`EXCEPTIONS`](crate::sandbox::exceptions::EXCEPTIONS).
    pub allow: BTreeSet<&'static str>,
    /// The name of the preset, if `runtime` names one.
    pub runtime: Option<&'static str>,
    /// Files of the runtime that the service can read, where they exist.
    pub runtime_files: &'static [&'static str],
    /// The listed addresses that the service may connect to. `allow` can add others.
    pub outbound: Vec<Prefix>,
    /// Who may connect to the public addresses of the service, if not everyone.
    pub allow_from: Vec<Prefix>,
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

/// Exceptions that need the network of the host.
const OF_THE_HOST: [&str; 4] = ["loopback", "net-admin", "outbound", "raw-net"];

impl Sandbox {
    /// Whether an exception is granted.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.contains(name)
    }

    /// Whether the manifest has a key of `sandbox`. `of_runtime` are the exceptions that `runtime` grants by itself.
    pub fn is_written(&self, of_runtime: &[&str]) -> bool {
        let mut own = self.allow.iter().filter(|name| !of_runtime.contains(name));
        own.next().is_some()
            || !self.outbound.is_empty()
            || !self.allow_from.is_empty()
            || !self.capabilities.is_empty()
            || !self.devices.is_empty()
            || !self.read_write.is_empty()
            || !self.read_only.is_empty()
            || !self.directives.is_empty()
    }

    /// The key or exception that needs the network of the host, which a proxied server does not have.
    pub fn host_network(&self) -> Option<&'static str> {
        let exception = OF_THE_HOST.into_iter().find(|name| self.allows(name));
        exception.or_else(|| (!self.outbound.is_empty()).then_some("outbound"))
    }
}
