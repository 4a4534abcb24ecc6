//! Units: stand-ins before the switch, restarts after it, in dependency order.

use super::clean_up;
use super::precheck::local_drop_ins;
use crate::app::{App, PROXY_SUFFIX, Service, Socket, Type};
use crate::error::HintedError;
use crate::events::Subject;
use crate::health::{Address, cause_text};
use crate::host::{self, Deadline, Stopwatch, Systemd, UnitState};
use crate::plan::{Action, Plan, UnitPlan};
use crate::sandbox::explain::with_advice;
use crate::session::Session;
use crate::tree::{Entry, FileTree};
use crate::units::{self, RUNTIME_UNIT_DIR, UnitFile};
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeSet;
use std::time::Duration;

/// A server that waits for connections in a way that the kernel does not show is given this
/// long.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);
/// A live service is looked at for this long, to see how many of its processes wait.
const SAMPLE_TIME: Duration = Duration::from_millis(40);
/// The time from one of these looks to the next.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);
/// When no more processes have come to wait for this long, there are no more.
const STEADY_TIME: Duration = Duration::from_secs(1);
/// How long the last attempt to connect may take.
const LAST_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The services that overlap.
fn overlapping<'a>(plan: &'a Plan, app: &'a App) -> impl Iterator<Item = &'a Service> {
    let units = plan.units.iter();
    let overlaps = units.filter(|unit| unit.action == Action::Overlap);
    overlaps.filter_map(|unit| app.service(unit.service.as_deref()?))
}

/// The stand-ins that the plan will start.
pub(super) fn standins(plan: &Plan, app: &App) -> Vec<String> {
    let services = overlapping(plan, app);
    let pairs = services.flat_map(|service| app.standins(service, &plan.to));
    pairs.map(|(standin, _)| standin).collect()
}

/// Starts the stand-ins on the new release: from now on it answers beside the old one.
pub(super) fn before_switch(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    let units = standins(plan, app);
    if units.is_empty() {
        return Ok(());
    }
    copy_local_drop_ins(session, plan, app)?;
    session.host.systemd.reset_failed(&units);
    start(session, &units)?;
    for service in overlapping(plan, app) {
        let unit = app.standin_unit(service, &plan.to);
        wait_ready(session, service, &unit, &app.unit(service))?;
        let about = Subject {
            release: Some(&plan.to),
            unit: Some(&unit),
        };
        let message = format!("`{unit}` answers on the new release");
        session.emit("info", "standing-in", about, &message);
    }
    Ok(())
}

/// Gives the stand-ins the administrator's own drop-ins of the services that they stand in for.
/// They lie in `/run` until the stand-ins have gone.
fn copy_local_drop_ins(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    let mut tree = FileTree::default();
    let pairs = overlapping(plan, app).flat_map(|service| app.standins(service, ""));
    for (template, unit) in pairs {
        for (name, bytes) in local_drop_ins(session.host, &session.app, &unit)? {
            let path = UnitFile::drop_in(&template, &name).path_in(RUNTIME_UNIT_DIR);
            tree.insert(path, Entry::file(bytes));
        }
    }
    if tree.is_empty() {
        return Ok(());
    }
    session.host.root.put_tree(&tree)?;
    let files: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
    session
        .host
        .systemd
        .reload_if_needed(&standins(plan, app), &files)
}

/// Starts, restarts and stops what the plan says, then the stand-ins go.
pub(super) fn after_switch(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    if session.host.is_offline() {
        return Ok(()); // Nothing runs there, and the links start it at boot.
    }
    let systemd = &session.host.systemd;
    let rebound = plan.units.iter().filter(|one| one.action == Action::Rebind);
    let rebound: Vec<String> = rebound.map(|one| one.unit.clone()).collect();
    free_addresses(systemd, &rebound)?;
    // Five starts within ten seconds would fail a unit, and its socket with it.
    let begun = plan.units.iter().filter(|one| one.action.starts());
    systemd.reset_failed(&begun.map(|one| one.unit.clone()).collect::<Vec<_>>());
    let mut restarted: Vec<&str> = Vec::new();
    for unit in &plan.units {
        let name = std::slice::from_ref(&unit.unit);
        let service = unit.service.as_deref().unwrap_or_default();
        match unit.action {
            Action::Unchanged | Action::Stop => continue,
            // A proxy requires its server: systemd has restarted it with that.
            Action::Restart if restarted.contains(&service) => start(session, name)?,
            Action::Start | Action::Rebind => start(session, name)?,
            Action::Restart | Action::Overlap => {
                // It has been restarted with each that it requires.
                if app
                    .service(service)
                    .is_some_and(|one| !one.requires.is_empty())
                {
                    systemd.reset_failed(name);
                }
                restart(session, unit)?;
                restarted.push(service);
            }
        }
        let about = Subject {
            release: Some(&plan.to),
            unit: Some(&unit.unit),
        };
        let message = format!("{} `{}`: {}", unit.action.word(), unit.unit, unit.why);
        session.emit("info", unit.action.word(), about, &message);
    }
    for service in overlapping(plan, app) {
        let standin = app.standin_unit(service, &plan.to);
        wait_ready(session, service, &app.unit(service), &standin)?;
    }
    let units = standins(plan, app);
    systemd.stop(&units)?;
    if let Err(error) = clean_up(session.host, &session.app) {
        // No fault of the release, and in nobody's way: the next command tries again.
        let text = format!("leftovers are still there: {error:#}");
        session.emit("warning", "not-swept", Subject::default(), &text);
    }
    Ok(())
}

