//! The options of a deploy.

use crate::ops::user_file::Links;
use std::path::PathBuf;
use std::time::Duration;

/// The options of a deploy.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct DeployRequest {
    /// Directory or archive to release, in place of `release.source`.
    pub(crate) source: Option<PathBuf>,
    /// The environment whose live release to deploy, in place of a source.
    pub(crate) from: Option<String>,
    /// The app whose package is deployed: by a maintainer script, which leaves a choice of the operator alone.
    pub(crate) from_package: Option<String>,
    /// The hash that the plan must still have.
    pub(crate) plan: Option<String>,
    /// The digest that the archive must have.
    pub(crate) digest: Option<String>,
    /// The file with the signature of the archive, in place of the one beside it.
    pub(crate) signature: Option<PathBuf>,
    /// Also deploys a release that failed before.
    pub(crate) force: bool,
    /// Also moves services that a rollback pinned to another release.
    pub(crate) lift_pins: bool,
    /// Refuses a release that asks for a right which the live one lacks.
    pub(crate) same_rights: bool,
    /// Takes over nothing that an earlier build made.
    pub(crate) rebuild: bool,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

impl DeployRequest {
    /// What becomes of links that lead to the manifest.
    pub(super) fn links(&self) -> Links {
        if self.same_rights {
            Links::Refused
        } else {
            Links::Followed
        }
    }
}
