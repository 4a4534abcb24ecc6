//! Settings of an app that are valid but probably wrong: a table of lints.
//!
//! `systemd-analyze verify` accepts most of this. The reference document is generated from the table.

mod build;
mod case;
mod commands;
mod directives;
mod environments;
mod files;
mod network;
mod paths;
mod rights;
mod runtimes;
mod table;
#[cfg(test)]
mod tests;

pub use table::{LINTS, Lint, LintFinding, Severity, lint};
