//! The service manager in typed calls. Offline there is none: nothing is started, nothing is known.
//!
//! | file | holds |
//! |---|---|
//! | `control` | starting, stopping and reloading units |
//! | `query` | the [`UnitStatus`] of units, and the systemd version |
//! | `status` | [`UnitStatus`]: what systemd says about a unit |
//! | `configure` | systemd-sysusers(8), systemd-tmpfiles(8), `systemd-analyze verify` |
//! | `scope` | transient scopes |
//! | `last_lines` | what a unit wrote last |

mod configure;
mod control;
mod last_lines;
mod query;
mod scope;
mod status;

pub use scope::{Cleanup, Drain, Scope, end_of_scope};
pub use status::{ActiveState, LoadState, MainExit, UnitResult, UnitStatus};

/// The service manager of the host.
#[derive(Debug, Clone)]
pub struct Systemd {
    offline: bool,
}

impl Systemd {
    pub(super) fn new(offline: bool) -> Self {
        Self { offline }
    }

    /// Whether there is no service manager, because the host is a directory tree.
    pub fn is_offline(&self) -> bool {
        self.offline
    }
}
