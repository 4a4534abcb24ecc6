//! What a release contains.

use super::names::{Name, Span, Text};
use crate::sandbox::build::BUILD_NETWORK;
use crate::sandbox::prefix::Prefix;
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// The directory of the Python environment in a release.
pub const PYTHON_DIR: &str = ".venv";

/// The Python environment of a release.
#[derive(Debug, Clone)]
pub struct Python {
    /// Requirement files, relative to the release.
    pub requirements: Vec<Text>,
    /// Packages to install.
    pub install: Vec<Install>,
    /// Directory of wheels, relative to the release.
    pub wheels: Option<Text>,
}

/// A package to install in the Python environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// The directory of a package in the source tree, relative to the release, without `./`; `.` is the release itself.
    pub path: Option<Text>,
    /// The name of a package with its versions; for one of the source tree, its extras in brackets, or nothing.
    pub name: Text,
}

/// A command of `release.build`.
#[derive(Debug, Clone)]
pub struct BuildCommand {
    /// The program and its arguments.
    pub argv: Vec<Text>,
    /// The paths in the release that decide what it makes. Empty if it runs for each release.
    pub inputs: Vec<Text>,
    /// The paths in the release that it makes. Empty if it runs for each release.
    pub outputs: Vec<Text>,
}

/// What `[release.sandbox]` allows the build.
#[derive(Debug, Clone, Default)]
pub struct BuildSandbox {
    /// Names from [`BUILD_CHOICES`](crate::sandbox::build::BUILD_CHOICES).
    pub allow: BTreeSet<&'static str>,
    /// The listed addresses that it can connect to.
    pub outbound: Vec<Prefix>,
}

impl Release {
    /// Whether commands run while it is staged.
    pub fn has_build(&self) -> bool {
        !self.build.is_empty() || self.python.is_some()
    }
}

impl BuildSandbox {
    /// Whether the build can reach the network of the host, or a part of it.
    pub fn has_network(&self) -> bool {
        !self.outbound.is_empty() || BUILD_NETWORK.iter().any(|name| self.allow.contains(name))
    }
}

/// What a release contains.
#[derive(Debug, Clone)]
pub struct Release {
    /// The source: a directory or archive, relative to the manifest.
    pub source: Text,
    /// Files to leave out, in gitignore syntax.
    pub exclude: Vec<Text>,
    /// Commands that run in the staged release.
    pub build: Vec<BuildCommand>,
    /// The Python environment.
    pub python: Option<Python>,
    /// The number of releases to keep.
    pub keep: u32,
    /// How long after a deploy the release is rolled back if a service keeps crashing.
    pub soak: Option<Span>,
    /// What the build can do beyond its sandbox.
    pub sandbox: BuildSandbox,
    /// A group that can read the release, beside those of the services.
    pub reader_group: Option<Name>,
}

/// A path without `.`, and `.` for the release itself.
pub fn plain_path(path: &str) -> String {
    let parts = Path::new(path).components();
    let parts = parts.filter(|part| *part != Component::CurDir);
    let parts: Vec<_> = parts
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    match parts.is_empty() {
        true => ".".to_owned(),
        false => parts.join("/"),
    }
}
