//! The sandbox of a service: what it denies, what a manifest can allow, and what that costs.
//!
//! | file | holds |
//! |---|---|
//! | [`exceptions`] | the named exceptions, capabilities and presets of a manifest |
//! | [`build`] | what the build of a release can do beyond the floor |
//! | [`prefix`] | the addresses that a manifest lists |
//! | [`shape`] | the facts about a service that decide every directive |
//! | [`directives`] | the hardening directives: since when, with which value, and why |
//! | [`floor`] | the lowest score that a service of a shape can have |
//! | [`cost`] | a service's score, and what each of its exceptions adds to it |
//! | [`calls`] | which system calls are denied, and what allows each |
//! | [`probes`] | what `doctor --probe` tries inside a sandbox, and what a result says |
//! | [`limits`] | what a service can use up, which its score does not cover |
//! | [`in_force`] | a score without what a host does not enforce |
//! | [`refused`] | the raw directives that a manifest cannot set |
//! | [`explain`] | what a program's error messages tell about its sandbox |
//!
//! All but [`cost`] are tables and functions over plain values: they know no app. [`cost`] renders
//! and scores variants of a service; a search for the tightest sandbox that a service works in
//! belongs beside it.

pub mod build;
pub mod calls;
pub mod cost;
pub mod directives;
pub mod exceptions;
pub mod explain;
pub mod floor;
pub mod in_force;
pub mod limits;
pub mod prefix;
pub mod probes;
pub mod refused;
pub mod shape;
