//! The resolvers of this host that are on its loopback interface, from resolv.conf(5).
//!
//! The loopback interface is closed to a build. systemd-resolved(8) listens on addresses of it that no other program
//! uses, so a build may reach these. `127.0.0.1` and `::1` are the addresses of all local programs.

use crate::host::Root;
use crate::sandbox::prefix::Prefix;
use anyhow::Result;

const PATH: &str = "/etc/resolv.conf";
/// The addresses that local programs share.
const SHARED: [&str; 2] = ["127.0.0.1", "::1"];

/// The local resolvers at addresses of their own.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn resolvers(root: &Root) -> Result<Vec<Prefix>> {
    let local = local(&text(root)?);
    let own = local.into_iter().filter(|one| !is_shared(one));
    Ok(own.collect())
}

/// Whether the host looks names up only at an address that all local programs share.
pub(super) fn are_shared(root: &Root) -> bool {
    let local = text(root).map(|text| local(&text)).unwrap_or_default();
    !local.is_empty() && local.iter().all(is_shared)
}

fn text(root: &Root) -> Result<String> {
    let bytes = root.read(PATH)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_shared(prefix: &Prefix) -> bool {
    SHARED.contains(&prefix.to_string().as_str())
}

fn local(text: &str) -> Vec<Prefix> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    let prefixes = addresses.filter_map(|address| Prefix::parse(address).ok());
    prefixes.filter(Prefix::is_loopback).collect()
}

#[cfg(test)]
mod tests {
    use super::{are_shared, resolvers};
    use crate::host::Root;

    #[test]
    fn only_a_local_resolver_at_its_own_address_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        root.make_dir("/etc", 0o755).unwrap();
        for (text, open, shared) in [
            ("", "", false),
            ("# nameserver 127.0.0.2\nnameserver 192.0.2.1\n", "", false),
            (
                "search x\nnameserver 127.0.0.53\noptions edns0\n",
                "127.0.0.53",
                false,
            ),
            ("nameserver 127.0.0.1\nnameserver ::1\n", "", true),
            (
                "nameserver 127.0.0.1\nnameserver 127.0.0.53\n",
                "127.0.0.53",
                false,
            ),
            ("nameserver fe80::1%eth0\nnameserver\n", "", false),
        ] {
            let path = "/etc/resolv.conf";
            root.write_atomic(path, text.as_bytes(), 0o644).unwrap();
            let found: Vec<String> = resolvers(&root)
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found.join(" "), open, "{text}");
            assert_eq!(are_shared(&root), shared, "{text}");
        }
    }
}
