//! A source that has been scanned, and the hashes of its files.

use super::copy::{BUFFER_BYTES, Dir};
use super::source::Source;
use crate::parallel::par_map;
use crate::payload::{ContentHash, IndexHeader, InstalledStat, Item, Kind, Payload, PreviousIndex};
use anyhow::Result;

/// Time stamps may be this coarse (FAT, NFS). A file that changed less than this before the scan
/// may change again and keep its time stamps.
const COARSEST_TIMESTAMP_NS: i64 = 2_000_000_000;

/// What a release would hold. Hashes may be missing at first: they come from the index of an
/// earlier release, from reading the files, or from copying them.
#[derive(Debug)]
pub struct ScannedSource {
    /// The items. A hash that is missing is all zeros.
    pub payload: Payload,
    /// Whether each item has its hash; true for directories and links.
    has_hash: Vec<bool>,
    /// [`Payload::source_digest`].
    source_digest: Option<blake3::Hash>,
    /// The digest of the payload, if it is known although hashes are missing.
    digest: Option<blake3::Hash>,
    /// When the scan started, in nanoseconds since 1970.
    started_ns: i64,
    /// What a person should know about the files.
    pub warnings: Vec<String>,
    /// The files that look private.
    pub private: Vec<String>,
}

impl ScannedSource {
    /// The result of a scan that started at `started_ns`. `is_hashed` says whether the scan has
    /// read the files as well.
    pub(super) fn new(
        payload: Payload,
        source_digest: Option<blake3::Hash>,
        is_hashed: bool,
        started_ns: i64,
        warnings: Vec<String>,
    ) -> Self {
        let items = payload.items.iter();
        Self {
            has_hash: items.map(|item| is_hashed || !item.is_file()).collect(),
            source_digest,
            digest: None,
            payload,
            started_ns,
            warnings,
            private: Vec::new(),
        }
    }

    /// Whether no hash is missing.
    pub fn is_hashed(&self) -> bool {
        self.has_hash.iter().all(|has_hash| *has_hash)
    }

    /// The digest of the payload. Call it only if no hash is missing or the source
    /// [is unchanged](Self::is_unchanged).
    pub fn digest(&self) -> blake3::Hash {
        self.digest.unwrap_or_else(|| self.payload.digest())
    }

    /// Whether the source is the same as that of an earlier release, judging by the state of its
    /// files. Then the digest is known without reading them.
    pub fn is_unchanged(&mut self, earlier: &IndexHeader) -> bool {
        let is_unchanged = earlier.matches_source(self.source_digest);
        self.digest = is_unchanged.then_some(earlier.digest);
        is_unchanged
    }

    /// Takes hashes from an earlier release, for files that have not changed since it read them.
    pub fn reuse_hashes(&mut self, previous: &PreviousIndex) {
        let items = self.payload.items.iter_mut().zip(&mut self.has_hash);
        for (at, (item, has_hash)) in items.enumerate() {
            if let Kind::File { hash, len, .. } = &mut item.kind
                && !*has_hash
                && let Some(Kind::File {
                    hash: old_hash,
                    len: old_len,
                    ..
                }) = previous.kind_if_source_unchanged(at)
                && old_len == len
            {
                (*hash, *has_hash) = (*old_hash, true);
            }
        }
    }

    /// Takes the state of installed files from an earlier release that is still on disk.
    pub fn reuse_installed_stats(&mut self, previous: &PreviousIndex) {
        for (at, item) in self.payload.items.iter_mut().enumerate() {
            if previous.kind(at).is_some() {
                item.fingerprints.installed = previous.installed(at);
            }
        }
    }

    /// Drops the state of installed files: those of the release on disk are not known.
    pub fn clear_installed_stats(&mut self) {
        for item in &mut self.payload.items {
            item.fingerprints.installed = None;
        }
    }

    /// Reads the files whose hash is missing, on all processors.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn hash(&mut self, source: &Source) -> Result<()> {
        self.hash_if(source, |_| true)
    }

    /// Reads only the files that changed so recently that copying them might miss a further change.
    pub(super) fn hash_racy(&mut self, source: &Source) -> Result<()> {
        let started_ns = self.started_ns;
        self.hash_if(source, |item| is_racy(item, started_ns))
    }

    fn hash_if(&mut self, source: &Source, is_wanted: impl Fn(&Item) -> bool) -> Result<()> {
        let Source::Directory(dir) = source else {
            return Ok(());
        };
        let items = &self.payload.items;
        let all = items.iter().zip(&self.has_hash).enumerate();
        let missing = all.filter(|(_, (item, has_hash))| !**has_hash && is_wanted(item));
        let missing: Vec<usize> = missing.map(|(at, _)| at).collect();
        let dir = Dir::open_source(dir)?;
        let start = || (Vec::new(), vec![0; BUFFER_BYTES]);
        let hashed = par_map(&missing, start, |at, (hashes, buffer)| {
            if let Some(item) = items.get(*at) {
                hashes.push((*at, dir.hash(&item.path, item.len(), buffer)?));
            }
            Ok(())
        })?;
        for (at, hash) in hashed.into_iter().flat_map(|(hashes, _)| hashes) {
            self.set_hash(at, hash);
        }
        Ok(())
    }

    /// Whether the hash of item `at` is known.
    pub(super) fn has_hash(&self, at: usize) -> bool {
        self.has_hash.get(at).is_some_and(|has_hash| *has_hash)
    }

    /// Sets the hash of item `at`.
    pub(super) fn set_hash(&mut self, at: usize, new: ContentHash) {
        let item = self.payload.items.get_mut(at);
        if let Some(Kind::File { hash, .. }) = item.map(|item| &mut item.kind) {
            *hash = new;
        }
        if let Some(has_hash) = self.has_hash.get_mut(at) {
            *has_hash = true;
        }
    }

    /// Sets the state of the installed file of item `at`.
    pub(super) fn set_installed(&mut self, at: usize, installed: InstalledStat) {
        if let Some(item) = self.payload.items.get_mut(at) {
            item.fingerprints.installed = Some(installed);
        }
    }

    /// The payload as it is recorded: without the state of source files that may change again and
    /// keep their time stamps.
    pub fn finish(&mut self) -> &Payload {
        for item in &mut self.payload.items {
            if is_racy(item, self.started_ns) {
                item.fingerprints.source = None;
            }
        }
        &self.payload
    }
}

/// Whether a source file changed so recently before the scan that a further change may leave the
/// same time stamps (Git: "racily clean").
fn is_racy(item: &Item, started_ns: i64) -> bool {
    item.fingerprints.source.is_some_and(|stat| {
        let changed_ns = stat.mtime.max(stat.ctime);
        changed_ns.saturating_add(COARSEST_TIMESTAMP_NS) >= started_ns
    })
}
