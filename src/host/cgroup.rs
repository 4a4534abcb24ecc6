//! The processes of one unit, and how much memory they hold.

use super::unit_state::UnitState;
use std::fs;

/// Where the tree of unified control groups is mounted, or what systemd keeps beside it.
const TREES: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
];

/// The processes of a unit, in no order.
pub fn members(state: &UnitState) -> Vec<u32> {
    let group = state.get("ControlGroup");
    if group.is_empty() {
        return state.main_pid().into_iter().collect();
    }
    let texts = TREES.iter().filter_map(|tree| {
        let text = fs::read_to_string(format!("{tree}{group}/cgroup.procs"));
        text.ok().filter(|text| !text.is_empty())
    });
    let text = texts.into_iter().next().unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Bytes that a unit holds and cannot share with a second copy of itself.
pub fn memory_of(state: &UnitState) -> u64 {
    // Systemd prints the largest number where the controller is missing.
    if let Ok(bytes) = state.get("MemoryCurrent").parse::<u64>()
        && bytes != u64::MAX
    {
        return bytes;
    }
    let own = |pid: &u32| kibibytes(&format!("/proc/{pid}/status"), "RssAnon:");
    members(state).iter().filter_map(own).sum()
}

/// Bytes that could be had without swapping; `None` when the kernel does not say.
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
