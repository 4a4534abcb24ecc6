//! From an [`App`](crate::app::App) to the files that should exist: pure and total.
//!
//! Same app, same target, same bytes: no clock, no host, no release id. The templates are in
//! `packaging/templates`; each reads like the file that it makes.
//!
//! | file | holds |
//! |---|---|
//! | `whole` | everything that an app needs outside its releases |
//! | `transient` | units that exist only for a moment |
//! | [`derive`] | the services that are derived from one: proxy, pre-check instance, check |
//! | `units`, `drop_ins`, `tmpfiles`, `sysusers`, `preset` | one file each, from its template |
//! | `unit_files` | where the files of a unit go |
//! | `escape` | values cannot become syntax |
//! | `header` | the line that says for which app a file was made |

pub mod derive;
mod drop_ins;
mod escape;
mod header;
mod preset;
mod sysusers;
mod tmpfiles;
mod transient;
mod unit_files;
mod units;
mod whole;

pub use drop_ins::{ReleaseMount, execstart, execstart_path};
pub use header::{made_for, runtime_header};
pub use transient::{job, one_off, precheck, probe, probe_control};
pub use whole::{possible_links, render, service_texts};
