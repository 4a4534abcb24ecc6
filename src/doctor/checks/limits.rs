//! What a service can use up.

use super::findings;
use crate::doctor::loaded::UnitText;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::prerequisites::missing_enforcement;
use crate::sandbox::limits::limits_in;
use crate::transient::denial::missing_filters;
use crate::units::{UnitType, unit_type};
use anyhow::Result;

/// What limits the resources that every generated unit limits. Only the administrator or the manifest can
/// change that.
const EXPECTED: [&str; 2] = ["MemoryMax", "TasksMax"];

pub(in crate::doctor) fn limits(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (unit, _, files) in context.units.with_files()? {
        if unit_type(unit) != Some(UnitType::Service) {
            continue;
        }
        let open = unlimited(files);
        if !open.is_empty() {
            let message = format!("`{unit}` can use up the {} of the host", open.join(", "));
            let fix =
                "set them in `limits` of the service and deploy again, or change your drop-in";
            found.push(Finding::new(Severity::Note, message, fix));
        }
    }
    // Only root can read which limits and filters the manifest sets.
    if let Some((app, _)) = context.content {
        found.extend(findings(missing_enforcement(
            context.host,
            app,
            missing_filters,
        )));
    }
    Ok(found)
}

/// What the unit file and its drop-ins do not limit.
fn unlimited(files: &[UnitText]) -> Vec<&'static str> {
    let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
    let limits = limits_in(&texts);
    let open = limits.iter().filter(|limit| {
        let is_expected = limit.directive.is_some_and(|name| EXPECTED.contains(&name));
        is_expected && limit.value.is_none()
    });
    open.map(|limit| limit.resource).collect()
}
