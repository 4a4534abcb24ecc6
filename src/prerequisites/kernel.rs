//! Whether the kernel enforces the limits and the packet filters of an app.

use crate::app::{App, Service};
use crate::fault::{Fault, Impact};
use crate::host::{Host, has_controller, no_packet_filter};
use crate::sandbox::shape::Network;

/// A controller of control groups, the directive that needs it, and what to do without it.
const CONTROLLERS: [(&str, &str, &str); 3] = [
    (
        "memory",
        "MemoryMax",
        "add `cgroup_enable=memory` to the command line of the kernel, and boot it again",
    ),
    (
        "pids",
        "TasksMax",
        "boot a kernel with `CONFIG_CGROUP_PIDS`",
    ),
    (
        "cpu",
        "CPUQuota",
        "boot a kernel with `CONFIG_CFS_BANDWIDTH`",
    ),
];

/// What systemd sets for the services and the kernel does not enforce.
pub(crate) fn missing_enforcement(host: &Host, app: &App) -> Vec<Fault> {
    if host.is_offline() {
        return Vec::new();
    }
    let mut faults = missing_controllers(app, &has_controller);
    faults.extend(no_packet_filter().and_then(|why| unfiltered(app, why)));
    faults
}

/// Limits that have no effect. The services run all the same.
fn missing_controllers(app: &App, has: &dyn Fn(&str) -> bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (controller, directive, hint) in CONTROLLERS {
        let is_set = |service: &Service| {
            let lines = service.limits.lines();
            let mut lines = lines.iter();
            lines.any(|(name, value)| *name == directive && value != "infinity")
        };
        if has(controller) || !app.services.iter().any(is_set) {
            continue;
        }
        let message = format!(
            "`{directive}=` has no effect: the kernel has no control group controller `{controller}`"
        );
        faults.push(Fault::new(Impact::Harmless, message, hint));
    }
    faults
}

/// The services that only a packet filter keeps from other addresses, when there is none.
fn unfiltered(app: &App, why: &str) -> Option<Fault> {
    let is_open = |service: &&Service| {
        let network = app.shape(service).network;
        // Without a network of the host, there is nothing to filter.
        !matches!(network, Network::None | Network::Namespace | Network::Host)
            || !service.clients().is_empty()
    };
    let open = app.services.iter().filter(is_open);
    let names: Vec<String> = open.map(|service| format!("`{}`", service.name)).collect();
    if names.is_empty() {
        return None;
    }
    Some(Fault::new(
        Impact::Minor,
        format!(
            "no packet filter limits {}, which can exchange packets with every address: {why}",
            names.join(", ")
        ),
        "use a firewall of the host, or a host on which systemd can filter packets",
    ))
}
