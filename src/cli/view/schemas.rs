//! JSON schemas of the machine interface, one a kind of line.

use super::Envelope;
use super::files::FileData;
use super::plan_data::PlanData;
use crate::doctor::Report;
use crate::health::Verdict;
use crate::ops::{AppStatus, ListedRelease};
use crate::sandbox::cost::ScoreReport;
use schemars::{Schema, schema_for};

/// The kinds of lines, each with the schema of the whole line.
pub(in crate::cli) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("app-error", schema_for!(Envelope<'_, ()>)),
        ("check", schema_for!(Envelope<'_, Verdict>)),
        ("error", schema_for!(Envelope<'_, ()>)),
        ("event", schema_for!(Envelope<'_, ()>)),
        ("file", schema_for!(Envelope<'_, FileData>)),
        ("plan", schema_for!(Envelope<'_, PlanData>)),
        ("release", schema_for!(Envelope<'_, ListedRelease>)),
        ("report", schema_for!(Envelope<'_, Report>)),
        ("result", schema_for!(Envelope<'_, ()>)),
        ("score", schema_for!(Envelope<'_, ScoreReport>)),
        ("status", schema_for!(Envelope<'_, AppStatus>)),
    ]
}
