//! What a release is made of.

use super::names::{Span, Text};

/// How the Python environment of a release is made.
#[derive(Debug, Clone)]
pub struct Python {
    /// Requirement files, relative to the release.
    pub requirements: Vec<Text>,
    /// Directory of wheels, relative to the release.
    pub wheels: Option<Text>,
}

/// What a release is made of.
#[derive(Debug, Clone)]
pub struct Release {
    /// Directory or archive, relative to the manifest.
    pub source: Text,
    /// Patterns in gitignore syntax.
    pub exclude: Vec<Text>,
    /// Commands run in the staged tree.
    pub build: Vec<Vec<Text>>,
    /// The Python environment.
    pub python: Option<Python>,
    /// How many releases stay.
    pub keep: u32,
    /// For how long a release that went live is watched, and put back when a service loops.
    pub soak: Option<Span>,
}
