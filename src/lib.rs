//! From one manifest to hardened systemd units, atomic releases and rollback.
//!
//! ```text
//! robot.toml ─parse─▶ Manifest ─check─▶ App ─render─▶ FileTree ─plan(observed)─▶ Plan ─apply─▶ Outcome
//!                                                                                    └─check─▶ keep | roll back
//! ```
//!
//! The modules, from the command line down:
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | one file per command: parse the arguments, call one use case, print its outcome |
//! | `ops` | the use cases: deploy, rollback, recover, remove, prune, status, doctor, … |
//! | [`manifest`] | the TOML as written; problems with line and key |
//! | [`app`] | an app whose values are all valid; lints; the layout on the host; the schema of the manifest |
//! | [`sandbox`] | hardening directives, exceptions, floors and their cost |
//! | [`exposure`] | the score of a unit, as systemd-analyze(1) gives it |
//! | [`render`] | an app → the files that should exist: a [`tree`] |
//! | `deb` | an app → the control files and documents of its Debian package: a [`tree`] |
//! | [`payload`] | what a release holds; its index |
//! | [`plan`] | the files that should exist and what the host has → what would change |
//! | [`archive`] | the members of an archive, read by a process without rights |
//! | [`stage`] | a source → a release on the disk that nothing uses yet |
//! | `transaction` | the crash-safe core: a plan applied, or undone |
//! | `transient` | units that exist for one step: pre-check instances, hooks, checks, builds |
//! | `health` | whether a service is up, runs the right release and answers |
//! | [`store`] | the state of an app: what is live, releases, journal, history, lock |
//! | `settings` | what is wrong with the environment file and the secrets of an app |
//! | `doctor` | the table of checks of an app and its host |
//! | `relay` | the proxy, which forwards connections to a server |
//! | `page` | the status page of the bundled app |
//! | [`host`] | the I/O boundary: files, processes, systemd, clock, accounts |
//! | [`error`], `failure`, `fault`, [`command_line`], [`events`], [`audit`], [`safe_fix`], `sandbox_files`, [`session`], `printable`, [`units`], [`bytesize`], `ago` | values that all of them share |
//!
//! `manifest`, `app`, `sandbox`, `exposure`, `render`, `deb`, `tree`, `units`, `payload` and `plan` are pure:
//! they read no file, clock or environment.
#![warn(missing_docs)]

mod ago;
pub mod app;
pub mod archive;
pub mod audit;
pub mod bytesize;
pub mod cli;
pub mod command_line;
mod deb;
pub(crate) mod doctor;
pub mod error;
pub mod events;
pub mod exposure;
pub(crate) mod failure;
pub(crate) mod fault;
pub(crate) mod health;
pub mod host;
pub(crate) mod host_cause;
pub mod manifest;
pub(crate) mod ops;
pub(crate) mod page;
mod parallel;
pub mod payload;
pub mod plan;
pub(crate) mod prerequisites;
pub(crate) mod printable;
pub mod provenance;
pub(crate) mod relay;
pub mod render;
pub mod safe_fix;
pub mod sandbox;
mod sandbox_files;
pub mod session;
pub(crate) mod settings;
pub(crate) mod stability;
pub mod stage;
pub mod store;
pub(crate) mod transaction;
pub(crate) mod transient;
pub mod tree;
pub mod units;
