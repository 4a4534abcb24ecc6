//! `secret`: writes the values of secrets, and restarts the services that use them.
//!
//! A value comes from standard input, a terminal, a file or another app, and goes to a file of root. It is in no
//! argument, event or record.
//!
//! | file | holds |
//! |---|---|
//! | `change` | `secret set`, `rotate` and `restore` |
//! | `declared` | the app that is meant, and the secrets that its manifests declare |
//! | `list` | `secret list` |
//! | `restart` | the services that restart with a new value |
//! | `source` | where a new value comes from |
//! | `variables` | secrets that a service gets as environment variables |

mod change;
mod declared;
mod list;
mod restart;
mod source;
mod variables;

pub(crate) use change::{ChangedSecret, SecretChange, SecretRequest, run as change};
pub(in crate::ops) use declared::find_app;
pub(crate) use list::{ListedSecret, SecretList, run as list};
pub(crate) use source::ValueSource;
pub(crate) use variables::exec_with_secrets;
