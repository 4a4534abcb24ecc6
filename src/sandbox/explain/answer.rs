//! What an explanation says.

/// How sure an explanation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// The message has other causes, too.
    Possible,
    /// The message has this cause in most cases.
    Likely,
    /// The message, the service and the host leave no other cause.
    Certain,
}

/// What a message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// The program goes on without what it was denied.
    Harmless,
    /// The service failed for a reason that has nothing to do with the sandbox.
    NotTheSandbox,
    /// The sandbox denies what the program needs.
    Denied,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The id of the row.
    pub id: &'static str,
    /// What the message means.
    pub meaning: Meaning,
    /// How sure it is.
    pub sureness: Sureness,
    /// One sentence: the cause, and what to write.
    pub text: String,
    /// The line that it explains; empty if the exit alone says it.
    pub line: String,
    /// Whether the exit says it, and `line` is the name of a system call.
    pub is_of_exit: bool,
}

/// What begins each of several ways to allow something. Where there is one line, a space takes its place.
pub const ALTERNATIVE: &str = "\n  - ";

/// What a row of the table says about a line: the meaning, how sure it is, and one sentence.
pub(super) type Judgement = Option<(Meaning, Sureness, String)>;
