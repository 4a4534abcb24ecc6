//! The checks with a rule of their own: from a unit to a badness.
//!
//! See systemd.exec(5) and systemd.resource-control(5) for the settings.

use super::context::Context;
use super::sets::{Filter, is_loopback};
use super::unit::boolean;

/// root is worst. `nobody` is almost as bad, since unrelated programs share it.
pub(super) fn user(context: &Context<'_>) -> u32 {
    match context.user() {
        Some("nobody") => 9,
        Some(_) => 0,
        None => 10,
    }
}

pub(super) fn groups(context: &Context<'_>) -> u32 {
    u32::from(context.has_any("SupplementaryGroups"))
}

pub(super) fn home(context: &Context<'_>) -> u32 {
    let words = ["read-only", "tmpfs"];
    let value = last_of(context, "ProtectHome", &words);
    match value {
        Some("read-only") => 5,
        Some("tmpfs") => 1,
        Some(value) if boolean(value) == Some(true) => 0,
        _ if context.on("DynamicUser") => 5,
        _ => 10,
    }
}

pub(super) fn system(context: &Context<'_>) -> u32 {
    if context.on("DynamicUser") {
        return 0;
    }
    match last_of(context, "ProtectSystem", &["full", "strict"]) {
        Some("strict") => 0,
        Some("full") => 3,
        Some(value) if boolean(value) == Some(true) => 5,
        _ => 10,
    }
}

/// The last value that is a boolean or one of `words`.
fn last_of<'a>(context: &Context<'a>, key: &str, words: &[&str]) -> Option<&'a str> {
    context.last_where(key, |value| {
        boolean(value).is_some() || words.contains(&value)
    })
}

pub(super) fn root(context: &Context<'_>) -> u32 {
    u32::from(!context.has_own_root())
}

/// Graded by the worst permission bit that is not masked.
pub(super) fn umask(context: &Context<'_>) -> u32 {
    let mask = context.umask();
    let grades = [(0o002, 10), (0o004, 5), (0o020, 2), (0o040, 1)];
    let open = grades.into_iter().find(|(bit, _)| mask & bit == 0);
    open.map_or(0, |(_, badness)| badness)
}

pub(super) fn keyring(context: &Context<'_>) -> u32 {
    let mode = context.choice("KeyringMode", &["inherit", "private", "shared"]);
    u32::from(mode.is_some_and(|mode| mode != "private"))
}

pub(super) fn processes(context: &Context<'_>) -> u32 {
    let words = ["default", "noaccess", "invisible", "ptraceable"];
    match context.choice("ProtectProc", &words) {
        Some("invisible" | "ptraceable") => 0,
        Some("noaccess") => 1,
        _ => 3,
    }
}

pub(super) fn proc_files(context: &Context<'_>) -> u32 {
    let subset = context.choice("ProcSubset", &["all", "pid"]);
    u32::from(subset != Some("pid"))
}

pub(super) fn notify(context: &Context<'_>) -> u32 {
    let access = context.choice("NotifyAccess", &["none", "main", "exec", "all"]);
    u32::from(access == Some("all"))
}

pub(super) fn delegate(context: &Context<'_>) -> u32 {
    u32::from(context.delegates())
}

/// Only `native` is good, even if another word means the same.
pub(super) fn architectures(context: &Context<'_>) -> u32 {
    let words = context.architectures();
    match words.len() {
        0 => 10,
        1 if words.contains("native") => 0,
        _ => 8,
    }
}

/// One allowed call of the group is enough to fail, and slightly better with an allow-list.
pub(super) fn system_calls(filter: &Filter, group: &str) -> u32 {
    if filter.is_off() || !filter.is_allow_list() && filter.passes_any(group) {
        10
    } else if filter.passes_any(group) {
        9
    } else {
        0
    }
}

/// What is still allowed after everything is denied. A custom BPF program counts as good.
pub(super) fn addresses(context: &Context<'_>) -> u32 {
    if context.has_any("IPIngressFilterPath") || context.has_any("IPEgressFilterPath") {
        return 0;
    }
    let denied = context.prefixes("IPAddressDeny");
    let all = |v4: bool| {
        let mut whole = denied.iter().filter(|(_, length)| *length == 0);
        whole.any(|(address, _)| address.is_ipv4() == v4)
    };
    let allowed = context.prefixes("IPAddressAllow");
    match (all(true) && all(false), allowed.is_empty()) {
        (false, _) => 10,
        (true, true) => 0,
        (true, false) if allowed.iter().all(is_loopback) => 2,
        (true, false) => 5,
    }
}

pub(super) fn devices(context: &Context<'_>) -> u32 {
    match (context.closes_devices(), context.lists_devices()) {
        (false, _) => 10,
        (true, true) => 5,
        (true, false) => 0,
    }
}

pub(super) fn ambient(context: &Context<'_>) -> u32 {
    u32::from(context.ambient() != 0)
}
