//! Every process with its user and its unit.

use super::cgroup::unit_in_groups;
use super::process::{SYSTEMD_PID, pids};
use anyhow::{Result, bail};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A process, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessOrigin {
    /// Its id.
    pub pid: u32,
    /// The user that it acts as.
    pub uid: u32,
    /// The unit of systemd in whose control group it is (proc_pid_cgroup(5)).
    pub unit: Option<String>,
    /// Whether a person started it in a session (systemd-logind(8)).
    pub is_of_session: bool,
}

/// The processes of the host, except for those that have ended meanwhile.
///
/// # Errors
/// When this process may not see those of other users (proc(5), "hidepid").
pub fn process_origins() -> Result<Vec<ProcessOrigin>> {
    if fs::read_to_string(format!("/proc/{SYSTEMD_PID}/cgroup")).is_err() {
        bail!("the processes of other users are hidden from this user");
    }
    let origin = |pid: u32| {
        let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        Some(ProcessOrigin {
            pid,
            uid,
            unit: unit_in_groups(&groups).map(str::to_owned),
            is_of_session: groups.contains("/user.slice/"),
        })
    };
    Ok(pids()?.into_iter().filter_map(origin).collect())
}

/// The name of a process, its program and its arguments. Empty where they are hidden, or when it has ended.
pub fn command_of(pid: u32) -> (String, Vec<String>) {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let exe = exe.map(|exe| exe.to_string_lossy().into_owned());
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty());
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    (
        comm.trim().to_owned(),
        exe.into_iter().chain(words).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::{command_of, process_origins};

    #[test]
    fn this_process_is_one_of_them() {
        let all = process_origins().unwrap();
        assert!(all.iter().any(|one| one.pid == std::process::id()));
        let (_, words) = command_of(std::process::id());
        assert!(words.len() > 1, "{words:?}");
        assert_eq!(command_of(u32::MAX), (String::new(), Vec::new()));
    }
}
