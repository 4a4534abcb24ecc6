//! The checks, by what they look at.

mod directories;
mod drop_ins;
mod executables;
mod files;
mod host;
mod limits;
mod orphans;
mod package;
mod ports;
mod release;
mod restarts;
mod settings;
mod state;
mod timers;
mod units;

pub(super) use directories::directories;
pub(super) use drop_ins::{drop_ins, exposure, unenforced};
pub(super) use executables::executables;
pub(super) use files::{files, permissions, shadowed, tmpfiles};
pub(super) use host::{programs, tools, writable};
pub(super) use limits::limits;
pub(super) use orphans::orphans;
pub(super) use package::package;
pub(super) use ports::ports;
pub(super) use release::{content, current, disk, manifest, no_live_release, pins, running};
pub(super) use restarts::{restarts, unchecked};
pub(super) use settings::{env_file, same, same_in_environments, secrets, settings};
pub(super) use state::{damaged, journal, journal_of, state};
pub(super) use timers::timers;
pub(super) use units::{leftovers, units};

use super::report::{Finding, Severity};
use crate::fault::{Fault, Impact};

/// Faults as findings.
fn findings(faults: Vec<Fault>) -> Vec<Finding> {
    let finding = |fault: Fault| {
        let severity = match fault.impact {
            Impact::Blocking | Impact::Created | Impact::Serious => Severity::Error,
            Impact::Minor => Severity::Warning,
            Impact::Harmless => Severity::Note,
        };
        let finding = Finding::with_steps(severity, fault.message, fault.fix);
        finding.safely(fault.safe_fix)
    };
    faults.into_iter().map(finding).collect()
}
