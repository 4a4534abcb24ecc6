//! What commands show, as pure functions of their outcomes: text for people, and the shapes of the
//! JSON output.

pub(super) mod checks;
mod counted;
pub(super) mod env;
mod envelope;
pub(super) mod event;
pub(super) mod explanation;
pub(super) mod files;
pub(super) mod fixes;
pub(super) mod log;
pub(super) mod package;
pub(super) mod plan;
mod plan_data;
pub(super) mod prune;
pub(super) mod releases;
pub(super) mod removal;
pub(super) mod report;
mod rights;
pub(super) mod schemas;
pub(super) mod score;
pub(super) mod secrets;
pub(super) mod status;
mod subject;
pub(super) mod trace;

pub(super) use counted::counted;
pub(super) use envelope::Envelope;
pub(super) use plan_data::PlanData;
pub(super) use subject::DataSubject;
