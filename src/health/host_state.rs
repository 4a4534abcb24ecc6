//! Whether the host is to blame for a failure of a release, as far as the host shows it afterwards.

use crate::app::{App, Listen, Service, Socket};
use crate::events::Subject;
use crate::failure::Failure;
use crate::host::{Host, PortUse, UnitResult, has_killed_for_host, is_taken};
use crate::host_cause::{ADDRESS_TAKEN, DISK_FULL, HostCause, NO_EXEC, NO_MEMORY, READ_ONLY};
use crate::session::Session;
use anyhow::Result;

/// A file system with less is full: no program can work on it.
const FULL_BYTES: u64 = 64 * 1024;
/// The same for inodes.
const FULL_INODES: u64 = 4;
/// Directories of every service, beside those of the app.
const SHARED_DIRS: [&str; 3] = ["/tmp", "/var/tmp", "/run"];

/// Sends the events of a release that has failed. Returns the cause if the host is to blame: then the release
/// is not to be marked as failed, and an event says so.
///
/// Without a cause that the failure itself knows, the host as it is now is asked about the services of `app`.
/// Without an app, it is not.
pub(crate) fn report_failure(
    session: &Session<'_>,
    release: &str,
    app: Option<&App>,
    failure: &Failure,
) -> Option<&'static HostCause> {
    let seen = || host_fault(session.host, app?);
    let cause = failure.host_cause().or_else(seen);
    session.emit_failure(release, failure);
    if let Some(cause) = cause {
        let text = format!("{release} is not marked as failed: {}", cause.what);
        session.emit("warning", "not-marked", Subject::release(release), &text);
    }
    cause
}

/// What is wrong with the host just after a release has failed, and explains the failure.
fn host_fault(host: &Host, app: &App) -> Option<&'static HostCause> {
    if host.is_offline() {
        return None;
    }
    // What cannot be read explains nothing.
    let seen = [disk_fault, address_fault, memory_fault];
    let mut faults = seen.iter().filter_map(|look| look(host, app).ok()?);
    faults.next()
}

fn disk_fault(host: &Host, app: &App) -> Result<Option<&'static HostCause>> {
    let (root, layout) = (&host.root, &app.layout);
    if root.is_read_only(&layout.state())? {
        return Ok(Some(&READ_ONLY));
    }
    let current = format!("{}/", layout.current());
    let mut programs = app.services.iter().filter_map(|one| one.exec.first());
    // A program of the host that reads the release, such as Python, needs no such right.
    let executes = programs.any(|program| program.as_str().starts_with(&current));
    if executes && root.is_noexec(&layout.releases())? {
        return Ok(Some(&NO_EXEC));
    }
    let own = layout.own_directories();
    for dir in own.iter().map(String::as_str).chain(SHARED_DIRS) {
        let (bytes, inodes) = root.free_space(dir)?;
        if bytes < FULL_BYTES || inodes < FULL_INODES {
            return Ok(Some(&DISK_FULL));
        }
    }
    Ok(None)
}

/// Whether something outside the app listens on an address that a service binds itself. Of the address of a
/// socket unit, systemd says so in the result of the unit.
#[expect(clippy::unnecessary_wraps, reason = "as the others")]
fn address_fault(host: &Host, app: &App) -> Result<Option<&'static HostCause>> {
    let units: Vec<String> = app.services.iter().map(|one| app.unit(one)).collect();
    let services = app
        .services
        .iter()
        .filter(|one| one.enable && one.socket == Socket::Direct);
    let mut addresses =
        services.flat_map(|one| one.listen.iter().filter_map(Listen::local_address));
    let is_held_by_other = addresses.any(|address| {
        let held = || PortUse::of(&host.root, address.port(), &units, false);
        is_taken(address) && matches!(held(), PortUse::Other(_))
    });
    Ok(is_held_by_other.then_some(&ADDRESS_TAKEN))
}

/// Whether the kernel killed a service because the memory of the host was used up, and not that of the
/// service.
fn memory_fault(host: &Host, app: &App) -> Result<Option<&'static HostCause>> {
    let daemons = app.services.iter().filter(|one| Service::is_daemon(one));
    let units: Vec<String> = daemons.map(|one| app.unit(one)).collect();
    let states = host.systemd.show(&units)?;
    let mut killed = states
        .iter()
        .filter(|state| state.result == UnitResult::OomKill);
    Ok(killed
        .any(|state| has_killed_for_host(&state.id))
        .then_some(&NO_MEMORY))
}
