//! What is valid and most likely a mistake: a table of lints over an app.
//!
//! `systemd-analyze verify` accepts most of this. The reference document is generated from the table.

mod case;
mod commands;
mod directives;
mod paths;
mod rights;
mod table;
#[cfg(test)]
mod tests;

pub use table::{LINTS, Lint, LintFinding, Severity, lint};
