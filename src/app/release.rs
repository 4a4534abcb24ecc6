//! What a release contains.

use super::names::{Name, Span, Text};

/// The directory of the Python environment in a release.
pub const PYTHON_DIR: &str = ".venv";

/// The Python environment of a release.
#[derive(Debug, Clone)]
pub struct Python {
    /// Requirement files, relative to the release.
    pub requirements: Vec<Text>,
    /// Directory of wheels, relative to the release.
    pub wheels: Option<Text>,
}

/// What a release contains.
#[derive(Debug, Clone)]
pub struct Release {
    /// The source: a directory or archive, relative to the manifest.
    pub source: Text,
    /// Files to leave out, in gitignore syntax.
    pub exclude: Vec<Text>,
    /// Commands that run in the staged release.
    pub build: Vec<Vec<Text>>,
    /// The Python environment.
    pub python: Option<Python>,
    /// The number of releases to keep.
    pub keep: u32,
    /// How long after a deploy the release is rolled back if a service keeps crashing.
    pub soak: Option<Span>,
    /// A group that can read the release, beside those of the services.
    pub reader_group: Option<Name>,
}
