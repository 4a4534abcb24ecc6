//! The checks, by what they look at.

mod files;
mod limits;
mod release;
mod settings;
mod state;
mod units;

pub(super) use files::{files, permissions, shadowed, tmpfiles};
pub(super) use limits::limits;
pub(super) use release::{content, current, disk, manifest, no_live_release, pins, running};
pub(super) use settings::{env_file, secrets, settings};
pub(super) use state::{damaged, journal, journal_of, state};
pub(super) use units::{leftovers, ports, units};
