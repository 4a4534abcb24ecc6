//! What a release holds: its items, the index that records them, and the comparison of two releases.
//!
//! Everything here is a pure function of its arguments. Reading a source and writing a release are
//! the work of [`crate::stage`].
//!
//! | file | holds |
//! |---|---|
//! | `stat` | what identifies a file's content and a file on disk |
//! | `item` | one directory, file or link |
//! | `list` | [`Payload`]: all items in order, their size and digest |
//! | `index` | the format of `releases/<id>.index` |
//! | `previous` | [`PreviousIndex`]: the index of an earlier release, compared with a new payload |
//! | `links` | where the symbolic links of a release may lead |

pub mod index;
mod item;
pub(crate) mod links;
mod list;
mod previous;
mod stat;

pub use index::IndexHeader;
pub use item::{Item, Kind};
pub use list::Payload;
pub use previous::PreviousIndex;
pub use stat::{ContentHash, FileStat, Fingerprints, InstalledStat};
