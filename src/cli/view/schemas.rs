//! JSON schemas of the machine interface, one a kind of line.

use super::Envelope;
use super::files::{FileData, LintData};
use super::package::PackageData;
use super::plan_data::PlanData;
use crate::audit::Audit;
use crate::doctor::{Check, Report};
use crate::health::Verdict;
use crate::ops::{AppStatus, Fixes, ListedRelease, ListedSecret, ListedVariable, LogRecord, Trace};
use crate::sandbox::cost::ScoreReport;
use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;

/// The fields of a line with data, besides those of every line.
const DATA: &[&str] = &["data"];
/// The fields of a line that tells an error, besides those of every line.
const ERROR: &[&str] = &["level", "message", "error", "hints"];

/// The kinds of lines, each with the schema of the whole line.
pub(in crate::cli) fn schemas() -> Vec<(&'static str, Schema)> {
    let last = [ERROR, &["exit_code"]].concat();
    vec![
        line::<()>("app-error", &[ERROR, &["app"]].concat()),
        line::<Verdict>("check", DATA),
        line::<Check>("doctor-check", DATA),
        line::<()>("error", &last),
        line::<Audit>("event", &["event", "level", "message"]),
        line::<FileData>("file", DATA),
        line::<Fixes>("fix", DATA),
        line::<LintData>("lint", DATA),
        line::<LogRecord>("log", DATA),
        line::<PackageData>("package", DATA),
        line::<PlanData>("plan", DATA),
        line::<ListedRelease>("release", DATA),
        line::<Report>("report", DATA),
        line::<()>("result", &["exit_code"]),
        line::<ScoreReport>("score", DATA),
        line::<ListedSecret>("secret", DATA),
        line::<AppStatus>("status", DATA),
        line::<Trace>("trace", DATA),
        line::<ListedVariable>("variable", DATA),
    ]
}

/// The schema of one kind of line: it has these fields besides those of every line.
fn line<T: JsonSchema>(kind: &'static str, fields: &[&str]) -> (&'static str, Schema) {
    let mut schema = schema_for!(Envelope<'_, T>);
    if let Some(property) = schema.pointer_mut("/properties/kind") {
        property["const"] = kind.into();
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.extend(fields.iter().map(|field| Value::from(*field)));
    }
    (kind, schema)
}
