//! What the kernel shows of the files and system calls of a process (proc(5)). Everything is empty
//! when the process has ended or is hidden.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;

/// The first open file descriptors of a process, at most `max`, with what each refers to, such as
/// `socket:[1234]`.
pub fn open_files(pid: u32, max: usize) -> Vec<(u64, OsString)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    let entries = entries.into_iter().flatten().flatten().take(max);
    let found = entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        Some((number, target.into_os_string()))
    });
    found.collect()
}

/// The first lines, at most `max`, that describe a file descriptor (proc_pid_fdinfo(5)).
///
/// The process stands still while the kernel writes them, so read no more than you need.
pub fn descriptor_info(pid: u32, descriptor: u64, max: usize) -> impl Iterator<Item = String> {
    let file = File::open(format!("/proc/{pid}/fdinfo/{descriptor}"));
    let lines = file
        .into_iter()
        .flat_map(|file| BufReader::new(file).lines());
    lines.take(max).map_while(Result::ok)
}

/// For each thread of a process, the system call in which it is blocked (proc_pid_syscall(5)).
pub fn blocked_calls(pid: u32) -> impl Iterator<Item = String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join("syscall")).ok())
}

/// Memory of a process (proc_pid_mem(5)).
pub fn memory(pid: u32, address: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    let file = File::open(format!("/proc/{pid}/mem")).ok()?;
    file.read_exact_at(&mut bytes, address).ok()?;
    Some(bytes)
}
