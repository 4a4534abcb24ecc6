//! Undoing a handover: units go back to the previous release.

use super::handover::{
    Change, drain_all, groups_of, keep_users, move_aside, report, states_of, stop_acceptors, warn,
};
use crate::health;
use crate::host::{Host, ProcessIdentity, UnitStatus, is_in_unit};
use crate::session::Session;
use crate::store::{Handover, HandoverRole, Journal};
use crate::units;
use anyhow::Result;
use std::collections::BTreeSet;

/// Restarts units on the previous release, after a handover that failed or was interrupted at any step.
/// `wrong` are those that run something else. Returns those that it restarted.
///
/// What runs in a unit moves to a scope of its own and drains there, as in a handover. The scope of the
/// previous release, if it still accepts connections, does so until the unit does.
///
/// # Errors
/// When systemd does not answer.
pub(super) fn restore(
    session: &Session<'_>,
    journal: &Journal,
    wrong: &[String],
) -> Result<BTreeSet<String>> {
    let mut restored = BTreeSet::new();
    for entries in by_service(&journal.units.handed_over) {
        let is_wrong = entries.iter().any(|one| wrong.contains(&one.unit));
        if is_wrong && restart_service(session, journal, entries)? {
            restored.extend(entries.iter().map(|one| one.unit.clone()));
        }
        end_scopes(session, entries)?;
    }
    Ok(restored)
}

/// A proxy and its server, or a service alone.
fn by_service(handed_over: &[Handover]) -> impl Iterator<Item = &[Handover]> {
    handed_over
        .chunk_by(|one, next| one.role == HandoverRole::Proxy && next.role == HandoverRole::Proxied)
}

/// Returns false when the socket has failed: it cannot be opened again while a scope has it open, so
/// the scopes are stopped, and the units restart without them.
fn restart_service(session: &Session<'_>, journal: &Journal, entries: &[Handover]) -> Result<bool> {
    let host = session.host;
    let units: Vec<String> = entries.iter().map(|one| one.unit.clone()).collect();
    let states = host.systemd.show(&units)?;
    let Some(service) = units.last() else {
        return Ok(false);
    };
    if has_failed_socket(host, &states)? {
        let scopes = old_scopes(host, entries)?.into_iter();
        let names: Vec<String> = scopes.map(|one| one.entry.scope).collect();
        host.systemd.stop(&names)?;
        return Ok(false);
    }
    let running = handovers_of_running(entries, &states);
    let change = Change::new(session, &journal.trace_id);
    let moved = move_aside(&change, vec![Ok(&running)], &states_of(host, &running));
    for moved in moved {
        report(session, service, moved);
    }
    keep_users(session, &running.iter().collect::<Vec<_>>());
    drain_others(session, &old_scopes(host, entries)?);
    host.systemd.reset_failed(&units);
    if let Err(error) = host.systemd.restart(&units) {
        // The other units restart all the same; the checks that follow report these.
        warn(session, "restart-failed", service, &format!("{error:#}"));
    }
    Ok(true)
}

/// A scope with processes of an earlier run of a service.
struct OldScope {
    entry: Handover,
    /// Whether it is that of the previous release.
    is_previous: bool,
    /// Whether its processes end their connections already.
    drains: bool,
}

/// All scopes of a service, also those that an earlier attempt to undo the handover has made.
fn old_scopes(host: &Host, entries: &[Handover]) -> Result<Vec<OldScope>> {
    let patterns = entries.iter().map(|one| units::old_units(&one.unit));
    let states = host.systemd.show_loaded(&patterns.collect::<Vec<_>>())?;
    let is_up = |name: &str| states.iter().any(|one| one.id == name && !one.is_down());
    let scopes = states.iter().filter(|state| state.is_active());
    let known = scopes.filter_map(|state| {
        let scope = &state.id;
        let mut entries = entries.iter();
        let entry = entries.find(|one| units::is_old_scope(scope, &one.unit))?;
        Some(OldScope {
            is_previous: *scope == entry.scope,
            drains: is_up(&units::drain_timer_of(scope)),
            entry: Handover {
                scope: scope.clone(),
                ..entry.clone()
            },
        })
    });
    Ok(known.collect())
}

/// Another release than the previous one must not answer any more.
fn drain_others(session: &Session<'_>, scopes: &[OldScope]) {
    let others = scopes.iter().filter(|one| !one.is_previous && !one.drains);
    drain_all(
        session,
        &others.map(|one| one.entry.clone()).collect::<Vec<_>>(),
    );
}

/// Ends what is left of a handover: the previous release when its unit accepts connections again, and
/// any other at once.
fn end_scopes(session: &Session<'_>, entries: &[Handover]) -> Result<()> {
    let host = session.host;
    let scopes = old_scopes(host, entries)?;
    drain_others(session, &scopes);
    let (mut ending, mut serving) = (Vec::new(), Vec::new());
    for one in scopes {
        let is_ending = one.drains || !one.is_previous;
        let list = if is_ending { &mut ending } else { &mut serving };
        list.push(one.entry);
    }
    stop_acceptors(session, &groups_of(host, &ending));
    let mut servers = entries.iter().filter(|one| one.role != HandoverRole::Proxy);
    // While a unit is down, its previous processes must go on.
    if !serving.is_empty() && servers.all(|entry| health::wait_accepting(host, &entry.unit)) {
        drain_all(session, &serving);
    }
    Ok(())
}

/// Whether a socket of these services is down.
fn has_failed_socket(host: &Host, states: &[UnitStatus]) -> Result<bool> {
    let triggers = states.iter().flat_map(|state| state.triggered_by.clone());
    let sockets: Vec<String> = triggers.filter(|name| name.ends_with(".socket")).collect();
    let states = host.systemd.show(&sockets)?;
    Ok(states.iter().any(|socket| !socket.is_active()))
}

/// What runs in units now, as something to hand over. A unit that is down or has a dummy process has
/// nothing.
fn handovers_of_running(entries: &[Handover], states: &[UnitStatus]) -> Vec<Handover> {
    let both = entries.iter().zip(states);
    let mut out: Vec<Handover> = both
        .filter_map(|(entry, state)| {
            let scope = units::old_scope(&entry.unit, state.invocation_id.as_deref()?);
            let process = ProcessIdentity::of(state.main_pid?)?;
            let is_its = [&entry.unit, &scope].map(|unit| is_in_unit(process.pid, unit));
            is_its.contains(&true).then(|| Handover {
                scope,
                process,
                ..entry.clone()
            })
        })
        .collect();
    if let [alone] = out.as_mut_slice()
        && alone.role == HandoverRole::Proxied
        && !alone.has_moved()
    {
        // Its proxy is down: no other scope ends this one.
        alone.role = HandoverRole::Service;
    }
    out
}
