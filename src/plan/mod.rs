//! The plan: what a deploy or a rollback would change, as data.
//!
//! ```text
//! Candidate + Observed ─▶ plan() ─▶ Plan ─▶ shown, checked, applied
//! ```
//!
//! Everything here is a pure function. [`Observed`] holds what is known of the host.
//!
//! | file | holds |
//! |---|---|
//! | `data` | [`Plan`] and its parts, as `--format json` prints them |
//! | `input` | [`Candidate`] and [`Observed`]: the new release, and the host before the change |
//! | `make` | [`plan()`]: a candidate and the observed host become a plan |
//! | `content` | what the new release adds, changes and removes |
//! | `files` | which files outside the release change |
//! | `units` | all units with what happens to them, and the facts about each |
//! | `service_files` | whether a service has the same files in a new release |
//! | `overlap` | whether the previous release can answer while a service restarts |
//! | `exclusion` | which of the services that are up and cannot run at the same time stop |
//! | `decide` | what happens to a unit: a table over its facts |
//! | `rights`, `right_kinds` | [`Right`]: what a release asks for beyond what every app has, and the table of kinds |
//! | `diff` | [`Diff`]: a changed file as a unified diff |

mod content;
mod data;
mod decide;
mod diff;
mod exclusion;
mod files;
mod input;
mod make;
mod overlap;
mod right_kinds;
mod rights;
mod service_files;
mod units;

pub use data::{
    Action, CommandPlan, OutputPlan, OverlayPlan, PayloadPlan, Plan, PlannedBuild, UnitPlan,
};
pub use diff::Diff;
pub use input::{Candidate, HostFacts, LiveRelease, Observed, OutsideSource};
pub use make::plan;
pub use overlap::Overlap;
pub use right_kinds::{RIGHT_KINDS, RightKind};
pub use rights::{Right, rights};
pub use service_files::built_services;
