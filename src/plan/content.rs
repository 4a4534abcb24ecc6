//! What the new release adds, changes and removes.

use super::data::PayloadPlan;
use crate::app::App;
use crate::payload::{Kind, Payload, PreviousIndex};

/// The size of the blocks in which file systems allocate space.
const BLOCK_BYTES: u64 = 4096;

impl PayloadPlan {
    /// The content of a first release.
    pub fn first(payload: &Payload, app: &App) -> Self {
        compare(payload, None, app.release.build.is_empty())
    }
}

/// Compares a payload with that of the live release. `may_share` says whether no build command runs, which may write
/// to any file.
pub(super) fn compare(new: &Payload, old: Option<&PreviousIndex>, may_share: bool) -> PayloadPlan {
    let mut out = PayloadPlan {
        files: new.files(),
        bytes: new.bytes(),
        removed: old.map_or_else(Vec::new, |old| old.removed().to_vec()),
        ..PayloadPlan::default()
    };
    for (at, item) in new.items.iter().enumerate() {
        let old_kind = old.and_then(|old| old.kind(at));
        let is_same = old_kind == Some(&item.kind);
        let is_dir = item.kind == Kind::Dir;
        if !(may_share && is_same) || is_dir {
            let dir_bytes = if is_dir { BLOCK_BYTES } else { 0 };
            out.disk_bytes += item.len().div_ceil(BLOCK_BYTES) * BLOCK_BYTES + dir_bytes;
            out.disk_inodes += 1;
        } else if item.is_file() {
            out.shared += 1;
        }
        if is_dir || is_same {
            continue;
        }
        out.new_bytes += item.len();
        let paths = match old_kind {
            Some(_) => &mut out.changed,
            None => &mut out.added,
        };
        paths.push(item.path.clone());
    }
    out
}
