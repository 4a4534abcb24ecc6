//! One command of a build.

/// One command of a build.
#[derive(Debug)]
pub(super) struct BuildStep {
    pub(super) argv: Vec<String>,
    /// Whether it has no network.
    pub(super) is_offline: bool,
    /// Its standard input, which is empty otherwise.
    pub(super) input: Option<&'static str>,
}
