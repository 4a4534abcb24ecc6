//! Archives: `.tar`, alone or compressed.
//!
//! An archive may come from anywhere, and root reads it. So decoders and the parser of tar run in a child process
//! that has no rights, may call nothing but read(2), write(2) and memory management, and gets a limit of memory.
//! The child writes the members to a pipe in a format that is simple to read.
//!
//! | file | what |
//! |---|---|
//! | `file` | the file, or the copy of it that was verified |
//! | `signers` | who may sign the archives of an app |
//! | `signature` | whether one of them did |
//! | `format` | which decoder a file needs |
//! | `decode` | the child: decodes, parses, and writes members |
//! | `wire` | the format on the pipe |
//! | `members` | the parent: starts the child and reads members |
//! | `problem` | why an archive cannot be read, and what to type |

mod decode;
mod file;
mod format;
mod members;
mod problem;
mod signature;
mod signers;
mod wire;

pub use decode::run as decode;
pub use file::ArchiveFile;
pub use format::Format;
pub use members::Members;
pub use signature::{NAMESPACE, verify};
pub use signers::{Signers, signers_files};
pub use wire::{Member, MemberKind};
