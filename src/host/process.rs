//! The processes of this host (proc(5)).

use anyhow::{Context, Result};
use rustix::io::Errno;
pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

/// The process id of systemd, which holds the sockets that it passes to services.
pub const SYSTEMD_PID: u32 = 1;

/// A process, with the files that show which release it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// `comm`.
    pub command: String,
    /// Device and inode of its working directory, its program and its mapped files.
    pub files: Vec<(u64, u64)>,
    /// Whether the kernel showed all of them.
    pub is_complete: bool,
}

/// All processes except for kernel threads.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn processes() -> Result<Vec<Process>> {
    use std::os::unix::fs::MetadataExt as _;
    let mut out = Vec::new();
    for pid in pids()? {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let Ok(command) = fs::read_to_string(dir.join("comm")) else {
            continue; // It has ended.
        };
        let cmdline = fs::read(dir.join("cmdline")).unwrap_or_default();
        if cmdline.is_empty() {
            continue; // A kernel thread or a zombie.
        }
        let mut is_complete = true;
        let mut files = Vec::new();
        for link in ["cwd", "exe"] {
            match fs::metadata(dir.join(link)) {
                Ok(meta) => files.push((meta.dev(), meta.ino())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) => is_complete = false,
            }
        }
        match fs::read_to_string(dir.join("maps")) {
            Ok(maps) => files.extend(maps.lines().filter_map(mapped)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => is_complete = false,
        }
        files.sort_unstable();
        files.dedup();
        out.push(Process {
            pid,
            command: command.trim().to_owned(),
            files,
            is_complete,
        });
    }
    Ok(out)
}

/// The process ids of all processes and kernel threads.
///
/// # Errors
/// When `/proc` cannot be listed.
pub(super) fn pids() -> Result<Vec<u32>> {
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc").context("listing `/proc`")? {
        let name = entry.context("listing `/proc`")?.file_name();
        out.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(out)
}

/// Device and inode of the file in a line of `/proc/PID/maps`.
fn mapped(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace().skip(3);
    let (major, minor) = words.next()?.split_once(':')?;
    let major = u64::from_str_radix(major, 16).ok()?;
    let minor = u64::from_str_radix(minor, 16).ok()?;
    let inode: u64 = words.next()?.parse().ok()?;
    (inode != 0).then(|| (nix::sys::stat::makedev(major, minor), inode))
}

/// The id of this process.
pub fn pid() -> u32 {
    std::process::id()
}

/// Whether a process is visible.
pub fn is_running(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

/// Whether a process has ended. Unlike [`is_running`], it also sees processes that are hidden.
pub fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).map(nix::unistd::Pid::from_raw);
    pid.is_ok_and(|pid| nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH))
}

/// The parent of a process; `None` when the process has ended.
pub(super) fn parent_of(pid: u32) -> Option<u32> {
    stat_field(pid, PARENT_FIELD)?.parse().ok()
}

/// The number of the parent in `/proc/PID/stat`, from the field after the name (proc_pid_stat(5)).
const PARENT_FIELD: usize = 1;
/// The number of the start time.
const START_FIELD: usize = 19;

/// A field of `/proc/PID/stat`. The name of the process, which may contain anything, comes before.
fn stat_field(pid: u32, index: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    fields.split(' ').nth(index).map(str::to_owned)
}

/// A process. Its start time distinguishes it from a later process with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    pub started: u64,
}

impl ProcessIdentity {
    /// The process that has this id now; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        let started = stat_field(pid, START_FIELD)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends a signal to it. A process that has ended is not an error.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(()) };
        // The descriptor stays that of one process, whatever happens to its id afterwards.
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return Ok(()),
            Err(errno) => return Err(errno).context("opening a process"),
        };
        if !self.is_running() {
            return Ok(());
        }
        match pidfd_send_signal(process, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).context("sending a signal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ProcessIdentity, Signal, mapped, parent_of};

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = ProcessIdentity::of(child.id()).unwrap();
        assert_eq!(parent_of(child.id()), Some(std::process::id()));
        let other = ProcessIdentity {
            started: process.started + 1,
            ..process
        };
        other.signal(Signal::TERM).unwrap();
        assert!(process.is_running() && !other.is_running());
        process.signal(Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(15)
        );
        assert!(!process.is_running());
        process.signal(Signal::TERM).unwrap();
    }

    #[test]
    fn a_mapping_is_a_file() {
        let line = "7f00-7f01 r-xp 00000000 fe:00 1234  /usr/bin/x";
        assert_eq!(mapped(line), Some((nix::sys::stat::makedev(0xfe, 0), 1234)));
        assert_eq!(mapped("7f00-7f01 rw-p 00000000 00:00 0 "), None);
    }
}
