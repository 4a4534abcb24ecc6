//! The state that robotctl keeps of an app, below `/var/lib/robotctl/<app>/`.
//!
//! | file | mode | holds |
//! |---|---|---|
//! | `state.json` | 0644 | the live release, the previous ones, and pins |
//! | `history.jsonl` | 0644 | one line per event, the last thousand |
//! | `attempts.jsonl` | 0644 | the same for commands that were refused, interrupted or not completed, the last hundred |
//! | `releases/<id>.json` | 0644 | a release: version, times, mark, units, scores |
//! | `releases/<id>.private` | 0600 | its manifest, its rendered files and its source |
//! | `overlays/<id>.<digest>` | 0600 | the overlay of this host and the files that it makes of the live release |
//! | `releases/<id>.index` | 0600 | its payload, and where each file was seen |
//! | `releases/<id>.built` | 0600 | what its build made, and from what |
//! | `package.json` | 0644 | the version of the app's package that was tried last |
//! | `journal.json` | 0600 | a change under way, with how to undo it; absent otherwise |
//! | `history.private`, `attempts.private` | 0600 | the same events in full, with source, manifest and plan |
//! | `failed.json` | 0600 | releases that failed and were removed, the last hundred |
//! | `reserve`, `reserve.N` | 0600 | space and files to release when the disk is full |
//! | `lock` | 0600 | the process that changes the app; the kernel's lock on it decides |
//!
//! The public files hold names, ids, times and results, so that `status`, `releases`, `history` and
//! `doctor` work for any user. They hold no content of files and no output of services. The
//! directory has mode 0711, `releases` has 0755.
//!
//! Every file that a decision depends on is replaced atomically; the history only informs.

mod built;
mod change;
mod content;
mod damage;
mod failures;
mod format;
mod history;
mod journal;
mod live;
mod lock;
mod on_host;
mod package;
mod previous;
mod readers;
mod records;
mod release;
mod repair;
mod reserve;
mod space;
mod state;
mod stopped;

pub use built::{BuiltPart, BuiltSize};
pub use change::{Change, Committed};
pub use content::ExactChanges;
pub use damage::Damaged;
pub use format::{FORMAT, UnsupportedFormat};
pub use history::LastFailure;
pub use journal::{Handover, HandoverRole, Journal, Step, UnitChanges};
pub use on_host::OnHost;
pub use package::TriedPackage;
pub use records::Store;
pub use release::{
    ContentChanges, Mark, PublicRelease, PublicUnit, ReleaseRecord, Score, UnitRole, public_units,
};
pub use space::{Shortage, Space};
pub use state::State;
pub use stopped::StoppedUnits;
