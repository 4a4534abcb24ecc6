//! Staging: putting a release on disk, where nothing uses it yet.
//!
//! | step | file |
//! |---|---|
//! | Find the source, and list what the release would hold | `source`, `scan` with `exclude`, `checks`, `private_files` and `not_copied`, `archive` |
//! | Find what `release.python` reads and the release would not have | `python_files` |
//! | Hash the files that no earlier release knows | `scanned` |
//! | Name the release after its content | `id` |
//! | Fill `releases/.staging-*`: hard links to the live release, copies of the rest | `fill` with `base`, `copy` and `progress` |
//! | Run the manifest's build in it (`transient::build`), and check what it made | `built` |
//! | Sync it and rename it to `releases/<id>` | `publish` with `staging_dir` |
//! | Compare what the build made with an earlier release | `same_files` |
//! | Remove what an interrupted run left | `clean_up` |
//!
//! A running service cannot see `.staging-*`. The release appears with one rename(2).

mod archive;
mod base;
mod built;
mod checks;
mod clean_up;
mod copy;
mod exclude;
mod fill;
mod id;
mod not_copied;
mod private_files;
mod progress;
mod publish;
mod python_files;
mod same_files;
mod scan;
mod scanned;
mod source;
mod staging_dir;

pub use archive::text_in_archive;
pub use base::Base;
pub use built::normalise as normalise_built;
pub use clean_up::clean_up;
pub use fill::fill;
pub use id::release_id;
pub use progress::Progress;
pub use publish::{Build, is_staged, publish};
pub use python_files::missing_python_files;
pub use same_files::have_same_files;
pub use scan::scan;
pub use scanned::ScannedSource;
pub use source::Source;
pub use staging_dir::Stage;
