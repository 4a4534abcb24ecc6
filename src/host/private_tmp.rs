//! The private /tmp of a service (systemd.exec(5), "PrivateTmp=").
//!
//! systemd removes it when the service stops, also under processes that still use it. It finds the
//! directories by their names, so it leaves renamed ones alone.
//!
//! Any user can create a name in /tmp. Only a directory of root with exactly the name that systemd gives
//! is taken, and everything else is left alone.

use super::environment::random_hex;
use super::files::set_mode;
use super::root::Root;
use anyhow::{Context as _, Result};

/// The directories with private ones.
const PLACES: [&str; 2] = ["/tmp", "/var/tmp"];
/// How many random letters and digits a name ends in.
const RANDOM: usize = 6;
/// How many random bytes the name of a directory has that is kept.
const SUFFIX_BYTES: usize = 8;

/// Renames the private directories of a unit, so that the processes of one run of it keep them when it
/// stops. Each gets an empty directory in its place, for commands that the unit runs while it stops. Both
/// happen in one step: a user could take a name that is free for a moment.
///
/// The new name ends in `run` and random digits, so that no user can take it first. It still matches the
/// rule by which systemd-tmpfiles(8) removes such directories at boot.
///
/// # Errors
/// The operating system's, with the path.
pub fn keep_private_tmp(root: &Root, unit: &str, run: &str) -> Result<()> {
    let prefix = prefix(root, unit)?;
    for path in private_dirs(root, |name| is_private(name, &prefix))? {
        let kept = format!("{path}.{run}{}", random_hex(SUFFIX_BYTES)?);
        root.make_new_dir(&kept, 0o700)?;
        let inner = format!("{kept}/tmp");
        root.make_new_dir(&inner, 0o777)?;
        set_mode(&root.path(&inner), 0o1777)?;
        root.exchange(&path, &kept)?;
    }
    Ok(())
}

/// Removes what [`keep_private_tmp`] kept for a run of a unit.
///
/// # Errors
/// The operating system's, with the path.
pub fn remove_kept_tmp(root: &Root, unit: &str, run: &str) -> Result<()> {
    let prefix = prefix(root, unit)?;
    private_dirs(root, |name| is_kept(name, &prefix, run))?
        .iter()
        .try_for_each(|path| root.remove_tree(path))
}

/// The directories of root in [`PLACES`] whose name is a wanted one.
fn private_dirs(root: &Root, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for place in PLACES {
        for name in root.list(place)?.iter().filter(|name| is_wanted(name)) {
            let path = format!("{place}/{name}");
            let meta = root.meta(&path)?;
            if meta.is_some_and(|meta| meta.is_dir && meta.uid == 0) {
                out.push(path);
            }
        }
    }
    Ok(out)
}

/// The start of the names of a unit's private directories: `systemd-private-<boot>-<unit>-`.
fn prefix(root: &Root, unit: &str) -> Result<String> {
    let boot = root.read_text("/proc/sys/kernel/random/boot_id")?;
    let boot = boot.context("the kernel has no boot id")?;
    Ok(format!(
        "systemd-private-{}-{unit}-",
        boot.trim().replace('-', "")
    ))
}

/// Whether a name is one that systemd gives: the prefix, and random letters and digits.
fn is_private(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|random| {
        random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Whether a name is one that [`keep_private_tmp`] gave for a run.
fn is_kept(name: &str, prefix: &str, run: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(private, end)| {
        let random = end.strip_prefix(run).unwrap_or_default();
        is_private(private, prefix)
            && random.len() == 2 * SUFFIX_BYTES
            && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::{is_kept, is_private};

    #[test]
    fn only_names_that_systemd_gives_are_taken() {
        let prefix = "systemd-private-00ff-shop-web.service-";
        assert!(is_private(&format!("{prefix}aB3xYz"), prefix));
        for rest in [
            "",
            "aB3xY",
            "aB3xYzz",
            "aB3xY ",
            "aB3xY.",
            "x /etc",
            "aB3xYz.1a2b3c4d",
            "\\x20\\x2f",
        ] {
            assert!(!is_private(&format!("{prefix}{rest}"), prefix), "{rest}");
        }
        assert!(!is_private(
            "systemd-private-00ff-shop-api.service-aB3xYz",
            prefix
        ));
    }
    #[test]
    fn kept_names_are_known() {
        let prefix = "systemd-private-00ff-shop-web.service-";
        let name = format!("{prefix}aB3xYz.1a2b3c4d0123456789abcdef");
        assert!(is_kept(&name, prefix, "1a2b3c4d"));
        assert!(!is_kept(&name, prefix, "1a2b3c4e"));
        assert!(!is_kept(
            &format!("{prefix}aB3xYz.1a2b3c4d"),
            prefix,
            "1a2b3c4d"
        ));
        assert!(!is_kept(&format!("{name} /etc"), prefix, "1a2b3c4d"));
    }
}
