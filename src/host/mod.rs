//! The door: the only module that touches files, processes, the clock and the environment.
//!
//! `clippy.toml` refuses those calls everywhere else. Every path is relative to a [`Root`], so
//! that `--root DIR` works for all of it, and links in that tree do not lead to the running host.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the door that the lint sends everybody to"
)]

mod acceptors;
mod activation;
mod batch;
mod cgroup;
mod clock;
mod connect;
mod disk;
pub mod files;
mod flush;
pub mod journald;
mod lock;
mod network;
mod process;
mod relay;
mod resolve;
mod root;
mod runner;
mod signals;
mod systemd;
mod temp;
mod tmpfiles;
mod unit_state;
mod users;

pub use acceptors::acceptors;
pub use activation::{ActivatedSockets, Stream, notify_ready, notify_stopping};
pub use batch::Batch;
pub use cgroup::{members, memory_available, memory_of};
pub use clock::{Deadline, Stopwatch, nanoseconds, now, pause, stamp, wait_until};
pub use connect::{Connection, is_taken};
pub use flush::Flush;
pub use lock::{Holder, Lock, LockError};
pub use network::{free_port, in_network_of};
pub use process::{Process, has_ended, is_hidden, is_running, pid, processes, release_of};
pub use relay::relay;
pub use root::{Meta, Root};
pub use runner::{Command, Output};
pub use signals::{SignalGuard, hold_signals, interrupted, interruptible};
pub use systemd::Systemd;
pub use temp::temp_target;
pub use tmpfiles::Mismatch;
pub use unit_state::UnitState;
pub use users::User;

use anyhow::Result;
use std::path::{Path, PathBuf};

/// The host that a command works on.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where `/` is.
    pub root: Root,
    /// The service manager: running, or absent under `--root`.
    pub systemd: Systemd,
}

impl Host {
    /// The running host, or an offline tree when `dir` is given.
    pub fn new(dir: Option<&Path>) -> Self {
        let offline = dir.is_some_and(|dir| dir != Path::new("/"));
        let root = Root::new(dir.unwrap_or(Path::new("/")));
        Self {
            systemd: Systemd::new(offline),
            root,
        }
    }

    /// Whether this is a tree and not the running host.
    pub fn is_offline(&self) -> bool {
        self.systemd.is_offline()
    }
}

/// Whether the process acts as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Takes away what the caller's umask would: modes are part of what is deployed.
pub fn plain_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}

/// An environment variable as text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The directory that relative arguments are relative to.
///
/// # Errors
/// When it has gone.
pub fn working_directory() -> Result<PathBuf> {
    Ok(std::env::current_dir()?)
}

/// Reads a file of the user's, by a path as typed.
///
/// # Errors
/// The operating system's, without the path: the caller names it.
pub fn read_user_file(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// Random bytes of the kernel, as hexadecimal text of twice the length.
///
/// # Errors
/// When the kernel's source cannot be read.
pub fn random_hex(bytes: usize) -> Result<String> {
    use std::io::Read as _;
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}
