//! What a build makes, and from what: whether a release can take it over from an earlier one.
//!
//! | file | holds |
//! |---|---|
//! | `tree` | what is at the paths that a build makes: its digest and its size |
//! | `inputs` | what decides what commands make: files of the source, programs, the commands |
//! | `requirements` | which other files and packages a requirements file names |
//! | `program` | the files that run a command |
//! | `paths` | inputs that the source does not have, and outputs that it has |

mod inputs;
mod paths;
mod program;
mod requirements;
mod tree;

pub(super) use inputs::text_in_source;
pub use inputs::{BuildInputs, Commands, EarlierPart, Inputs};
pub use paths::wrong_paths;
pub use tree::MadeTree;
