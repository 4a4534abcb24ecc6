//! How exposed a service is: the score of `systemd-analyze security`, computed here.
//!
//! Why not ask systemd: 249 cannot score a file, and 257 takes every unit to have
//! `PrivateMounts=yes`. The rules are those of 252, and `scripts/scorer-parity` compares both over
//! hundreds of units. Scored is text; what a host enforces is another question.
//!
//! A filter of system calls is scored as on 64-bit x86, whichever machine this runs on.

mod checks;
mod context;
mod grades;
mod score;
mod sets;
mod syscalls;
#[cfg(test)]
mod tests;
mod unit;

pub use checks::{CHECKS, Check};
pub use score::{Exposure, Finding, Remedy, score, score_as, shown, tenths};
pub use unit::Unit;
