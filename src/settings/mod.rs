//! The settings of an app on a host: `/etc/<app>/env` and `/etc/<app>/credentials`.
//!
//! An administrator writes them by hand. systemd drops what it does not understand and says so only in
//! its journal, so the plan and the doctor judge the files before a service starts. Both call these
//! functions, so that they agree.
//!
//! | file | judges |
//! |---|---|
//! | `env_syntax` | the text of an environment file, as systemd.exec(5) reads it |
//! | `env_file` | `/etc/<app>/env`, and what the services need in it |
//! | `host_overlay` | `/etc/<app>/robot.local.toml`, the overlay of this host |
//! | `secrets` | each file in `/etc/<app>/credentials` |
//! | `secret_value` | the value of a secret |
//! | `open_file` | whether a file is closed to other users |
//! | `unused` | variables of the file that nothing seems to read |
//! | `same_secrets` | secrets of this host that have the same content |
//!
//! `secret_files` writes the files of secrets, for `robotctl secret`; `env_edit` changes variables, for `robotctl env`.
//!
//! A service gets its settings when it starts, and keeps them. These find the services that run with older
//! ones than the files hold ([decision 18](../../docs/decisions/0018-a-service-is-compared-with-its-settings.md)):
//!
//! | file | holds |
//! |---|---|
//! | `stale` | the services whose settings have changed since they started |
//! | `agreement` | services that run with different values of one secret |
//! | `variables` | whether the variables of a service have changed |
//! | `starts` | the record of what the services got that robotctl started |

mod agreement;
mod env_edit;
mod env_file;
mod env_syntax;
mod host_overlay;
mod open_file;
mod same_secrets;
mod secret_files;
mod secret_value;
mod secrets;
mod stale;
mod starts;
mod unused;
mod variables;

pub(crate) use agreement::{disagreements, disagreements_among, in_words};
pub(crate) use env_edit::{Edited, set_variable, unset_variable};
pub(crate) use env_file::{env_file_faults, env_values, missing_variables};
pub(crate) use host_overlay::host_overlay;
pub(crate) use same_secrets::{SameSecrets, same_secrets};
pub(crate) use secret_files::SecretFiles;
pub(crate) use secret_value::{MAX_SECRET_BYTES, SecretValue};
pub(crate) use secrets::{missing_to_generate, secret_faults};
pub(crate) use stale::{RunningUser, running_users, stale_among, stale_services};
pub(crate) use starts::{StartedServices, drop_record};
pub(crate) use unused::unused_variables;
