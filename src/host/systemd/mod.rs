//! The service manager in typed calls. Offline there is none: nothing is started, nothing is known.
//!
//! | file | holds |
//! |---|---|
//! | `control` | starting, stopping and reloading units |
//! | `phase` | what a unit does and is about to do: the table of its states and jobs |
//! | `overdue` | killing what takes longer to start or stop than its timeouts allow |
//! | `query` | the [`UnitStatus`] of units, and the systemd version |
//! | `status` | [`UnitStatus`]: what systemd says about a unit |
//! | `configure` | systemd-sysusers(8), systemd-tmpfiles(8), `systemd-analyze verify` |
//! | `scope` | transient scopes |
//! | `run_log` | what a run of a unit wrote |
//! | `run_events` | restarts of units, and processes that were killed for memory |

mod configure;
mod control;
mod overdue;
mod phase;
mod query;
mod run_events;
mod run_log;
mod same_line;
mod scope;
mod status;

pub use overdue::{Killed, Verb};
pub use phase::{Checked, PHASES, Phase, PhaseRow, PlannedAs, Reported, STATES, StateRow};
pub use run_events::{RunEvent, RunEventKind};
pub use run_log::RunLog;
pub use scope::{Cleanup, Drain, Scope, end_of_scope};
pub use status::{ActiveState, LoadState, MainExit, UnitJob, UnitResult, UnitStatus};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The service manager of the host.
#[derive(Debug, Clone)]
pub struct Systemd {
    offline: bool,
    killed: Arc<Mutex<KilledUnits>>,
}

/// The units whose processes were killed.
#[derive(Debug, Default)]
struct KilledUnits {
    all: Vec<Killed>,
    /// How many of them, from the first on, were reported.
    reported: usize,
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
        let mut killed = self.killed();
        let new = killed.all.iter().skip(killed.reported).cloned().collect();
        killed.reported = killed.all.len();
        new
    }

    fn killed(&self) -> MutexGuard<'_, KilledUnits> {
        self.killed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is no service manager, because the host is a directory tree.
    pub fn is_offline(&self) -> bool {
        self.offline
    }
}
