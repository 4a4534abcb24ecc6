//! Whether a unit of the administrator hides a generated one.

use crate::app::layout::{ENABLE_DIR, UNIT_DIR};
use crate::fault::{Fault, Impact};
use crate::host::Root;
use anyhow::Result;

/// The units that a unit of the same name under `/etc` hides. A mask is deliberate.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn shadowed_units(root: &Root, units: &[&str]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for unit in units {
        let generated = format!("{UNIT_DIR}/{unit}");
        let other = format!("{ENABLE_DIR}/{unit}");
        let is_masked = root.read_link(&other)?.as_deref() == Some("/dev/null");
        if root.meta(&generated)?.is_none() || is_masked || root.meta(&other)?.is_none() {
            continue;
        }
        faults.push(Fault::new(
            Impact::Minor,
            format!("`{other}` hides the generated unit, and cannot be masked"),
            format!("make it a drop-in: {ENABLE_DIR}/{unit}.d/50-local.conf"),
        ));
    }
    Ok(faults)
}
