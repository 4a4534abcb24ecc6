//! The previous releases that still end their connections.

use crate::host::{self, Host, end_of_scope, members, release_of};
use crate::units;
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

/// Processes of a previous release that end their connections after an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Draining {
    /// The service that they were, or its proxy.
    pub(crate) unit: String,
    /// The scope that they are in.
    pub(crate) scope: String,
    /// Their release, where that can be seen.
    pub(crate) release: Option<String>,
    /// How many processes there are.
    pub(crate) processes: usize,
    /// How many TCP connections they have, where that can be seen and there are any.
    pub(crate) connections: Option<usize>,
    /// The seconds until they are ended.
    pub(crate) seconds_left: Option<u64>,
}

/// What drains of some services of an app.
///
/// # Errors
/// When systemd does not answer.
pub(super) fn draining(host: &Host, app: &str, services: &[String]) -> Result<Vec<Draining>> {
    if host.is_offline() || services.is_empty() {
        return Ok(Vec::new());
    }
    let patterns: Vec<String> = services.iter().map(|unit| units::old_units(unit)).collect();
    let states = host.systemd.show_matching(&patterns)?;
    let mut out = Vec::new();
    for state in states.iter().filter(|state| state.is_active()) {
        let mut services = services.iter();
        let Some(unit) = services.find(|unit| units::is_old_scope(&state.id, unit)) else {
            continue;
        };
        let pids = members(state);
        let ends = units::drain_timer_of(&state.id);
        let ends = states.iter().find(|one| one.id == ends);
        let ends = ends.and_then(end_of_scope);
        let left = |end: jiff::Timestamp| end.as_second() - host::now().as_second();
        out.push(Draining {
            unit: unit.clone(),
            scope: state.id.clone(),
            release: pids.iter().find_map(|pid| release_of(*pid, app).ok()),
            processes: pids.len(),
            connections: host::connections(&pids).filter(|count| *count > 0),
            seconds_left: ends.map(|end| u64::try_from(left(end)).unwrap_or(0)),
        });
    }
    out.sort_by(|a, b| a.scope.cmp(&b.scope));
    Ok(out)
}
