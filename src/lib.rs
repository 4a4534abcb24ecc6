//! From one manifest to hardened systemd units, atomic releases and a way back.
//!
//! ```text
//! robot.toml ─parse─▶ Manifest ─check─▶ App ─render─▶ FileTree ─plan(observed)─▶ Plan ─apply─▶ Outcome
//!                                                                                    └─verify─▶ keep | roll back
//! ```
//!
//! The modules are the pipeline, in its order; left of `apply` everything is pure.
//!
//! | module | from | to |
//! |---|---|---|
//! | [`manifest`] | text | tables, as written |
//! | [`app`] | tables | an app that cannot hold a bad value |
//! | [`sandbox`] | the shape of a service | its hardening directives, and what they cost |
//! | [`render`] | an app | the files that should exist: a [`tree`] |
//! | [`payload`] | | what a release holds, and how two differ |
//! | [`stage`] | a source | a release in place, invisible |
//! | [`plan`] | a tree and what the host looks like | what would change, as data |
//! | [`transaction`] | a plan | a changed host, or the host as before |
//! | [`health`] | a running app | healthy or not |
//! | [`store`] | | what is remembered of an app, the crash journal included |
//! | [`doctor`] | a host | findings, with what to type |
//! | [`exposure`] | a unit | its score, and why it is not lower |
//! | [`units`] | names and paths of units | their parts |
//! | [`page`] | a host | the reference application's status page |
//! | [`host`] | | the only door to files, processes, clock and environment |
//! | [`cli`] | arguments | one stage called, text and exit code |
#![warn(missing_docs)]

pub mod app;
pub mod bytesize;
pub mod cli;
pub mod command_line;
pub mod doctor;
pub mod error;
pub mod events;
pub mod exposure;
pub mod health;
pub mod host;
pub mod manifest;
pub mod page;
mod parallel;
pub mod payload;
pub mod plan;
pub mod render;
pub mod sandbox;
pub mod session;
pub mod stage;
pub mod store;
pub mod transaction;
pub mod tree;
pub mod units;
