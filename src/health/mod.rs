//! Whether a release is healthy: its services are up, run the right release, pass their checks and
//! stay up.
//!
//! `active` is not enough: a Gunicorn whose workers die after READY=1 is active for half a minute.
//!
//! | file | holds |
//! |---|---|
//! | `verify` | all services of a release, and the jobs that are checks |
//! | `checks`, `probe`, `http` | the checks of one service; one attempt; one HTTP request |
//! | `settle`, `restarts` | units that must stay up: after a switch, and during a soak |
//! | `proof` | what the pre-check, or an earlier time, has shown already |
//! | `readiness`, `acceptors` | waiting until a server accepts connections |
//! | `stopped` | daemons that the administrator or a condition keeps down |
//! | `cause`, `exit_codes` | why a unit is down, and what to do |
//! | `explained` | the same, with what its program wrote and what that says |
//! | `host_state` | whether the host is to blame for a failure |
//! | `verdict` | the results |

mod acceptors;
mod cause;
mod checks;
mod exit_codes;
mod explained;
mod host_state;
mod http;
mod probe;
mod proof;
mod readiness;
mod restarts;
mod run;
mod settle;
mod stopped;
mod verdict;
mod verify;

pub(crate) use acceptors::ManagerSockets;
pub(crate) use cause::{cause_failure, cause_text};
pub(crate) use checks::{check_service, run_failure, still_answers};
pub(crate) use exit_codes::SYSTEMD_EXITS;
pub(crate) use explained::{explained, explanation, in_words, log_of};
pub(crate) use host_state::report_failure;
pub(crate) use http::Address;
pub(crate) use proof::Proof;
pub(crate) use readiness::{stops_accepting, wait_accepting, wait_listening, wait_ready};
pub(crate) use restarts::RestartCounter;
pub(crate) use settle::{no_answer, settle, settle_time};
pub(crate) use stopped::{
    are_met, daemon_states, report_skipped, report_wait, settled_daemons, stopped_daemons,
    unmet_in_words, warn_unchecked,
};
pub(crate) use verdict::Verdict;
pub(crate) use verify::{run_jobs, verify};
