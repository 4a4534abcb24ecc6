//! What this host lacks to enforce a directive.

use crate::host::{self, Host};
use crate::sandbox::probes::{Facility, Probe, introduced_later};

/// Why this host cannot enforce the directives of a probe, if that is known.
pub(super) fn missing(host: &Host, probe: &Probe) -> Option<String> {
    let version = host.systemd.version().ok()?;
    if let Some((name, since)) = introduced_later(probe, version) {
        return Some(format!("systemd has `{name}=` from version {since} on"));
    }
    let built_without = |feature: &str| {
        let is_without = host.systemd.is_built_without(feature).unwrap_or(false);
        is_without.then(|| format!("systemd is built without {feature}"))
    };
    let known = |why: Option<&str>| why.map(str::to_owned);
    match probe.needs {
        Facility::Mounts => known(host::no_mounts()),
        Facility::SystemCallFilter => {
            built_without("SECCOMP").or_else(|| known(host::no_system_call_filter()))
        }
        Facility::PacketFilter => known(no_bpf_programs()),
        Facility::BpfFramework => {
            built_without("BPF_FRAMEWORK").or_else(|| known(no_bpf_programs()))
        }
        Facility::ProcOptions => known(host::no_proc_options().or_else(host::restricted_systemd)),
        Facility::UserNamespaces => {
            known(host::no_user_namespaces().or_else(host::restricted_systemd))
        }
        Facility::Kernel => None,
    }
}

/// Why systemd may be unable to load BPF programs.
fn no_bpf_programs() -> Option<&'static str> {
    host::no_packet_filter().or_else(host::restricted_systemd)
}
