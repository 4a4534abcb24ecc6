//! What this process got from its caller: rights, umask, environment, working directory.

use anyhow::{Context as _, Result};
use nix::sys::stat::{Mode, umask};
use std::io::Read as _;
use std::path::PathBuf;

/// Whether the process acts as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Replaces the caller's umask with 0022, because the modes of files are part of a release.
pub fn set_standard_umask() {
    umask(Mode::from_bits_truncate(0o022));
}

/// An environment variable as text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The working directory, to which relative arguments are relative.
///
/// # Errors
/// When it was removed.
pub fn working_directory() -> Result<PathBuf> {
    std::env::current_dir().context("reading the working directory")
}

/// The name of this host (uname(2)).
pub fn node_name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// Random bytes from the kernel, as hexadecimal text of twice the length.
///
/// # Errors
/// When they cannot be read.
pub fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}
