//! Network namespaces: looking at a server that is alone in its own.

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use std::fs::File;

/// Runs `then` on a thread that sees the network of a process (setns(2)); this thread's own
/// network does not change.
///
/// # Errors
/// When the process has ended or root is missing.
pub fn in_network_of<T: Send>(pid: u32, then: impl FnOnce() -> T + Send) -> Result<T> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).with_context(|| format!("opening `{path}`"))?;
    let enter = || -> Result<T> {
        setns(&namespace, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("entering the network of process {pid}"))?;
        Ok(then())
    };
    std::thread::scope(|scope| scope.spawn(enter).join())
        .map_err(|_| anyhow!("a check died in the network of process {pid}"))?
}

/// A loopback port that nobody listens on right now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("looking for a port")?;
    Ok(listener.local_addr().context("looking for a port")?.port())
}
