//! The error of a change that could be neither finished nor undone.

/// The host is between two states, and the journal is kept: you must act.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) anyhow::Error);
