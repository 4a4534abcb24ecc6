//! The error of a change that could be neither finished nor undone.

/// The host is between two states, and the journal is kept: a person is needed.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) anyhow::Error);
