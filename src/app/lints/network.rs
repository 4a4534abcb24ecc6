//! Addresses that a service opens, and who opens them.

use super::case::{Case, Message};
use crate::app::listen::Listen;
use crate::app::service::Socket;

/// The right to open ports below 1024 (capabilities(7)).
const BIND_SERVICE: &str = "CAP_NET_BIND_SERVICE";

/// Exceptions about ports, which would not do the same behind a proxy.
const OF_PORTS: [&str; 2] = ["bind-any", "low-port"];

pub(super) fn public_address(case: &Case<'_>) -> Vec<Message> {
    if !case.service.sandbox.allow_from.is_empty() {
        return Vec::new();
    }
    let public = case
        .service
        .listen
        .iter()
        .filter(|listen| listen.is_public());
    let message = |listen: &Listen| {
        (
            format!("listens on `{listen}`: reachable from the network"),
            "write `127.0.0.1:…` to accept local connections only, or list in `sandbox.allow-from` who can connect",
        )
    };
    public.map(message).collect()
}

/// Only a process with the right may open a port below 1024. systemd has it, and a service does not.
pub(super) fn low_port(case: &Case<'_>) -> Vec<Message> {
    let service = case.service;
    let has_right = case
        .shape
        .capabilities
        .iter()
        .any(|one| one == BIND_SERVICE);
    if service.socket == Socket::Activate || has_right {
        return Vec::new();
    }
    let low = service
        .listen
        .iter()
        .find(|listen| listen.port().is_some_and(|port| port < 1024));
    let message = |listen: &Listen| {
        (
            format!("opens `{listen}` itself, and a port below 1024 needs a right that it lacks"),
            "let systemd open the port: `socket = \"activate\"`; or write `sandbox.allow = [\"low-port\"]`",
        )
    };
    low.map(message).into_iter().collect()
}

/// A proxy forwards to one address, and its server shares no network with the host.
pub(super) fn direct_socket(case: &Case<'_>) -> Vec<Message> {
    let sandbox = &case.service.sandbox;
    let [listen @ Listen::Tcp(_)] = case.service.listen.as_slice() else {
        return Vec::new();
    };
    let needs_host =
        sandbox.host_network().is_some() || OF_PORTS.iter().any(|name| sandbox.allows(name));
    if case.service.socket != Socket::Direct || listen.is_public() || needs_host {
        return Vec::new();
    }
    vec![(
        format!("opens `{listen}` itself, so it has the network of the host"),
        "if it only answers requests, write `socket = \"proxy\"`: it then shares a network with its proxy alone, and an upgrade loses no request",
    )]
}
