//! The processes of a unit, and the memory that they use.

use super::process::SYSTEMD_PID;
use super::systemd::UnitStatus;
use std::fs;

/// Where the unified control group hierarchy is mounted, or the one that systemd uses beside it.
const TREES: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
];

/// The control group of systemd itself (systemd.special(7), "init.scope").
const OF_SYSTEMD: &str = "/init.scope";
/// How the names of units end that have processes (systemd.unit(5)).
const UNIT_SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// The processes of a unit, in no particular order.
pub fn members(state: &UnitStatus) -> Vec<u32> {
    match &state.control_group {
        Some(group) => members_of(group),
        None => state.main_pid.into_iter().collect(),
    }
}

/// The processes in the control group of a process, with it. None when it has ended.
pub fn members_with(pid: u32) -> Vec<u32> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let all = paths.map(members_of);
    // Only systemd's own hierarchies have the processes of one unit.
    all.into_iter()
        .find(|pids| pids.contains(&pid))
        .unwrap_or_default()
}

/// The processes in a control group; none when it does not exist.
pub fn members_of(group: &str) -> Vec<u32> {
    let texts = TREES.iter().filter_map(|tree| {
        let text = fs::read_to_string(format!("{tree}{group}/cgroup.procs"));
        text.ok().filter(|text| !text.is_empty())
    });
    let text = texts.into_iter().next().unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Whether a unit has control groups of its own inside its own.
pub fn has_inner_groups(state: &UnitStatus) -> bool {
    let Some(group) = &state.control_group else {
        return false;
    };
    TREES.iter().any(|tree| {
        let entries = fs::read_dir(format!("{tree}{group}")).into_iter().flatten();
        let mut types = entries.filter_map(|entry| entry.ok()?.file_type().ok());
        types.any(|kind| kind.is_dir())
    })
}

/// Whether a process belongs to a unit, also in a control group that the unit has made (cgroups(7)).
pub fn is_in_unit(pid: u32, unit: &str) -> bool {
    group_in_unit(pid, unit).is_some()
}

/// The control group of a process, if it is in this unit.
pub fn group_in_unit(pid: u32, unit: &str) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    path_in_unit(&groups, unit, &roots_of_systemd()).map(str::to_owned)
}

/// Whether a unit is up with a process of its own, and not with one in a scope or a dummy process.
pub fn runs_its_own_process(state: &UnitStatus) -> bool {
    let is_own = |pid: u32| is_in_unit(pid, &state.id);
    state.is_active() && state.main_pid.is_some_and(is_own)
}

/// The unit of systemd to which a process belongs, also in a control group that the unit has made.
pub(super) fn unit_of(pid: u32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    unit_in_groups(&groups).map(str::to_owned)
}

/// The unit in the content of `/proc/PID/cgroup` (proc_pid_cgroup(5)).
pub(super) fn unit_in_groups(groups: &str) -> Option<&str> {
    paths_and_units(groups, &roots_of_systemd()).find_map(|(_, unit)| unit)
}

fn path_in_unit<'a>(groups: &'a str, unit: &str, roots: &[String]) -> Option<&'a str> {
    let mut all = paths_and_units(groups, roots);
    all.find(|(_, of)| *of == Some(unit)).map(|(path, _)| path)
}

/// The control groups of a process, and the unit that systemd has made each for.
///
/// Only systemd makes groups in slices. Below the group of a unit that is delegated, such as that of a user's manager,
/// any name can follow, also that of another unit: the first name of a unit counts.
fn paths_and_units<'a>(
    groups: &'a str,
    roots: &[String],
) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.map(|path| {
        // In a container, the groups of systemd are below one that may have such a name too.
        let root = roots
            .iter()
            .find(|root| path.starts_with(&format!("{root}/")));
        let below = path.get(root.map_or(0, String::len)..).unwrap_or_default();
        let is_unit = |part: &&str| UNIT_SUFFIXES.iter().any(|suffix| part.ends_with(suffix));
        (path, below.split('/').find(is_unit))
    })
}

