//! Where the release of a `robotctl deploy` comes from.

use std::path::PathBuf;

/// The options that say what to deploy, and what must be proved of it.
#[derive(Debug, clap::Args)]
pub(super) struct Origin {
    /// Deploy what is live in this environment of the app, with the settings of
    /// the environment that `--environment` names
    #[arg(long, value_name = "ENVIRONMENT", conflicts_with_all = ["source", "same_rights"])]
    pub(super) from: Option<String>,
    /// Refuse an archive that has not this digest: `sha256:` and 64 digits
    #[arg(long, value_name = "DIGEST")]
    pub(super) digest: Option<String>,
    /// File with the signature of the archive [default: the path of the
    /// archive with `.sig`]
    #[arg(long, value_name = "FILE")]
    pub(super) signature: Option<PathBuf>,
    /// Deploy what the package of this app installed: for its maintainer script
    ///
    /// A release that did not come from the package stays live, and so does one
    /// to which you have rolled back from this version. Where no service can be
    /// started, the release is made ready for the next boot.
    #[arg(
        long,
        value_name = "APP",
        conflicts_with_all = ["source", "same_rights", "manifest"]
    )]
    pub(super) from_package: Option<String>,
}
