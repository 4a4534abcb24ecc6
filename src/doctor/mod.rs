//! The doctor: a table of checks. Each looks at one thing and changes nothing. One starts a unit that exists for a
//! moment, to try what systemd filters.
//!
//! | type | holds |
//! |---|---|
//! | `Check` | a row of the table: id, worst severity, what must hold, why, what it needs to look |
//! | `Finding` | something that is wrong, with what to do about it as data |
//! | `Skipped` | a check that could not run, with the reason |
//! | [`Report`] | what all checks of one app gave |
//! | `LoadedUnits` | the units as systemd has loaded them, for all checks together |
//!
//! A row also says whether a deploy and a rollback ask the same before they change anything
//! (`BeforeChange`): `before_change` holds what they ask.
//!
//! `probed` adds what `doctor --probe` found in the sandboxes of the services.
//!
//! Only findings of severity warning and error change the exit code. Skipped checks and notes never do.

mod before_change;
mod checks;
mod loaded;
mod probed;
mod report;
mod table;

pub(crate) use loaded::LoadedUnits;
pub(crate) use probed::PROBE;
pub(crate) use report::{BareContext, CheckContext, Report, Severity};
pub(crate) use table::{CHECKS, Check, ask_before, checks_without_release, run_checks, skipped};
