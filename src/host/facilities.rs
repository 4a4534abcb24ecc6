//! What the kernel and systemd of this host lack, so that a directive has no effect.

use std::fs;

/// The capability to mount (capabilities(7), `CAP_SYS_ADMIN`).
const SYS_ADMIN: u32 = 21;
/// The first Linux that hides processes for one mount of `/proc` alone (proc(5), "hidepid").
const PROC_OPTIONS: (u32, u32) = (5, 8);

/// Why systemd cannot mount for a service, if that is known.
pub fn no_mounts() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/1/status").unwrap_or_default();
    lacks_capability(&status, SYS_ADMIN).then_some("systemd may not mount in this container")
}

/// Why no system call of a service is filtered, if that is known (seccomp(2)).
pub fn no_system_call_filter() -> Option<&'static str> {
    let actions = fs::exists("/proc/sys/kernel/seccomp/actions_avail");
    (!actions.unwrap_or(true)).then_some("the kernel has no filter of system calls")
}

/// Why `/proc` of a service cannot hide processes, if that is known.
pub fn no_proc_options() -> Option<&'static str> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    is_older(&release, PROC_OPTIONS).then_some("the kernel is older than Linux 5.8")
}

/// Why a service cannot have users of its own, if that is known (user_namespaces(7)).
pub fn no_user_namespaces() -> Option<&'static str> {
    let max = fs::read_to_string("/proc/sys/user/max_user_namespaces");
    let has_none = max.map_or(true, |max| max.trim() == "0");
    has_none.then_some("the kernel allows no user namespaces")
}

/// Why the host may keep systemd from what a directive needs: systemd does not have all rights.
pub fn restricted_systemd() -> Option<&'static str> {
    let reads = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (status, uid_map) = (reads("/proc/1/status"), reads("/proc/1/uid_map"));
    is_restricted(&status, &uid_map)
        .then_some("systemd runs in a container, which does not let it enforce this")
}

/// `status` and `uid_map` are those of systemd.
fn is_restricted(status: &str, uid_map: &str) -> bool {
    let ids: Vec<&str> = uid_map.split_whitespace().collect();
    let is_inner = !ids.is_empty() && ids != ["0", "0", "4294967295"];
    let is_filtered = field(status, "Seccomp:").is_some_and(|mode| mode != "0");
    is_inner || is_filtered || lacks_capability(status, SYS_ADMIN)
}

/// Whether a process with this status lacks a capability.
fn lacks_capability(status: &str, number: u32) -> bool {
    let set = field(status, "CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    set.is_some_and(|set| set & (1 << number) == 0)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// Whether a release such as `6.1.0-18-amd64` is older than a version.
fn is_older(release: &str, than: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    match (number(), number()) {
        (Some(major), Some(minor)) => (major, minor) < than,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_older, is_restricted};

    #[test]
    fn a_kernel_is_compared_by_its_version() {
        for (release, is_older_than) in [
            ("5.7.19\n", true),
            ("4.19.0-26-amd64\n", true),
            ("5.8.0", false),
            ("5.10.0-28-amd64\n", false),
            ("6.1.0", false),
            ("", false),
        ] {
            assert_eq!(is_older(release, (5, 8)), is_older_than, "{release}");
        }
    }

    #[test]
    fn systemd_is_restricted_by_a_filter_a_namespace_or_missing_capabilities() {
        const ALL: &str = "CapEff:\t000001ffffffffff\nSeccomp:\t0\n";
        const FIRST: &str = "         0          0 4294967295\n";
        for (status, uid_map, expected) in [
            (ALL, FIRST, false),
            ("", "", false),
            (ALL, "0 100000 65536\n", true),
            ("CapEff:\t000001ffffffffff\nSeccomp:\t2\n", FIRST, true),
            ("CapEff:\t0000000000000000\nSeccomp:\t0\n", FIRST, true),
        ] {
            assert_eq!(
                is_restricted(status, uid_map),
                expected,
                "{status}{uid_map}"
            );
        }
    }
}
