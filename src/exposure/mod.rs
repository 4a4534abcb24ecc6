//! How exposed a service is: the score of `systemd-analyze security`, from the text of a unit.
//!
//! Why not ask systemd: 249 cannot score a file, and 257 scores every unit as if it had
//! `PrivateMounts=yes`. The rules are those of 252; `scripts/scorer-parity` compares the results
//! for hundreds of units. The score says what a unit asks for, not what a host enforces.
//!
//! System call filters are scored as on 64-bit x86 on every machine.
//!
//! | file | holds |
//! |---|---|
//! | `score` | the score, what causes it, and what would lower it |
//! | `checks`, `grades` | the table of checks, and those that need a function |
//! | `context` | the settings of a unit as the checks need them |
//! | `unit` | the syntax of unit files |
//! | `sets`, `syscalls` | capabilities, namespaces, families, addresses and system calls |

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
pub use syscalls::has as group_has;
pub use unit::Unit;
