//! What is tried for a group of services.

use super::groups::Group;
use crate::app::{App, Service};
use crate::host;
use crate::sandbox::prefix::Prefix;
use crate::sandbox::probes::{Argument, Expected, PROBES, Probe};
use crate::sandbox::shape::Shape;
use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr};

/// An address of documents (RFC 5737), for a host without another one. No host answers there.
const OF_DOCUMENTS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A probe that is tried for a group, and the attempt as `NAME=ARGUMENT`, or why it cannot be made.
pub(super) struct Planned {
    pub(super) probe: &'static Probe,
    pub(super) expected: Expected,
    pub(super) attempt: Result<String, &'static str>,
}

/// What is tried for a group. `listener` is the name of a socket in the network of the host.
pub(super) fn plan(app: &App, group: &Group, listener: &str) -> Result<Vec<Planned>> {
    let shape = app.shape(&group.subject.service);
    let mut planned = Vec::new();
    for probe in PROBES {
        let expected = (probe.expected)(&shape);
        if expected == Expected::Irrelevant {
            continue;
        }
        let argument = argument(app, &group.subject.service, &shape, probe, listener)?;
        let attempt = argument.map(|argument| match argument.as_str() {
            "" => probe.attempt.to_owned(),
            argument => format!("{}={argument}", probe.attempt),
        });
        planned.push(Planned {
            probe,
            expected,
            attempt,
        });
    }
    Ok(planned)
}

/// What an attempt needs to know, or why it cannot be made on this host.
fn argument(
    app: &App,
    service: &Service,
    shape: &Shape,
    probe: &Probe,
    listener: &str,
) -> Result<Result<String, &'static str>> {
    Ok(match probe.argument {
        Argument::None => Ok(String::new()),
        Argument::Text(text) => Ok(text.to_owned()),
        Argument::Inode(path) => host::directory_inode(path)
            .map(|inode| format!("{path}@{inode}"))
            .ok_or("this host has no such directory"),
        Argument::Namespace(kind) => host::namespace_inode(kind)
            .map(|inode| format!("{kind}@{inode}"))
            .ok_or("the kernel has no such namespace"),
        Argument::Listener => Ok(listener.to_owned()),
        Argument::Directory => {
            let mut directories = app.directories(service).into_iter();
            let state = directories.find(|(stem, _)| *stem == "State");
            Ok(state.map_or_else(|| "/tmp".to_owned(), |(_, path)| path))
        }
        Argument::Device => {
            let is_listed = |device: &&str| {
                let mut lines = shape.devices.iter();
                lines.any(|line| line.split(' ').next() == Some(*device))
            };
            let mut devices = host::unusual_devices();
            devices
                .find(|device| !is_listed(device))
                .map(str::to_owned)
                .ok_or("this host has no such device")
        }
        Argument::Address => {
            let mut addresses = host::host_addresses()?;
            // A packet that leaves the host would show nothing more.
            addresses.sort_by_key(IpAddr::is_loopback);
            addresses.push(OF_DOCUMENTS);
            let is_listed = |address: &IpAddr| {
                let address = Prefix::host(*address);
                shape.peers.iter().any(|prefix| prefix.covers(&address))
            };
            let mut others = addresses.into_iter().filter(|one| !is_listed(one));
            others
                .find(|one| !is_link_local(one))
                .map(|address| address.to_string())
                .ok_or("this host has no address that is not listed")
        }
    })
}

/// Whether an address is one of several with the same number, each of another interface.
fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

pub(super) fn attempts(planned: &[Planned]) -> Vec<String> {
    let attempts = planned.iter().filter_map(|one| one.attempt.as_ref().ok());
    attempts.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::PROBES;
    use crate::host::is_attempt;

    #[test]
    fn every_probe_makes_a_known_attempt() {
        for probe in PROBES {
            assert!(is_attempt(probe.attempt), "{}", probe.id);
        }
    }
}
