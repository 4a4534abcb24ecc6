//! Everything that can be tested without a running systemd, in one binary: one link step, and
//! helpers that all share.
#![allow(
    clippy::disallowed_methods,
    reason = "tests look at the host behind the tool's back"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop where it is"
)]

mod bad_archives;
mod bad_manifests;
mod bad_sources;
mod contents;
mod damaged;
mod docs;
mod findings;
mod formats;
mod golden;
mod layers;
mod lost;
mod mistakes;
mod offline;
mod owners;
mod plans;
mod records;
mod refused;
mod remove;
mod scorer_parity;
mod staging;
mod test;
mod tree;
mod values;
mod views;
