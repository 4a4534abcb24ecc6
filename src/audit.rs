//! Who started a command, and what it works with: a part of every event.

use crate::provenance::Provenance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who started a command, and what it works with, as far as it is known.
///
/// Every user can read [`Audit::public`]. The rest is for root, and for the members of the groups that can read the
/// systemd journal: paths of the source, and hashes of a manifest and of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Who started it.
    pub by: Caller,
    /// The directory or the archive of the release.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// The Git revision of that directory.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub git: Option<GitRevision>,
    /// What was proved of the archive before robotctl read it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<Provenance>,
    /// The BLAKE3 hash of the text of the manifest, as b3sum(1) prints it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub manifest: Option<String>,
    /// The hash of the plan, as `--plan` takes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plan: Option<String>,
}

/// Who started a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// The name of the person: the user of sudo(8), else that of the login, else that of the process.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// The real user id of the process.
    pub uid: u32,
    /// The user id of the user of sudo(8), from `SUDO_UID`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sudo_uid: Option<u32>,
    /// The user id of the login, which the kernel keeps (pam_loginuid(8)).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub login_uid: Option<u32>,
}

/// A Git revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitRevision {
    /// The commit that is checked out.
    pub revision: String,
    /// Whether tracked files differ from it; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dirty: Option<bool>,
}

impl Audit {
    /// What every user may know.
    #[must_use]
    pub fn public(&self) -> Self {
        Self {
            by: self.by.clone(),
            git: self.git.clone(),
            archive: self.archive.clone(),
            ..Self::default()
        }
    }
}

impl GitRevision {
    /// The revision in a few characters: `1a2b3c4d5e6f, dirty`.
    pub fn short(&self) -> String {
        let short = self.revision.get(..12).unwrap_or(&self.revision);
        match self.dirty {
            Some(true) => format!("{short}, dirty"),
            Some(false) | None => short.to_owned(),
        }
    }
}
