//! Which ports and addresses of the host are in use, and by which process.

use super::inspect::open_files;
use super::process::{SYSTEMD_PID, pids};
use anyhow::{Context, Result};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

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
pub(super) fn listening_inodes(port: u16) -> Vec<u64> {
    inodes(|number, state| number == port && state == LISTEN)
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
fn inodes(wanted: impl Fn(u16, &str) -> bool) -> Vec<u64> {
    let rows = rows().into_iter();
    let rows = rows.filter(|row| wanted(row.local.port(), &row.state));
    rows.map(|row| row.inode).collect()
}

/// A TCP socket that waits for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListeningSocket {
    /// Its address.
    pub address: SocketAddr,
    /// Its inode, which identifies it.
    pub inode: u64,
}

/// All TCP sockets of the host that wait for connections.
pub fn listening_sockets() -> Vec<ListeningSocket> {
    let rows = rows().into_iter().filter(|row| row.state == LISTEN);
    let socket = |row: Row| ListeningSocket {
        address: row.local,
        inode: row.inode,
    };
    rows.map(socket).collect()
}

/// The addresses on which processes listen that have one network, which may be another than that of the host.
pub fn addresses_of(pids: &[u32]) -> Vec<SocketAddr> {
    let Some(pid) = pids.first() else {
        return Vec::new();
    };
    let rows = rows_of(&format!("/proc/{pid}/net"));
    let rows: Vec<Row> = rows.into_iter().filter(|row| row.state == LISTEN).collect();
    let inodes: Vec<u64> = rows.iter().map(|row| row.inode).collect();
    let holders = holders_by_socket(&inodes).unwrap_or_default();
    let is_own = |row: &&Row| {
        let of_row = holders.get(&row.inode);
        of_row.is_some_and(|all| all.iter().any(|pid| pids.contains(pid)))
    };
    rows.iter().filter(is_own).map(|row| row.local).collect()
}

/// A line of `/proc/PID/net/tcp`.
struct Row {
    local: SocketAddr,
    state: String,
    inode: u64,
}

/// All TCP sockets of the host.
///
/// The host's network is that of its first process. This process may be in a sandbox with another.
fn rows() -> Vec<Row> {
    match fs::File::open("/proc/1/net/tcp") {
        Ok(_) => rows_of("/proc/1/net"),
        Err(_) => rows_of("/proc/net"),
    }
}

/// All TCP sockets of the network that a directory of `/proc` shows.
fn rows_of(dir: &str) -> Vec<Row> {
    let mut out = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("{dir}/{table}")).unwrap_or_default();
        out.extend(text.lines().skip(1).filter_map(row));
    }
    out
}

fn row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace().skip(1);
    let (ip, port) = words.next()?.split_once(':')?;
    let state = words.nth(1)?.to_owned();
    let inode = words.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let local = SocketAddr::new(ip_in_hex(ip)?, port);
    Some(Row {
        local,
        state,
        inode,
    })
}

/// An IP address as the kernel prints it: its 32-bit words, each as a number of this machine.
fn ip_in_hex(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(8 * at..8 * at + 8)?, 16).ok();
    match text.len() {
        8 => Some(IpAddr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
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
    if !sees_descriptors() {
        return None;
    }
    let names = names(inodes);
    let mut holders = pids().ok()?;
    holders.retain(|pid| has_open(*pid, &names));
    Some(holders)
}

/// The processes that have these sockets open, by inode; `None` as for [`socket_holders`]. It looks at each
/// process once.
pub fn holders_by_socket(inodes: &[u64]) -> Option<BTreeMap<u64, Vec<u32>>> {
    if !sees_descriptors() {
        return None;
    }
    let names = names(inodes);
    let names: BTreeMap<&str, u64> = names
        .iter()
        .map(String::as_str)
        .zip(inodes.iter().copied())
        .collect();
    let mut holders: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for pid in pids().ok()? {
        for target in open_targets(pid) {
            if let Some(inode) = target.to_str().and_then(|target| names.get(target)) {
                holders.entry(*inode).or_default().push(pid);
            }
        }
    }
    Some(holders)
}

/// Whether this process may see what others have open.
fn sees_descriptors() -> bool {
    let open = fs::read_dir(format!("/proc/{SYSTEMD_PID}/fd"));
    let first = open.ok().and_then(|mut open| open.next()?.ok());
    first.is_some_and(|first| fs::read_link(first.path()).is_ok())
}

/// What each descriptor of a process refers to.
fn open_targets(pid: u32) -> impl Iterator<Item = PathBuf> {
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    let open = open.into_iter().flatten().flatten();
    open.filter_map(|file| fs::read_link(file.path()).ok())
}

fn names(inodes: &[u64]) -> Vec<String> {
    let names = inodes.iter().map(|inode| format!("socket:[{inode}]"));
    names.collect()
}

fn has_open(pid: u32, names: &[String]) -> bool {
    open_targets(pid).any(|target| names.iter().any(|name| target.as_os_str() == name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{
        Binding, ListeningSocket, connections, holders_by_socket, ip_in_hex, listening_inodes,
        listening_sockets, row, socket_holders, socket_owner,
    };
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

    #[test]
    fn every_socket_that_listens_has_its_address_and_its_processes() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue; // This host may have no IPv6.
            };
            let address = listener.local_addr().unwrap();
            let all = listening_sockets();
            let own = all.iter().find(|one| one.address == address);
            let own: &ListeningSocket = own.unwrap();
            if let Some(holders) = holders_by_socket(&[own.inode]) {
                assert_eq!(holders[&own.inode], [std::process::id()]);
            }
        }
    }

    #[test]
    fn a_damaged_line_is_no_socket() {
        assert!(row("").is_none());
        assert!(row("0: 0100007F:1F90 00000000:0000 0A").is_none());
        for text in ["", "7F", "0100007G", "é00007F"] {
            assert_eq!(ip_in_hex(text), None, "{text}");
        }
    }
}
