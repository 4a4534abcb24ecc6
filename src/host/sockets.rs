//! Which ports and addresses of the host are in use, and by which process.

use super::inspect::open_files;
use super::process::{SYSTEMD_PID, pids};
use anyhow::{Context, Result};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// The state of a listening socket (proc_pid_net(5)).
const LISTEN: &str = "0A";
/// The state of an open connection.
const ESTABLISHED: &str = "01";

/// Whether a server can listen on an address (bind(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// It can, as far as this user can know.
    Free,
    /// A server already listens there.
    Taken,
    /// No interface of the host has the address.
    NoAddress,
    /// The host does not have the protocol: IPv6 is disabled.
    NoProtocol,
}

impl Binding {
    /// Tries to listen on an address.
    pub fn of(address: SocketAddr) -> Self {
        let Err(error) = TcpListener::bind(address) else {
            return Self::Free;
        };
        match (error.kind(), error.raw_os_error()) {
            (ErrorKind::AddrInUse, _) => Self::Taken,
            (ErrorKind::AddrNotAvailable, _) => Self::NoAddress,
            // In a sandbox, this process may lack the protocol that the host has.
            (_, Some(code)) if code == Errno::EAFNOSUPPORT as i32 && lacks_ipv6(address) => {
                Self::NoProtocol
            }
            // Any other error shows when the server starts.
            _ => Self::Free,
        }
    }
}

/// Whether an address needs IPv6, and the kernel has none.
fn lacks_ipv6(address: SocketAddr) -> bool {
    address.is_ipv6() && !Path::new("/proc/sys/net/ipv6").exists()
}

/// Whether a server already listens on an address.
pub fn is_taken(address: SocketAddr) -> bool {
    Binding::of(address) == Binding::Taken
}

/// Whether a socket of IPv6 does not accept IPv4, unless its program says otherwise (ipv6(7),
/// `bindv6only`).
pub fn is_ipv6_only() -> bool {
    let text = fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
    text.is_ok_and(|text| text.trim() == "1")
}

/// A loopback port that is free now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    let address = listener.local_addr().context("looking for a free port")?;
    Ok(address.port())
}

/// Inodes of the sockets that listen on a TCP port of the host (proc_pid_net(5)).
pub fn listening_inodes(port: u16) -> Vec<u64> {
    inodes(|number, state| number == Some(port) && state == LISTEN)
}

/// The number of TCP connections of processes in the network of the host; `None` when the kernel does
/// not show the files of one of them to this user.
pub fn connections(pids: &[u32]) -> Option<usize> {
    let established = inodes(|_, state| state == ESTABLISHED);
    let established: BTreeSet<String> = names(&established).into_iter().collect();
    // Processes may share a connection.
    let mut found = BTreeSet::new();
    for pid in pids {
        fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        for (_, target) in open_files(*pid, usize::MAX) {
            found.extend(target.into_string().ok());
        }
    }
    Some(found.intersection(&established).count())
}

/// Inodes of TCP sockets by their local port and state.
///
/// The host's network is that of its first process. This process may be in a sandbox with another.
fn inodes(wanted: impl Fn(Option<u16>, &str) -> bool) -> Vec<u64> {
    let mut out = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        let text = fs::read_to_string(format!("/proc/1/{table}"))
            .or_else(|_| fs::read_to_string(format!("/proc/{table}")))
            .unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) =
                (words.get(1), words.get(3), words.get(9))
            else {
                continue;
            };
            let number = local
                .rsplit_once(':')
                .and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok());
            if wanted(number, state) {
                out.extend(inode.parse::<u64>());
            }
        }
    }
    out
}

/// A process that has one of these sockets open.
pub fn socket_owner(inodes: &[u64]) -> Option<u32> {
    let names = names(inodes);
    pids().ok()?.into_iter().find(|pid| has_open(*pid, &names))
}

/// The processes that have one of these sockets open; `None` when this process may not see what the
/// others have open. Root without `CAP_SYS_PTRACE`, as in a sandbox, can list descriptors and cannot
/// read what they are (proc_pid_fd(5)).
pub(super) fn socket_holders(inodes: &[u64]) -> Option<Vec<u32>> {
    let mut open = fs::read_dir(format!("/proc/{SYSTEMD_PID}/fd")).ok()?;
    let first = open.next()?.ok()?;
    fs::read_link(first.path()).ok()?;
    let names = names(inodes);
    let mut holders = pids().ok()?;
    holders.retain(|pid| has_open(*pid, &names));
    Some(holders)
}

fn names(inodes: &[u64]) -> Vec<String> {
    let names = inodes.iter().map(|inode| format!("socket:[{inode}]"));
    names.collect()
}

fn has_open(pid: u32, names: &[String]) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    open.into_iter().flatten().flatten().any(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        names.iter().any(|name| target.as_os_str() == name.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::{Binding, connections, listening_inodes, socket_holders, socket_owner};
    use std::net::TcpListener;

    #[test]
    fn an_address_says_why_a_server_cannot_listen_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        assert_eq!(Binding::of(taken), Binding::Taken);
        // An address for documentation (RFC 5737).
        let absent = "192.0.2.1:8080".parse().unwrap();
        assert_eq!(Binding::of(absent), Binding::NoAddress);
    }

    #[test]
    fn connections_of_a_process_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pid = std::process::id();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _server = listener.accept().unwrap();
        // Other tests of this process have connections, too.
        let count = connections(&[pid, pid]).unwrap();
        assert!(count >= 2, "{count}");
    }

    #[test]
    fn the_process_that_listens_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = listening_inodes(listener.local_addr().unwrap().port());
        assert!(!sockets.is_empty());
        assert_eq!(socket_owner(&sockets), Some(std::process::id()));
        if let Some(holders) = socket_holders(&sockets) {
            assert_eq!(holders, [std::process::id()]);
        }
    }
}
