//! The checks, by what they look at.

mod directories;
mod drop_ins;
mod executables;
mod files;
mod host;
mod limits;
mod orphans;
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
pub(super) use ports::ports;
pub(super) use release::{content, current, disk, manifest, no_live_release, pins, running};
pub(super) use restarts::{restarts, unchecked};
pub(super) use settings::{env_file, same, secrets, settings};
pub(super) use state::{damaged, journal, journal_of, state};
pub(super) use timers::timers;
pub(super) use units::{leftovers, units};

use super::report::{Finding, Severity};
use crate::settings::{Deploy, Fault};

/// Faults as findings.
fn findings(faults: Vec<Fault>) -> Vec<Finding> {
    let finding = |fault: Fault| {
        let severity = match (fault.deploy, fault.is_error) {
            (Deploy::Noted, _) => Severity::Note,
            (_, true) => Severity::Error,
            (_, false) => Severity::Warning,
        };
        Finding::with_steps(severity, fault.message, fault.fix)
    };
    faults.into_iter().map(finding).collect()
}
