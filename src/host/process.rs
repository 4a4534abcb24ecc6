//! The processes of this host, as the kernel shows them in proc(5).

use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// One process and the files that tie it to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// `comm`.
    pub command: String,
    /// Device and inode of its working directory, `exe` and mapped files, each once.
    pub files: Vec<(u64, u64)>,
    /// False when the kernel would not show them.
    pub seen: bool,
}

/// Every process but kernel threads.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn processes() -> Result<Vec<Process>> {
    use std::os::unix::fs::MetadataExt as _;
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc").context("listing `/proc`")? {
        let entry = entry.context("listing `/proc`")?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let Ok(command) = fs::read_to_string(dir.join("comm")) else {
            continue; // It has ended.
        };
        let cmdline = fs::read(dir.join("cmdline")).unwrap_or_default();
        if cmdline.is_empty() {
            continue; // A kernel thread or a zombie.
        }
        let mut seen = true;
        let mut files = Vec::new();
        for link in ["cwd", "exe"] {
            match fs::metadata(dir.join(link)) {
                Ok(meta) => files.push((meta.dev(), meta.ino())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) => seen = false,
            }
        }
        match fs::read_to_string(dir.join("maps")) {
            Ok(maps) => files.extend(maps.lines().filter_map(mapped)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => seen = false,
        }
        files.sort_unstable();
        files.dedup();
        out.push(Process {
            pid,
            command: command.trim().to_owned(),
            files,
            seen,
        });
    }
    Ok(out)
}

/// Device and inode of a line of `/proc/PID/maps`.
fn mapped(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace().skip(3);
    let (major, minor) = words.next()?.split_once(':')?;
    let major = u64::from_str_radix(major, 16).ok()?;
    let minor = u64::from_str_radix(minor, 16).ok()?;
    let inode: u64 = words.next()?.parse().ok()?;
    (inode != 0).then(|| (nix::sys::stat::makedev(major, minor), inode))
}
