//! From tables to values: every rule about the meaning of a manifest.
//!
//! [`Reader`](reader::Reader) has the whole manifest, because a rule about one table may need
//! another. Each other file adds the methods for its tables; `secret_access` checks the finished app.

mod app;
mod build;
mod checks;
mod conditions;
mod files;
mod groups;
mod hooks;
mod other_environments;
mod package;
mod packets;
mod placeholders;
#[cfg(test)]
mod precedence;
mod reader;
mod relations;
mod release;
mod sandbox;
mod secret_access;
mod secret_variables;
mod service;
mod timer;
