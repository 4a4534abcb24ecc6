//! The commands of a build.

/// What a command of a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It creates the Python environment.
    Environment,
    /// pip installs packages that it downloads.
    Packages,
    /// pip installs wheels of the release, without a network.
    PackagesOffline,
    /// It compiles the packages to byte code.
    Compile,
    /// `release.build`
    Command,
}

/// One command of a build.
#[derive(Debug)]
pub(crate) struct BuildStep {
    pub(crate) argv: Vec<String>,
    pub(crate) purpose: Purpose,
    /// Whether it has no network.
    pub(crate) is_offline: bool,
    /// Its standard input, which is empty otherwise.
    pub(crate) input: Option<&'static str>,
}

/// The key of the commands that a manifest lists.
pub(crate) const BUILD: &str = "build";

/// A part of a build: commands that run together, and what they make.
#[derive(Debug)]
pub(crate) struct BuildPart {
    /// The key of the manifest: `python` or `build`.
    pub(crate) key: &'static str,
    pub(crate) steps: Vec<BuildStep>,
    /// The paths in the release that decide what it makes. Those of `python` follow from the manifest.
    pub(crate) inputs: Vec<String>,
    /// The paths in the release that it makes; empty if they are not known.
    pub(crate) outputs: Vec<String>,
}

impl BuildPart {
    /// Whether it may write to the whole release: it is a command of `release.build`.
    pub(crate) fn may_write_all(&self) -> bool {
        self.key == BUILD
    }
}
