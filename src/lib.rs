//! robotctl
#![warn(missing_docs)]
pub mod exposure;
pub mod host;
pub mod manifest;
pub mod model;
pub mod render;
pub mod tree;
