//! The checks. Each looks at one thing and changes nothing.

mod files;
mod release;
mod units;

pub(super) use files::{files, permissions, secrets, shadowed, tmpfiles};
pub(super) use release::{current, damaged, disk, journal, manifest, records, running};
pub(super) use units::{ports, units};

use super::{Found, Severity};
use anyhow::Result;

type Findings = Result<Vec<Found>>;

fn error(message: impl Into<String>, hint: impl Into<String>) -> Found {
    (Severity::Error, message.into(), hint.into())
}

fn warning(message: impl Into<String>, hint: impl Into<String>) -> Found {
    (Severity::Warning, message.into(), hint.into())
}
