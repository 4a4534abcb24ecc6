//! What a process in a sandbox should not reach, as the first process of the host sees it.
//!
//! `robotctl` itself may run in a sandbox, so that its own directories and its own network show nothing.

use super::network::in_network_of;
use super::process::SYSTEMD_PID;
use anyhow::{Context as _, Result};
use nix::ifaddrs::getifaddrs;
use std::fs;
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Devices that no service needs by default. Opening one does nothing, and every user may open the first two.
const DEVICES: [&str; 7] = [
    "/dev/fuse",
    "/dev/net/tun",
    "/dev/kvm",
    "/dev/kmsg",
    "/dev/mem",
    "/dev/console",
    "/dev/sda",
];

/// Device and inode of a directory of the host, as `DEVICE:INODE`; `None` when there is none.
pub fn directory_inode(path: &str) -> Option<String> {
    let meta = fs::metadata(format!("/proc/{SYSTEMD_PID}/root{path}")).ok()?;
    let inode = format!("{}:{}", meta.dev(), meta.ino());
    meta.is_dir().then_some(inode)
}

/// The inode of a namespace of the host, such as `user` (namespaces(7)); `None` when the kernel has none.
pub fn namespace_inode(kind: &str) -> Option<u64> {
    let meta = fs::metadata(format!("/proc/{SYSTEMD_PID}/ns/{kind}")).ok()?;
    Some(meta.ino())
}

/// Devices of the host that no service needs by default, by their paths.
pub fn unusual_devices() -> impl Iterator<Item = &'static str> {
    let exists = |path: &&str| {
        let path = format!("/proc/{SYSTEMD_PID}/root{path}");
        fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_symlink())
    };
    DEVICES.into_iter().filter(exists)
}

/// The addresses of the host.
///
/// # Errors
/// When the kernel does not list them.
pub fn host_addresses() -> Result<Vec<IpAddr>> {
    let list = || -> Result<Vec<IpAddr>> {
        let addresses = getifaddrs().context("listing the addresses of the host")?;
        let addresses = addresses.filter_map(|one| {
            let address = one.address?;
            let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
        });
        Ok(addresses.collect())
    };
    in_network_of(SYSTEMD_PID, list)?
}

/// Opens a socket without a file in the network of the host (unix(7), "abstract"). It lives as long as the
/// value.
///
/// # Errors
/// When another process has this name, or this process is not root.
pub fn listen_in_host_network(name: &str) -> Result<UnixListener> {
    let listen = || -> Result<UnixListener> {
        let address = SocketAddr::from_abstract_name(name)?;
        Ok(UnixListener::bind_addr(&address)?)
    };
    in_network_of(SYSTEMD_PID, listen)?.context("opening a socket in the network of the host")
}
