//! What a service can use up.

use super::findings;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::host::{Root, UnitStatus};
use crate::prerequisites::missing_enforcement;
use crate::sandbox::limits::limits_in;
use crate::units::{UnitType, unit_type};
use anyhow::Result;

/// What limits the resources that every generated unit limits. Only the administrator or the manifest can
/// change that.
const EXPECTED: [&str; 2] = ["MemoryMax", "TasksMax"];

pub(in crate::doctor) fn limits(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let units = context.release.units.iter().map(|one| one.unit.clone());
    let services = units.filter(|unit| unit_type(unit) == Some(UnitType::Service));
    let states = context.host.systemd.show(&services.collect::<Vec<_>>())?;
    let mut found = Vec::new();
    for state in states.iter().filter(|state| state.is_loaded()) {
        let open = unlimited(&context.host.root, state)?;
        if !open.is_empty() {
            let message = format!(
                "`{}` can use up the {} of the host",
                state.id,
                open.join(", ")
            );
            let fix =
                "set them in `limits` of the service and deploy again, or change your drop-in";
            found.push(Finding::new(Severity::Note, message, fix));
        }
    }
    // Only root can read which limits and filters the manifest sets.
    if let Some((app, _)) = context.content {
        found.extend(findings(missing_enforcement(context.host, app)));
    }
    Ok(found)
}

/// What the unit file and its drop-ins do not limit.
fn unlimited(root: &Root, state: &UnitStatus) -> Result<Vec<&'static str>> {
    let mut texts = Vec::new();
    for path in std::iter::once(&state.fragment_path).chain(&state.drop_in_paths) {
        texts.extend(root.read_text(path)?);
    }
    let limits = limits_in(&texts);
    let open = limits.iter().filter(|limit| {
        let is_expected = limit.directive.is_some_and(|name| EXPECTED.contains(&name));
        is_expected && limit.value.is_none()
    });
    Ok(open.map(|limit| limit.resource).collect())
}
