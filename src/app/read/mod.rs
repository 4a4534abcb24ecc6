//! From tables to values: every rule about a manifest's meaning.
//!
//! [`Reader`](reader::Reader) knows the whole manifest, since a rule about one table may need
//! another. Each other file adds the methods for its tables.

mod app;
mod checks;
mod hooks;
mod reader;
mod relations;
mod release;
mod sandbox;
mod service;
mod timer;
