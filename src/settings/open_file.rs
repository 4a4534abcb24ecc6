//! Whether a file with settings is closed to other users than root.

use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Meta, Root};
use crate::safe_fix::SafeFix;

/// The fault of a file that users other than root can read or replace, if they can. `meta` is that of
/// the file itself, not of a link to it.
pub(super) fn open_file(root: &Root, path: &str, meta: &Meta) -> Option<Fault> {
    let (is_of_other, is_readable) = (meta.uid != 0, meta.mode & 0o077 != 0);
    if !is_of_other && !is_readable {
        return None;
    }
    // A link may lead to it.
    let real = root.followed(path).display().to_string();
    let owner = is_of_other.then(|| {
        let chown = CommandLine::sudo(["chown", "root:root", &real]);
        Hint::to("make root the owner", chown)
    });
    let mode = is_readable.then(|| {
        let chmod = CommandLine::sudo(["chmod", "600", &real]);
        Hint::to("remove access for other users", chmod)
    });
    let mut steps = owner.into_iter().chain(mode);
    let message = format!("users other than root can read `{path}`");
    let mut fault = Fault::new(Impact::Serious, message, steps.next()?);
    fault.fix.extend(steps);
    // A link leads to a file that something else may read.
    let found = root.meta(path).ok().flatten();
    fault.safe_fix = found.filter(Meta::is_file).map(|_| SafeFix::CloseFile {
        path: path.to_owned(),
    });
    Some(fault)
}
