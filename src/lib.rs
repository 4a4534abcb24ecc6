//! robotctl
#![warn(missing_docs)]
pub mod apply;
pub mod cli;
pub mod doctor;
pub mod host;
pub mod manifest;
pub mod model;
pub mod page;
pub mod plan;
pub mod record;
pub mod render;
pub mod stage;
pub mod tree;
pub mod verify;
