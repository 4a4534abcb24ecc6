//! Units that exist only while one step of a command runs.
//!
//! All of them are a [`unit::TransientUnit`]: it is put in place, started or run to its end, and
//! removed. If `robotctl` is killed meanwhile, the next command finds and removes what is left.
//!
//! | file | holds |
//! |---|---|
//! | `unit` | [`unit::TransientUnit`] |
//! | `job` | a hook or a check command as a unit, in the sandbox of its service |
//! | `one_off` | a command of `robotctl run`, in the sandbox of a service |
//! | `precheck` | second instances of services, started on a new release before the switch |
//! | `alone` | what to do about one that finds no other program in its network |
//! | `denial` | whether this host filters packets and devices |
//! | `probe` | what the sandboxes of services prevent on this host |
//! | `hooks` | the app's own jobs of a deploy |
//! | `build_here` | the same commands for a package, as the user who makes it |
//! | `build`, `build_step`, `build_hint`, `python` | build commands and the Python environment of a release |
//! | `build_sandbox`, `resolvers` | what these commands can see and reach |
//! | `drop_ins` | the administrator's drop-ins, copied for a second instance |
//! | `trace` | a second instance whose denied system calls the kernel logs |
//! | `still_running` | refusing a unit that an earlier command left running |
//! | `leftovers` | finding and removing what killed runs left |

mod alone;
pub(crate) mod build;
pub(crate) mod build_here;
mod build_hint;
mod build_sandbox;
mod build_step;
pub(crate) mod denial;
pub(crate) mod drop_ins;
pub(crate) mod hooks;
pub(crate) mod job;
pub(crate) mod leftovers;
pub(crate) mod one_off;
pub(crate) mod precheck;
pub(crate) mod probe;
mod python;
mod resolvers;
mod still_running;
pub(crate) mod trace;
pub(crate) mod unit;