/// The control groups below which systemd makes those of units: where systemd itself is, without its own.
fn roots_of_systemd() -> Vec<String> {
    let groups = fs::read_to_string(format!("/proc/{SYSTEMD_PID}/cgroup")).unwrap_or_default();
    roots_in(&groups)
}

fn roots_in(groups: &str) -> Vec<String> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let roots = paths.filter_map(|path| path.strip_suffix(OF_SYSTEMD));
    roots.map(str::to_owned).collect()
}

/// How many processes of a control group the kernel has killed because memory ran out (cgroups(7),
/// `memory.events`). `None` when the kernel does not say. A unit that restarts gets a new group, which
/// begins at zero.
pub fn oom_kills(state: &UnitStatus) -> Option<u64> {
    let group = state.control_group.as_ref()?;
    let texts = TREES
        .iter()
        .map(|tree| format!("{tree}{group}/memory.events"));
    let mut texts = texts.filter_map(|path| fs::read_to_string(path).ok());
    oom_kills_in(&texts.next()?)
}

fn oom_kills_in(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Whether systemd can limit a resource of services: `memory`, `cpu` or `pids` (cgroups(7)). True when the
/// kernel does not say.
pub fn has_controller(name: &str) -> bool {
    let all = fs::read_to_string(format!("{}/cgroup.controllers", TREES[0]));
    match all {
        Ok(all) => all.split_whitespace().any(|one| one == name),
        // Each controller has a hierarchy of its own.
        Err(_) if fs::exists(format!("{}/systemd", TREES[0])).unwrap_or(false) => {
            let names = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let mut lists = names.lines().filter_map(|line| line.split(':').nth(1));
            lists.any(|list| list.split(',').any(|one| one == name))
        }
        Err(_) => true,
    }
}

/// Why systemd cannot filter what a service sends, receives and opens (systemd.resource-control(5)), if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingFilters {
    /// Packets by their addresses: `IPAddressDeny=`.
    pub packets: Option<&'static str>,
    /// Devices: `DevicePolicy=`.
    pub devices: Option<&'static str>,
}

impl MissingFilters {
    /// What files say. Only an attempt shows the rest.
    pub fn known() -> Self {
        let packets = no_packet_filter();
        Self {
            packets,
            // Without the unified hierarchy, the kernel has a controller for devices.
            devices: packets.filter(|why| *why != NOT_UNIFIED),
        }
    }
}

/// The reason of a host without the unified hierarchy.
const NOT_UNIFIED: &str = "the unified control group hierarchy is not mounted";

/// Why systemd cannot filter the packets of a service by their addresses, if that is known.
fn no_packet_filter() -> Option<&'static str> {
    let reads = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let is_unified = TREES.iter().any(|tree| {
        let file = format!("{tree}/cgroup.controllers");
        fs::exists(file).unwrap_or(false)
    });
    let has_bpf = fs::exists("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap_or(false);
    packet_filter_fault(
        is_unified,
        has_bpf,
        &reads("/proc/1/uid_map"),
        &reads("/proc/1/status"),
    )
}

/// `uid_map` and `status` are those of systemd.
fn packet_filter_fault(
    is_unified: bool,
    has_bpf: bool,
    uid_map: &str,
    status: &str,
) -> Option<&'static str> {
    /// `CAP_SYS_ADMIN` and `CAP_BPF` (capabilities(7)).
    const ONE_OF: [u32; 2] = [21, 39];
    let ids: Vec<&str> = uid_map.split_whitespace().collect();
    // The first user namespace has all ids (user_namespaces(7)).
    let is_first = ids.is_empty() || ids == ["0", "0", "4294967295"];
    let mut lines = status.lines();
    let set = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let may_load = set.is_none_or(|set| ONE_OF.iter().any(|bit| set & (1 << bit) != 0));
    if !is_unified {
        Some(NOT_UNIFIED)
    } else if !has_bpf {
        Some("the kernel has no BPF")
    } else if !is_first || !may_load {
        Some("systemd may not load BPF programs in this container")
    } else {
        None
    }
}

