//! `deploy`: a release goes live.
//!
//! ```text
//! prepare (scan, render, observe, plan, refusals) ─▶ preview
//!                                                 └▶ stage ─▶ pre-check ─▶ commit
//! ```
//!
//! Preview and apply share `prepared`: what `--apply` would refuse before it changes anything, the
//! preview refuses with the same words.

mod apply;
mod from;
mod making;
mod of_package;
mod prepared;
mod preview;
mod provenance;
mod request;
mod same_rights;
mod source;
mod staging;

pub(crate) use apply::apply;
pub(super) use of_package::check_removable;
pub(crate) use preview::preview;
pub(crate) use request::DeployRequest;
