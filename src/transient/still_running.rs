//! Transient units of an earlier command that still run.

use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::host::{Host, UnitStatus};
use anyhow::Result;

/// Fails when one of these transient units still runs from an earlier command. systemd would not
/// start it again, and its result would be taken for that of the new release.
///
/// # Errors
/// [`HintedError`] with the unit.
pub(super) fn check_not_running(host: &Host, units: &[String]) -> Result<()> {
    if host.is_offline() {
        return Ok(());
    }
    all_down(units, &host.systemd.show(units)?)
}

/// The same, from the status of the units.
pub(super) fn all_down(units: &[String], states: &[UnitStatus]) -> Result<()> {
    let mut units = units.iter().zip(states);
    let Some((unit, _)) = units.find(|(_, state)| !state.is_down()) else {
        return Ok(());
    };
    Err(HintedError::new(
        format!("`{unit}` of an earlier run is still there"),
        Hint::run(CommandLine::sudo(["systemctl", "stop", unit.as_str()])),
    )
    .into())
}
