//! One command of a build.

/// What a command of a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
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
pub(super) struct BuildStep {
    pub(super) argv: Vec<String>,
    pub(super) purpose: Purpose,
    /// Whether it has no network.
    pub(super) is_offline: bool,
    /// Its standard input, which is empty otherwise.
    pub(super) input: Option<&'static str>,
}
