//! An archive to read: the file at a path, or a copy of it that was verified.

use crate::host::{PrivateCopy, files};
use crate::provenance::{Provenance, shown_digest};
use anyhow::Result;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An archive to read.
#[derive(Debug, Clone)]
pub struct ArchiveFile {
    /// Where it is, without links.
    path: PathBuf,
    /// What was verified. Other users may change the file meanwhile, so robotctl reads only this.
    verified: Option<Verified>,
}

/// The bytes of an archive that was verified.
#[derive(Debug, Clone)]
struct Verified {
    copy: Arc<PrivateCopy>,
    provenance: Provenance,
}

impl ArchiveFile {
    /// The archive at a path, which is not read yet.
    pub fn at(path: PathBuf) -> Self {
        Self {
            path,
            verified: None,
        }
    }

    /// A copy that no other user can change, with its digest. Nothing of it is parsed.
    ///
    /// # Errors
    /// When the file cannot be opened or copied.
    pub fn copied(path: PathBuf) -> Result<Self> {
        let mut hasher = Sha256::new();
        let copy = PrivateCopy::of(&files::open_file(&path)?, |part| hasher.update(part))?;
        Ok(Self {
            path,
            verified: Some(Verified {
                copy: Arc::new(copy),
                provenance: Provenance {
                    digest: shown_digest(&hasher.finalize()),
                    signer: None,
                },
            }),
        })
    }

    /// The same archive, which a principal has signed.
    #[must_use]
    pub fn signed_by(mut self, signer: String) -> Self {
        if let Some(verified) = &mut self.verified {
            verified.provenance.signer = Some(signer);
        }
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was proved of it; `None` if nothing was asked for.
    pub fn provenance(&self) -> Option<&Provenance> {
        let verified = self.verified.as_ref();
        verified.map(|verified| &verified.provenance)
    }

    /// Opens it, to read it from its beginning.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(&self) -> Result<File> {
        match &self.verified {
            Some(verified) => verified.copy.open(),
            None => files::open_file(&self.path),
        }
    }
}
