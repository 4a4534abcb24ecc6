//! Network namespaces: reaching a server that has a network of its own.

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use std::fs::File;

/// Runs `then` on a thread in the network namespace of a process (setns(2)). The network of this
/// thread does not change.
///
/// # Errors
/// When the process has ended or this process is not root.
pub fn in_network_of<T: Send>(pid: u32, then: impl FnOnce() -> T + Send) -> Result<T> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).with_context(|| format!("opening `{path}`"))?;
    let enter = || -> Result<T> {
        setns(&namespace, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("entering the network of process {pid}"))?;
        Ok(then())
    };
    std::thread::scope(|scope| scope.spawn(enter).join())
        .map_err(|_| anyhow!("a check panicked in the network of process {pid}"))?
}
