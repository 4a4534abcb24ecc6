//! Whether the kernel enforces the limits and the packet filters of an app.

use crate::app::{App, Service};
use crate::fault::{Fault, Impact};
use crate::host::{Host, MissingFilters, has_controller};
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

/// What systemd sets for the services and the kernel does not enforce. `filters` is asked only if a service needs them.
pub(crate) fn missing_enforcement(
    host: &Host,
    app: &App,
    filters: impl FnOnce(&Host) -> MissingFilters,
) -> Vec<Fault> {
    if host.is_offline() {
        return Vec::new();
    }
    let mut faults = missing_controllers(app, &has_controller);
    let sends = with(app, &|service| is_open(app, service));
    let opens = with(app, &|service| !service.sandbox.devices.is_empty());
    if !sends.is_empty() || !opens.is_empty() {
        let filters = filters(host);
        faults.extend(filters.packets.and_then(|why| unfiltered(&sends, why)));
        faults.extend(filters.devices.and_then(|why| all_devices(&opens, why)));
    }
    faults
}

/// The services of an app that are meant.
fn with<'a>(app: &'a App, is_meant: &dyn Fn(&Service) -> bool) -> Vec<&'a Service> {
    let services = app.services.iter();
    services.filter(|service| is_meant(service)).collect()
}

fn names(services: &[&Service]) -> String {
    let names = services.iter().map(|service| format!("`{}`", service.name));
    names.collect::<Vec<_>>().join(", ")
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

/// Whether only a packet filter keeps a service from other addresses. Without a network of the host, there is nothing
/// to filter.
fn is_open(app: &App, service: &Service) -> bool {
    let network = app.shape(service).network;
    !matches!(network, Network::None | Network::Namespace | Network::Host)
        || !service.clients().is_empty()
}

/// What these services can do without a packet filter.
fn unfiltered(services: &[&Service], why: &str) -> Option<Fault> {
    if services.is_empty() {
        return None;
    }
    // The manifest says who may connect to a public address, and now everybody can.
    let is_public = services.iter().any(|one| !one.clients().is_empty());
    Some(Fault::new(
        match is_public {
            true => Impact::Minor,
            false => Impact::Harmless,
        },
        format!(
            "no packet filter limits {}, which can exchange packets with every address: {why}",
            names(services)
        ),
        "use a firewall of the host, or a host on which systemd can filter packets",
    ))
}

/// What these services can do without a filter of devices.
fn all_devices(services: &[&Service], why: &str) -> Option<Fault> {
    (!services.is_empty()).then(|| {
        let message = format!(
            "nothing limits {} to the devices in `devices`: {why}",
            names(services)
        );
        let fix =
            "rely on the modes of the devices, or use a host on which systemd can filter them";
        Fault::new(Impact::Harmless, message, fix)
    })
}
