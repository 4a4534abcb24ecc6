//! What an app needs of its host. A change asks it of the release that is about to go live, the doctor of
//! the live one. Both call these functions, so that they agree.
//!
//! A fault here is the host's. Every function only reads.
//!
//! | file | asks |
//! |---|---|
//! | `writable`, `protection` | whether what a change writes can be written |
//! | `space` | whether there are bytes and inodes for it |
//! | `directories` | whether a directory is a directory, and only root can replace it |
//! | `mounts` | whether the file systems of the directories are mounted |
//! | `programs` | whether every program exists and can be executed |
//! | `tools` | whether the programs that robotctl runs are installed |
//! | `addresses` | whether a server can listen on every address |
//! | `accounts` | whether somebody else has the accounts of the app |
//! | `kernel` | whether the kernel enforces limits and filters packets |
//! | `shadowed` | whether a file of the administrator hides a generated one |

mod accounts;
mod addresses;
mod directories;
mod kernel;
mod mounts;
mod programs;
mod protection;
mod shadowed;
mod space;
mod tools;
mod writable;

pub(crate) use accounts::{login, other_members, take_login};
pub(crate) use addresses::{taken_addresses, unusable_addresses};
pub(crate) use directories::{misplaced_directories, replaceable_directories};
pub(crate) use kernel::missing_enforcement;
pub(crate) use mounts::{check_mounted, unmounted_points};
pub(crate) use programs::{AtProgram, Needed, at_program, missing_programs};
pub(crate) use protection::check_unprotected;
pub(crate) use shadowed::{shadowed_files, shadowed_units};
pub(crate) use space::{how_to_free_space, shortages, shortages_of, spaces_of_files};
pub(crate) use tools::missing_tools;
pub(crate) use writable::{directories_of_changes, unwritable_directories, unwritable_files};

use crate::app::App;
use crate::host::Host;
use crate::plan::{Observed, Plan};
use crate::tree::FileTree;
use anyhow::Result;

/// A change that is planned and has not begun: the release that is about to go live, and the host on which it will run.
pub(crate) struct PlannedChange<'a> {
    /// The host.
    pub(crate) host: &'a Host,
    /// The app of the release.
    pub(crate) app: &'a App,
    /// Every file that the release puts on the host.
    pub(crate) tree: &'a FileTree,
    /// What will change.
    pub(crate) plan: &'a Plan,
    /// The host as the plan knows it.
    pub(crate) observed: &'a Observed,
    /// Whether a path of the release can be executed.
    pub(crate) in_release: &'a dyn Fn(&str) -> Result<AtProgram>,
    /// Whether the release is still to be staged. Then it takes space.
    pub(crate) is_new: bool,
    /// Whether an earlier release goes live again. Nothing is created for it but what tmpfiles.d names.
    pub(crate) is_rollback: bool,
}
