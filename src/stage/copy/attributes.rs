//! What a file has besides its content and its mode (xattr(7)).

use rustix::fs::llistxattr;
use std::path::Path;

/// The names of attributes of a file that a release does not have.
const CAPABILITY: &[u8] = b"security.capability";
/// The same of an access control list, of a file and of what is created in a directory (acl(5)).
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
/// More than the names of all attributes that a kernel keeps.
const NAMES_BYTES: usize = 64 * 1024;

/// Which of these attributes a file has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Capabilities that its program gets (capabilities(7), "File capabilities").
    pub(crate) capabilities: bool,
    /// An access control list.
    pub(crate) acl: bool,
}

/// The attributes of a file or directory. None of a file system without attributes. A symbolic link is not
/// followed.
pub(crate) fn attributes(path: &Path) -> Attributes {
    // Most files have none, and then nothing is written.
    let mut names = [0; 1024];
    match llistxattr(path, &mut names[..]) {
        Ok(length) => named(names.get(..length).unwrap_or_default()),
        Err(rustix::io::Errno::RANGE) => {
            let mut names = vec![0; NAMES_BYTES];
            let length = llistxattr(path, &mut names[..]).unwrap_or(0);
            named(names.get(..length).unwrap_or_default())
        }
        Err(_) => Attributes::default(),
    }
}

/// `names` are separated by NUL.
fn named(names: &[u8]) -> Attributes {
    let mut found = Attributes::default();
    for name in names.split(|byte| *byte == 0) {
        found.capabilities |= name == CAPABILITY;
        found.acl |= ACLS.contains(&name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Attributes, attributes, named};
    use std::path::Path;

    #[test]
    fn capabilities_and_lists_are_found_among_other_attributes() {
        for (names, capabilities, acl) in [
            (&b""[..], false, false),
            (b"user.x\0security.selinux\0", false, false),
            (b"user.x\0security.capability\0", true, false),
            (
                b"system.posix_acl_access\0security.capability\0",
                true,
                true,
            ),
            (b"system.posix_acl_default\0", false, true),
        ] {
            assert_eq!(named(names), Attributes { capabilities, acl });
        }
        let none = Attributes::default();
        assert_eq!(attributes(Path::new("/proc/self/status")), none);
        assert_eq!(attributes(Path::new("/nothing/here")), none);
    }
}
