//! What the host must offer, as a change asks it before it begins.

use super::findings;
use crate::app::App;
use crate::app::layout::UNIT_DIR;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::prerequisites::{
    Needed, at_program, directories_of_changes, missing_programs, missing_tools,
    unwritable_directories,
};
use anyhow::Result;

pub(in crate::doctor) fn programs(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let root = &context.host.root;
    let Some(live) = &context.state.live else {
        return Ok(Vec::new());
    };
    let release = context.layout.release(live);
    // The check `current` reports a release that is missing.
    if root.meta(&release)?.is_none() {
        return Ok(Vec::new());
    }
    let in_release = |rest: &str| at_program(root, &format!("{release}/{rest}"));
    Ok(findings(missing_programs(
        context.host,
        app,
        Needed::All,
        &in_release,
    )?))
}

#[expect(clippy::unnecessary_wraps, reason = "every check may fail to run")]
pub(in crate::doctor) fn tools(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    Ok(findings(missing_tools(context.host)))
}

/// The services still run, so this is a warning.
pub(in crate::doctor) fn writable(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let dirs = directories_of_changes(context.layout);
    let root = &context.host.root;
    let mut asked = Vec::new();
    for dir in dirs.iter().map(String::as_str).chain([UNIT_DIR]) {
        // The doctor may run in a sandbox, in which everything is read-only.
        if !root.is_read_only(dir)? || root.is_read_only_for_all(dir)? {
            asked.push(dir);
        }
    }
    let mut found = findings(unwritable_directories(root, &asked)?);
    for finding in &mut found {
        finding.severity = Severity::Warning;
    }
    Ok(found)
}
