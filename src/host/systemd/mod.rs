//! The service manager in typed calls. Offline there is none: nothing is started, nothing is known.
//!
//! | file | holds |
//! |---|---|
//! | `control` | starting, stopping and reloading units |
//! | `overdue` | killing what takes longer to start or stop than its timeouts allow |
//! | `query` | the [`UnitStatus`] of units, and the systemd version |
//! | `status` | [`UnitStatus`]: what systemd says about a unit |
//! | `configure` | systemd-sysusers(8), systemd-tmpfiles(8), `systemd-analyze verify` |
//! | `scope` | transient scopes |
//! | `last_lines` | what a unit wrote last |

mod configure;
mod control;
mod last_lines;
mod overdue;
mod query;
mod scope;
mod status;

pub use overdue::Killed;
pub use scope::{Cleanup, Drain, Scope, end_of_scope};
pub use status::{ActiveState, LoadState, MainExit, UnitResult, UnitStatus};

use std::sync::{Arc, Mutex, PoisonError};

/// The service manager of the host.
#[derive(Debug, Clone)]
pub struct Systemd {
    offline: bool,
    /// What was killed and not reported yet.
    killed: Arc<Mutex<Vec<Killed>>>,
}

impl Systemd {
    pub(super) fn new(offline: bool) -> Self {
        Self {
            offline,
            killed: Arc::default(),
        }
    }

    /// The units that were killed since the last call.
    pub fn take_killed(&self) -> Vec<Killed> {
        std::mem::take(&mut *self.killed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is no service manager, because the host is a directory tree.
    pub fn is_offline(&self) -> bool {
        self.offline
    }
}
