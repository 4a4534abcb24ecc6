//! What the build of a release made, and from what: `releases/<id>.built`. A later release takes it over while the
//! inputs are the same ([decision 28](../../../docs/decisions/0028-what-a-build-made-is-kept.md)).

use super::format::FORMAT;
use super::records::Store;
use crate::host::Batch;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What some commands of a build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltPart {
    /// The paths in the release.
    pub outputs: Vec<String>,
    /// What decides what the commands make: a name for people, and the digest of it. `None` when that is not known.
    pub inputs: Option<BTreeMap<String, String>>,
    /// Why no later release may take it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The digest over the paths, kinds and content of the outputs.
    pub digest: String,
    /// How much they are.
    pub size: BuiltSize,
}

/// How much a build made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltSize {
    /// The number of files and links.
    pub files: u64,
    /// The number of directories.
    pub dirs: u64,
    /// The size of all files in bytes.
    pub bytes: u64,
    /// What they take on the disk in bytes, in whole blocks.
    pub disk_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct BuiltRecord {
    #[serde(default)]
    format: u32,
    parts: Vec<BuiltPart>,
}

impl Store {
    /// What the build of a release made; nothing if that was not recorded or cannot be read. Without it, the next
    /// build runs.
    pub fn built_parts(&self, id: &str) -> Vec<BuiltPart> {
        let record: Result<Option<BuiltRecord>> = self.read(&built_name(id));
        record.ok().flatten().map_or(Vec::new(), |one| one.parts)
    }

    /// Adds the record of what a build made to the records of a release.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare_built(
        &self,
        batch: &mut Batch<'_>,
        id: &str,
        parts: Vec<BuiltPart>,
    ) -> Result<()> {
        let record = BuiltRecord {
            format: FORMAT,
            parts,
        };
        self.prepare_in(batch, &built_name(id), &record)
    }
}

pub(super) fn built_name(id: &str) -> String {
    format!("releases/{id}.built")
}
