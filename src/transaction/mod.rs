//! The crash-safe core: a change of the host, forward or back, never between.
//!
//! Every change follows one order:
//!
//! 1. The journal is written. It names every visible change and how to undo it.
//! 2. Files, units and the link `current` change.
//! 3. The new release is checked.
//! 4. The state is replaced by one rename. This is the commit.
//! 5. The release is marked as good, and the journal is removed.
//!
//! A change that is killed before the commit is undone by [`recover`], one that is killed after it is
//! finished.
//!
//! | module | holds |
//! |---|---|
//! | `apply` | the order above |
//! | `switch` | files and the link, forward and back |
//! | `obstacles` | what is in the way of the directories of services |
//! | `activate` | units, forward |
//! | `handover`, `scope_limits` | handing a service over to the next release |
//! | `restore` | undoing a handover |
//! | `health` | checks after the switch |
//! | `start` | starting units of the live release, which needs no journal |
//! | `commit` | the end of a change that succeeded |
//! | `revert` | undoing a change |
//! | `recover` | ending an interrupted change |
//! | `remove` | removing an app, as a change with steps of its own |
//! | `installed` | the files that an app has on the host, without its records |
//! | `rebuild` | saving a state again that was lost |

mod activate;
mod apply;
mod commit;
mod handover;
mod health;
mod installed;
mod interrupted;
mod obstacles;
mod operation;
mod rebuild;
mod recover;
mod remove;
mod restore;
mod revert;
mod scope_limits;
mod start;
mod switch;

pub(crate) use apply::{CallerInput, Outcome, apply};
pub(crate) use handover::MAX_DRAINING;
pub(crate) use installed::installed_files;
pub(crate) use interrupted::Interrupted;
pub(crate) use operation::Operation;
pub(crate) use rebuild::{StateRebuild, rebuild_state};
pub(crate) use recover::{Recovered, RecoveryMode, recover};
pub(crate) use remove::{Removal, RemoveError, draining_scopes, has_leftovers, removal, remove};
pub(crate) use start::start;
