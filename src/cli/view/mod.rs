//! Views: text output as pure functions of data.

pub(super) mod plan;