/// Stops units whose addresses change hands: what one of them is to bind, another may hold.
pub(super) fn free_addresses(systemd: &Systemd, units: &[String]) -> Result<()> {
    let states = systemd.show(units)?;
    let loaded = units.iter().zip(states).filter(|(_, one)| one.is_loaded());
    let (mut held_open, mut alone) = (Vec::new(), Vec::new());
    for (unit, _) in loaded {
        if unit.ends_with(".socket") {
            held_open.extend(socket_and_users(systemd, unit)?);
        } else {
            alone.push(unit.clone());
        }
    }
    // In one go: nothing wakes a service again before its socket is closed, and as long as it
    // takes is as long as the slowest takes.
    systemd.stop(&held_open)?;
    // What requires them, of this app or another's, has no part in this.
    systemd.stop_alone(&alone)
}

/// A socket with all that holds it open, in their stopping order. It cannot be bound anew while
/// its service runs.
pub(super) fn socket_and_users(systemd: &Systemd, socket: &str) -> Result<Vec<String>> {
    let triggers = systemd.show_one(socket)?;
    let service = triggers.get("Triggers").to_owned();
    let mut out = Vec::new();
    // What a proxy stands before goes with it.
    if let Some(stem) = units::stem(&service).strip_suffix(PROXY_SUFFIX) {
        out.extend([service.clone(), format!("{stem}.service")]);
    } else if !service.is_empty() {
        out.push(service);
    }
    out.push(socket.to_owned());
    Ok(out)
}

/// Waits until the kernel shows that as many processes of `unit` wait for connections as of
/// `other`, which stops then: somebody always does, and no fewer than before. Gunicorn says that it
/// is ready before a single worker is.
fn wait_ready(session: &Session<'_>, service: &Service, unit: &str, other: &str) -> Result<()> {
    if service.socket != Socket::Activate || session.host.is_offline() {
        return Ok(());
    }
    let systemd = &session.host.systemd;
    let wanted = sample_acceptors(&systemd.show_one(other)?).len();
    let shows = match service.kind {
        // Either does not show, or has no time to wait; the new one has said that it is ready.
        Type::Notify if wanted == 0 => STEADY_TIME,
        _ => ACCEPT_TIMEOUT,
    };
    let (mut seen, mut grown, mut stopped_or_masked) = (BTreeSet::new(), Stopwatch::start(), false);
    let _: Result<(), ()> = host::wait_until(shows, || {
        let state = systemd.show_one(unit).map_err(drop)?;
        stopped_or_masked = !state.is_active();
        let before = seen.len();
        seen.extend(host::acceptors(&state));
        let there = host::members(&state);
        seen.retain(|pid| there.contains(pid));
        if seen.len() > before {
            grown = Stopwatch::start();
        }
        let all = seen.len() >= wanted.max(1);
        // A release may have fewer workers than the one before.
        let fewer = !seen.is_empty() && grown.elapsed() >= STEADY_TIME;
        match stopped_or_masked || all || fewer {
            true => Ok(()),
            false => Err(()),
        }
    });
    match stopped_or_masked {
        true => explain_failure(session, unit, Err(anyhow!("`{unit}` went down again"))),
        false => Ok(()),
    }
}

/// The processes that wait for connections now and then: whoever is busy answering does not, for a
/// moment.
fn sample_acceptors(state: &UnitState) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let end = Deadline::after(SAMPLE_TIME);
    while !end.is_over() && !host::interrupted() {
        seen.extend(host::acceptors(state));
        host::pause(SAMPLE_INTERVAL);
    }
    seen
}

fn start(session: &Session<'_>, units: &[String]) -> Result<()> {
    for unit in units {
        let result = session.host.systemd.start(std::slice::from_ref(unit));
        explain_failure(session, unit, result)?;
    }
    Ok(())
}

fn restart(session: &Session<'_>, unit: &UnitPlan) -> Result<()> {
    let result = session
        .host
        .systemd
        .restart(std::slice::from_ref(&unit.unit));
    explain_failure(session, &unit.unit, result)
}

/// A unit that does not start: what systemd says of it and the last lines that it wrote.
fn explain_failure(session: &Session<'_>, unit: &str, result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let Ok(state) = session.host.systemd.show_one(unit) else {
        return Err(error);
    };
    let lines = session.host.systemd.last_lines(unit, 8);
    bail!(
        "`{unit}` did not start: {}\n    {}",
        with_advice(cause_text(&state), &lines),
        lines.join("\n    ")
    )
}

/// Waits until a server accepts at an address: the readiness gate of a proxied service, whose
/// `program` may end meanwhile.
///
/// # Errors
/// [`HintedError`] when it does not within the time, or never will.
pub fn wait_for(address: &Address, within: Duration, program: Option<u32>) -> Result<()> {
    let end = Deadline::after(within + LAST_CONNECT_TIMEOUT);
    let mut ended = false;
    let accepts = || {
        let seen = address.dial(end).map(drop);
        ended = seen.is_err() && program.is_some_and(host::has_ended);
        if ended { Ok(()) } else { seen }
    };
    let seen = host::wait_until(within, accepts);
    let shown = address.to_string();
    let shown = shown.trim_start_matches("http://");
    let (message, hint) = match seen {
        Ok(()) if ended => (
            format!("the program ended before it accepted on {shown}"),
            "its own lines tell why",
        ),
        Ok(()) => return Ok(()),
        Err(error) => (
            format!(
                "nothing accepts on {shown} after {}s: {error}",
                within.as_secs()
            ),
            "with `socket = \"proxy\"` the program must bind it",
        ),
    };
    Err(HintedError::new(message, hint.to_owned()).into())
}
