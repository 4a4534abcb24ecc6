//! Whether a file with settings is closed to other users than root.

use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Meta, Root};
use crate::safe_fix::SafeFix;

/// The fault of a file that users other than root can read or replace, if they can. `meta` is that of
/// the file itself, not of a link to it.
pub(super) fn open_file(root: &Root, path: &str, meta: &Meta) -> Option<Fault> {
    let is_open = meta.mode & 0o077 != 0 || meta.uid != 0;
    if !is_open {
        return None;
    }
    // A link may lead to it.
    let real = root.followed(path).display().to_string();
    let chown = CommandLine::sudo(["chown", "root:root", &real]);
    let chmod = CommandLine::sudo(["chmod", "600", &real]);
    let mut fault = Fault::new(
        Impact::Serious,
        format!("users other than root can read `{path}`"),
        Hint::to("make root the owner", chown),
    );
    // A link leads to a file that something else may read.
    let found = root.meta(path).ok().flatten();
    fault.safe_fix = found.filter(Meta::is_file).map(|_| SafeFix::CloseFile {
        path: path.to_owned(),
    });
    Some(fault.then(Hint::to("then remove access for other users", chmod)))
}
