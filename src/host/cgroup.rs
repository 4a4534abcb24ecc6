//! The processes of a unit, and the memory that they use.

use super::systemd::UnitStatus;
use std::fs;

/// Where the unified control group hierarchy is mounted, or the one that systemd uses beside it.
const TREES: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
];

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
    path_in_unit(&groups, unit).map(str::to_owned)
}

/// Whether a unit is up with a process of its own, and not with one in a scope or a dummy process.
pub fn runs_its_own_process(state: &UnitStatus) -> bool {
    let is_own = |pid: u32| is_in_unit(pid, &state.id);
    state.is_active() && state.main_pid.is_some_and(is_own)
}

fn path_in_unit<'a>(groups: &'a str, unit: &str) -> Option<&'a str> {
    let mut paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.find(|path| path.split('/').any(|part| part == unit))
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
    use super::path_in_unit;

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
            ("0::/init.scope\n", false),
            ("", false),
        ] {
            assert_eq!(path_in_unit(groups, unit).is_some(), is_in, "{groups}");
        }
    }
}
