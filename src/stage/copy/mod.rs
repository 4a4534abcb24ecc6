//! The copy engine: walking a source, and copying and linking files.
//!
//! Outside `host`, this is the only part of staging that makes file system calls. It works on open
//! directories, with the calls that [`crate::host::Root`] does not have: openat2(2), linkat(2),
//! `FICLONE`.

#![expect(
    clippy::disallowed_methods,
    reason = "the copy engine opens the directories of a user's source"
)]

mod attributes;
mod dir;
mod open;
mod sparse;
mod stat;
mod walk;

pub(super) use attributes::{Attributes, attributes};
pub(super) use dir::{BUFFER_BYTES, Dir, FileSpec};
pub(super) use walk::{WalkedEntry, walk};
