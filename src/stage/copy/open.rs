//! Opening files below a directory without following links.

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use std::fs::File;
use std::path::Path;

/// Opens the file at a path below a directory. No link is followed, not even on the way where the
/// kernel has openat2(2).
pub(super) fn open_beneath(
    dir: &File,
    path: &Path,
    flags: OFlags,
) -> Result<File, rustix::io::Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let open = || openat2(dir, path, flags, Mode::empty(), resolve);
    match rustix::io::retry_on_intr(open) {
        // A kernel before 5.6, or a container that does not know the call.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            let open = || openat(dir, path, flags, Mode::empty());
            rustix::io::retry_on_intr(open).map(File::from)
        }
        other => other.map(File::from),
    }
}
