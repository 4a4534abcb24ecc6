//! Units: stand-ins before the switch, restarts after it, in dependency order.

use super::precheck::{local_drop_ins, sweep};
use super::{About, Work};
use crate::model::App;
use crate::plan::{Action, Plan, UnitPlan};
use crate::render::RUNTIME_UNIT_DIR;
use crate::tree::Entry;
use crate::verify::Address;
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// The stand-ins that the plan will start.
pub(super) fn standins(plan: &Plan, app: &App) -> Vec<String> {
    let overlaps = plan
        .units
        .iter()
        .filter(|unit| unit.action == Action::Overlap);
    overlaps
        .filter_map(|unit| app.service(unit.service.as_deref()?))
        .map(|service| app.standin_unit(service, &plan.to))
        .collect()
}

/// Starts the stand-ins on the new release: from now on it answers beside the old one.
pub(super) fn before_switch(work: &Work<'_>, plan: &Plan, app: &App) -> Result<()> {
    let units = standins(plan, app);
    if units.is_empty() {
        return Ok(());
    }
    obey_administrator(work, plan, app)?;
    work.host.systemd.reset_failed(&units);
    start(work, &units)?;
    for unit in &units {
        let about = About {
            release: Some(&plan.to),
            unit: Some(unit),
        };
        work.tell(
            "info",
            "standing-in",
            about,
            &format!("`{unit}` answers on the new release"),
        );
    }
    Ok(())
}

/// Gives the stand-ins the administrator's own drop-ins of the services that they stand in for.
/// They lie in `/run` until the stand-ins have gone.
fn obey_administrator(work: &Work<'_>, plan: &Plan, app: &App) -> Result<()> {
    let overlaps = plan
        .units
        .iter()
        .filter(|unit| unit.action == Action::Overlap);
    let services = overlaps.filter_map(|unit| app.service(unit.service.as_deref()?));
    let mut any = false;
    for service in services {
        let dir = format!("{RUNTIME_UNIT_DIR}/{}.d", app.standin_template(service));
        for (name, bytes) in local_drop_ins(work.host, &app.unit(service))? {
            let path = format!("{dir}/{name}");
            work.host.root.put(&path, Some(&Entry::file(bytes)))?;
            any = true;
        }
    }
    if any {
        work.host.systemd.daemon_reload()
    } else {
        Ok(())
    }
}

/// Starts, restarts and stops what the plan says, then the stand-ins go.
pub(super) fn after_switch(work: &Work<'_>, plan: &Plan, app: &App) -> Result<()> {
    if work.host.is_offline() {
        return Ok(()); // Nothing runs there, and the links start it at boot.
    }
    let systemd = &work.host.systemd;
    for unit in &plan.units {
        let name = std::slice::from_ref(&unit.unit);
        match unit.action {
            Action::Keep | Action::Stop => continue,
            Action::Start => {
                systemd.reset_failed(name);
                start(work, name)?;
            }
            Action::Restart | Action::Overlap => {
                // Five restarts within ten seconds would fail the unit and its socket.
                systemd.reset_failed(name);
                restart(work, unit)?;
            }
            Action::Rebind => {
                // A socket cannot be bound anew while its service runs: the service goes first.
                let named = |name: &String| format!("{}-{name}.service", work.app);
                let mut going: Vec<String> = unit.service.iter().map(named).collect();
                going.push(unit.unit.clone());
                systemd.stop(&going)?;
                start(work, name)?;
            }
        }
        let about = About {
            release: Some(&plan.to),
            unit: Some(&unit.unit),
        };
        let message = format!("{} `{}`: {}", unit.action.word(), unit.unit, unit.why);
        work.tell("info", unit.action.word(), about, &message);
    }
    let units = standins(plan, app);
    systemd.stop(&units)?;
    sweep(work.host, &work.app)
}

fn start(work: &Work<'_>, units: &[String]) -> Result<()> {
    for unit in units {
        let result = work.host.systemd.start(std::slice::from_ref(unit));
        explained(work, unit, result)?;
    }
    Ok(())
}

fn restart(work: &Work<'_>, unit: &UnitPlan) -> Result<()> {
    let result = work.host.systemd.restart(std::slice::from_ref(&unit.unit));
    explained(work, &unit.unit, result)
}

/// A unit that does not start: what systemd says of it and the last lines that it wrote.
fn explained(work: &Work<'_>, unit: &str, result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let Ok(state) = work.host.systemd.show_one(unit) else {
        return Err(error);
    };
    let lines = work.host.systemd.last_lines(unit, 8);
    bail!(
        "`{unit}` did not start: {} ({}), exit status {}\n    {}",
        state.get("ActiveState"),
        state.get("Result"),
        state.get("ExecMainStatus"),
        lines.join("\n    ")
    )
}

/// Waits until a server accepts at an address: the readiness gate of a proxied service.
///
/// # Errors
/// When it does not within the time.
pub fn wait_for(address: &Address, within: Duration) -> Result<()> {
    let accepts = || match address {
        Address::Tcp(address) => std::net::TcpStream::connect(address).map(drop),
        Address::Unix(path) => std::os::unix::net::UnixStream::connect(path).map(drop),
    };
    crate::host::wait_until(within, accepts)
        .with_context(|| format!("waiting for {address} to accept"))
}