/// The memory in bytes that a second instance of a unit would need. Without the memory controller of
/// control groups, the anonymous memory of its processes.
pub fn memory_of(state: &UnitStatus) -> u64 {
    if let Some(bytes) = state.memory_current {
        return bytes;
    }
    let own = |pid: &u32| kibibytes(&format!("/proc/{pid}/status"), "RssAnon:");
    members(state).iter().filter_map(own).sum()
}

/// The memory in bytes that is available without swapping; `None` when the kernel does not say.
pub fn memory_available() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemAvailable:")
}

/// A line such as `MemAvailable:  1234 kB`, in bytes.
fn kibibytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::{oom_kills_in, packet_filter_fault, path_in_unit, paths_and_units, roots_in};

    #[test]
    fn kills_are_read_from_the_events_of_a_group() {
        let text = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(oom_kills_in(text), Some(2));
        assert_eq!(oom_kills_in("low 0\n"), None);
    }

    #[test]
    fn a_packet_filter_needs_one_hierarchy_bpf_and_the_right_to_load_programs() {
        const ALL: &str = "Name:\tsystemd\nCapEff:\t000001ffffffffff\n";
        const SOME: &str = "CapEff:\t00000000fdecafff\n";
        const NONE: &str = "CapEff:\t0000000000000000\n";
        const FIRST: &str = "         0          0 4294967295\n";
        const INNER: &str = "         0     100000      65536\n";
        for (is_unified, has_bpf, uid_map, status, is_fault) in [
            (true, true, FIRST, ALL, false),
            (true, true, "", "", false),
            (true, true, FIRST, SOME, false),
            (true, true, FIRST, NONE, true),
            (true, true, INNER, ALL, true),
            (true, false, FIRST, ALL, true),
            (false, true, FIRST, ALL, true),
        ] {
            let found = packet_filter_fault(is_unified, has_bpf, uid_map, status);
            assert_eq!(found.is_some(), is_fault, "{found:?}");
        }
    }

    #[test]
    fn a_process_belongs_to_the_unit_that_its_control_group_names() {
        let unit = "shop-web.service";
        for (groups, is_in) in [
            ("0::/system.slice/shop-web.service\n", true),
            (
                "1:name=systemd:/shop.slice/shop-web.service/worker\n0::/\n",
                true,
            ),
            // In another namespace of control groups.
            ("0::/../shop-web.service\n", true),
            ("0::/system.slice/shop-web.service.old\n", false),
            // Another user has made a group with this name.
            (
                "0::/user.slice/user-1.slice/user@1.service/shop-web.service\n",
                false,
            ),
            ("0::/system.slice/other.service/shop-web.service\n", false),
            ("0::/init.scope\n", false),
            ("", false),
        ] {
            assert_eq!(path_in_unit(groups, unit, &[]).is_some(), is_in, "{groups}");
        }
    }

    #[test]
    fn the_unit_of_a_group_is_the_one_for_which_systemd_made_it() {
        let unit = |groups: &'static str, of_systemd: &str| {
            let roots = roots_in(of_systemd);
            paths_and_units(groups, &roots).find_map(|(_, unit)| unit)
        };
        let plain = "0::/init.scope\n";
        for (groups, expected) in [
            (
                "0::/system.slice/shop-web.service\n",
                Some("shop-web.service"),
            ),
            (
                "0::/system.slice/shop-web.service/worker/1\n",
                Some("shop-web.service"),
            ),
            (
                "1:name=systemd:/user.slice/user-0.slice/session-4.scope\n0::/\n",
                Some("session-4.scope"),
            ),
            (
                "0::/user.slice/user-1.slice/user@1.service/app.slice/shop-web.service\n",
                Some("user@1.service"),
            ),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(groups, plain), expected, "{groups}");
        }
        let inner = "0::/system.slice/docker-1.scope/system.slice/shop-web.service\n";
        let of_systemd = "0::/system.slice/docker-1.scope/init.scope\n";
        assert_eq!(unit(inner, of_systemd), Some("shop-web.service"));
        assert_eq!(unit(inner, ""), Some("docker-1.scope"));
    }
}
