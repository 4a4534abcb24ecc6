//! What this host lacks to enforce a directive.

use super::super::denial::missing_filters;
use crate::host::{self, Host, MissingFilters};
use crate::sandbox::directives::UNENFORCED;
use crate::sandbox::in_force::{NEEDS, NotEnforced};
use crate::sandbox::probes::{Facility, Probe, introduced_later};

/// Why this host cannot enforce the directives of a probe, if that is known.
pub(super) fn missing(host: &Host, probe: &Probe) -> Option<String> {
    let version = host.systemd.version().ok()?;
    if let Some((name, since)) = introduced_later(probe, version) {
        return Some(format!("systemd has `{name}=` from version {since} on"));
    }
    // The probe has tried it itself.
    without(host, probe.needs, |_| MissingFilters::known()).or_else(|| {
        let is_of_container = matches!(
            probe.needs,
            Facility::PacketFilter
                | Facility::DeviceFilter
                | Facility::BpfFramework
                | Facility::ProcOptions
                | Facility::UserNamespaces
        );
        let restricted = host::restricted_systemd().filter(|_| is_of_container);
        restricted.map(str::to_owned)
    })
}

/// The directives that this host does not enforce, as far as it is known.
pub(crate) fn not_enforced(host: &Host) -> Vec<NotEnforced> {
    let Ok(version) = host.systemd.version() else {
        return Vec::new();
    };
    let by_facility = NEEDS.iter().filter_map(|(facility, directives)| {
        Some(NotEnforced {
            directives: directives.to_vec(),
            why: without(host, *facility, missing_filters)?,
        })
    });
    let mut all: Vec<NotEnforced> = by_facility.collect();
    for (name, since, why) in UNENFORCED {
        let is_known = all.iter().any(|one| one.directives.contains(name));
        if version < *since && !is_known {
            all.push(NotEnforced {
                directives: vec![name],
                why: (*why).to_owned(),
            });
        }
    }
    all
}

/// Why this host lacks a facility, if that is known.
fn without(
    host: &Host,
    facility: Facility,
    filters: impl Fn(&Host) -> MissingFilters,
) -> Option<String> {
    let built_without = |feature: &str| {
        let is_without = host.systemd.is_built_without(feature).unwrap_or(false);
        is_without.then(|| format!("systemd is built without {feature}"))
    };
    let known = |why: Option<&str>| why.map(str::to_owned);
    match facility {
        Facility::Mounts => known(host::no_mounts()),
        Facility::SystemCallFilter => {
            built_without("SECCOMP").or_else(|| known(host::no_system_call_filter()))
        }
        Facility::PacketFilter => known(filters(host).packets),
        Facility::DeviceFilter => known(filters(host).devices),
        Facility::BpfFramework => {
            built_without("BPF_FRAMEWORK").or_else(|| known(filters(host).packets))
        }
        Facility::ProcOptions => known(host::no_proc_options()),
        Facility::UserNamespaces => known(host::no_user_namespaces()),
        Facility::Kernel => None,
    }
}
