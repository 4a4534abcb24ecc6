//! The processes of one unit: how much memory they hold, and whether they accept yet.

use super::systemd::UnitState;
use std::fs;
use std::path::Path;

/// Where the tree of unified control groups is mounted, or what systemd keeps beside it.
const TREES: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
];

/// The processes of a unit, in no order.
fn members(state: &UnitState) -> Vec<u32> {
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

/// Whether a process of the unit waits for connections on the listener that systemd handed to
/// it: the listener is in an epoll set (proc_pid_fdinfo(5)), or a thread is blocked in
/// accept(2) on it (proc_pid_syscall(5)). A server that polls in another way never shows it.
pub fn waits_for_connections(state: &UnitState) -> bool {
    let Some(main) = state.main_pid() else {
        return false;
    };
    // The first descriptor that is handed over (sd_listen_fds(3)).
    let Ok(listener) = fs::read_link(format!("/proc/{main}/fd/3")) else {
        return false;
    };
    members(state).into_iter().any(|pid| waits(pid, &listener))
}

fn waits(pid: u32, listener: &Path) -> bool {
    let (mut sockets, mut sets) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
    {
        let Ok(entry) = entry else { continue };
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let number = entry.file_name().to_string_lossy().into_owned();
        if target == listener {
            sockets.push(number);
        } else if target.as_os_str() == "anon_inode:[eventpoll]" {
            sets.push(number);
        }
    }
    let watched = |set: &String| {
        let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{set}")).unwrap_or_default();
        let members = text.lines().filter_map(|line| line.strip_prefix("tfd:"));
        let mut numbers = members.filter_map(|rest| rest.split_whitespace().next());
        numbers.any(|number| sockets.iter().any(|socket| socket == number))
    };
    sets.iter().any(watched) || blocked(pid, &sockets)
}

/// Numbers of accept(2) and accept4(2).
const ACCEPT: [&str; 2] = if cfg!(target_arch = "x86_64") {
    ["43", "288"]
} else {
    ["202", "242"]
};

fn blocked(pid: u32, sockets: &[String]) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    tasks.flatten().any(|task| {
        let text = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        let mut words = text.split_whitespace();
        let call = words.next().unwrap_or_default();
        let first = words.next().and_then(|word| word.strip_prefix("0x"));
        let first = first.and_then(|hex| u64::from_str_radix(hex, 16).ok());
        ACCEPT.contains(&call)
            && first.is_some_and(|fd| sockets.iter().any(|socket| *socket == fd.to_string()))
    })
}
