//! What is known of one release.

use super::journal::Stored;
use crate::manifest::parse;
use crate::model::App;
use crate::tree::FileTree;
use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a release has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "mark", content = "why")]
pub enum Mark {
    /// In place, never live.
    Staged,
    /// It was live and passed its checks.
    Good,
    /// It failed; the text says how. Not chosen again without `--force`.
    Bad(String),
}

/// A release as it was staged: enough to put it back without its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Format of this file.
    pub format: u32,
    /// The release's id.
    pub id: String,
    /// The manifest's text.
    pub manifest: String,
    /// The overlay that was asked for.
    pub environment: Option<String>,
    /// Every file that it puts on the host.
    pub files: BTreeMap<String, Stored>,
    /// When it was staged, RFC 3339: releases of one second are in order too.
    pub staged: String,
    /// Where its content came from, as typed.
    pub origin: String,
    /// How it has done.
    #[serde(flatten)]
    pub mark: Mark,
}

impl ReleaseRecord {
    /// The app that the release is.
    ///
    /// # Errors
    /// When this version of `robotctl` no longer takes the manifest.
    pub fn app(&self) -> Result<App> {
        let read = || App::from_manifest(&parse(&self.manifest)?, self.environment.as_deref());
        read()
            .map_err(|problem| anyhow!("{}", problem.at(&self.manifest)))
            .with_context(|| format!("reading the manifest of release `{}`", self.id))
    }

    /// The files that it puts on the host.
    ///
    /// # Errors
    /// When the record was damaged.
    pub fn tree(&self) -> Result<FileTree> {
        let mut tree = FileTree::default();
        for (path, stored) in &self.files {
            tree.insert(path, stored.entry()?);
        }
        Ok(tree)
    }
}
