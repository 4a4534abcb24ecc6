//! All tests that need no running systemd. They are one binary, so that there is one link step and
//! the helpers are shared.
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the host without going through the tool"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test that cannot continue should stop there"
)]
#![allow(
    single_use_lifetimes,
    reason = "a lifetime cannot be left out in an argument of type `impl AsRef<[&str]>`"
)]

mod archive_bombs;
mod bad_archives;
mod bad_manifests;
mod bad_sources;
mod content;
mod damaged_records;
mod deploy_from;
mod docs;
mod doctor;
mod earlier_rules;
mod env;
mod fix;
mod formats;
mod golden;
mod history;
mod host_overlay;
mod howto;
mod imports;
mod json_output;
mod layers;
mod lost_state;
mod offline;
mod own_directories;
mod ownership;
mod package;
mod plans;
mod previews;
mod protected_files;
mod provenance;
mod public_state;
mod records;
mod remove;
mod restarts;
mod rights;
mod scorer_parity;
mod secrets;
mod service_files;
mod settings;
mod staging;
mod test;
mod tree;
mod under_way;
mod unsuitable_hosts;
mod user_errors;
mod values;
mod views;
mod which_app;
mod words;
