//! The use cases: a request comes in, an outcome or an [`Error`](crate::error::Error) goes out.
//!
//! Nothing here parses arguments or prints. Events go to the sink of the [`Context`]; everything else
//! that a command shows is in its outcome. A use case that changes the host opens a
//! [`Session`](crate::session::Session) first: lock, recovery, clean-up.
//!
//! | module | use case |
//! |---|---|
//! | `context` | what every command gets: host, options, sink |
//! | `attempt` | who makes a change and from what; a record of those that fail |
//! | `select` | the app that a command means |
//! | `load` | the manifest that a command means |
//! | `bundled` | the app that the package contains |
//! | `hints` | hints that name the app of the command |
//! | `session` | opening a session |
//! | `observe`, `host_facts`, `ownership`, `preflight`, `choose_release` | reading the host for a plan, and what refuses the plan |
//! | `deploy`, `rollback`, `recover`, `remove`, `prune`, `fix` | the commands that change the host; `fix` is `doctor --fix` |
//! | `secret` | the values of secrets, and the restart of the services that use them |
//! | `safe_steps` | the steps of `doctor --fix` |
//! | `overlaps` | the services that can restart by overlap without another change |
//! | `verbs` | `restart`, `start` and `stop` |
//! | `logs` | what the services log |
//! | `env` | the variables in `/etc/<app>/env` |
//! | `package` | a Debian package of an app |
//! | `status`, `releases`, `history`, `check`, `doctor`, `score`, `generate` | the commands that do not |
//! | `run_command` | `run`: a command as a service runs |
//! | `trace` | `doctor --trace`: runs a second instance of a service |
//! | `completion_candidates` | names for completions |
//! | `draining` | the previous releases that drain |
//! | `drained`, `soak`, `unit_commands` | commands that units run |

mod accounts;
mod attempt;
mod bundled;
mod check;
mod choose_release;
mod completion_candidates;
mod context;
mod deploy;
mod doctor;
mod drained;
mod draining;
mod env;
mod fix;
mod generate;
mod hints;
mod history;
mod host_facts;
mod load;
mod logs;
mod observe;
mod other_release;
mod outcome;
mod overlaps;
mod ownership;
mod package;
mod preflight;
mod prune;
mod recover;
mod releases;
mod remove;
mod rollback;
mod run_command;
mod safe_steps;
mod score;
mod secret;
mod select;
mod session;
mod soak;
mod status;
mod trace;
mod unit_commands;
mod user_file;
mod verbs;

pub(crate) use check::run as check;
pub(crate) use completion_candidates::{known_apps, known_checks, known_releases, known_services};
pub(crate) use context::{Context, Options};
pub(crate) use deploy::{DeployRequest, apply as deploy, preview as preview_deploy};
pub(crate) use doctor::{DoctorRequest, explain, run as doctor};
pub(crate) use drained::{DrainedRequest, run as drained};
pub(crate) use draining::Draining;
pub(crate) use env::{
    ChangedVariables, EnvRequest, ListedVariable, VariableChange, change as change_variables,
    list as list_variables,
};
pub(crate) use fix::{Fixes, apply as fix, preview as preview_fix};
pub(crate) use generate::{Drift, compare, render_files, stale_documents, write as write_files};
pub(crate) use history::run as history;
pub(crate) use logs::{LogRecord, LogsRequest, run as logs};
pub(crate) use outcome::Changed;
pub(crate) use package::{Compression, MadePackage, PackageRequest, run as package};
pub(crate) use prune::{PruneRequest, Pruned, apply as prune, preview as preview_prune};
pub(crate) use recover::{RecoverRequest, Recovery, run as recover};
pub(crate) use releases::{ListedRelease, run as releases};
pub(crate) use remove::{
    Preview as RemovalPreview, RemoveRequest, apply as remove, preview as preview_remove,
};
pub(crate) use rollback::{RollbackRequest, apply as rollback, preview as preview_rollback};
pub(crate) use run_command::{RunRequest, run as run_command};
pub(crate) use safe_steps::StepResult;
pub(crate) use score::run as score;
pub(crate) use secret::{
    ChangedSecret, ListedSecret, SecretChange, SecretList, SecretRequest, ValueSource,
    change as change_secret, exec_with_secrets, list as list_secrets,
};
pub(crate) use soak::{SoakRequest, run as soak};
pub(crate) use status::{AppStatus, UnitStatus, run as status};
pub(crate) use trace::{Trace, TraceRequest, run as trace};
pub(crate) use unit_commands::{ArchiveFormat, attempt, page, read_archive, relay, wait_for};
pub(crate) use verbs::{
    ServicesPlan, ServicesRequest, preview_restart, preview_start, preview_stop, restart, start,
    stop,
};
