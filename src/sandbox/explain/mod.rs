//! Why a program failed in its sandbox: what its messages, systemd's messages and its exit say.
//!
//! | file | holds |
//! |---|---|
//! | `seen` | what a run left: lines, and how it ended |
//! | `case` | the service, the host, and what a change of the manifest would cost |
//! | `table` | the messages that are known, and what each one means |
//! | `judge` | what a message means for this service |
//! | `answer` | what an explanation says |
//!
//! An answer names what the sandbox denies and the key that allows exactly that. No answer is better than a wrong
//! one: a row that does not apply to the shape of the service gives none.

mod answer;
mod case;
mod judge;
mod seen;
mod table;
#[cfg(test)]
mod tests;

pub use answer::{ALTERNATIVE, Explanation, Meaning, Sureness};
pub use case::{Access, AtPath, Case};
pub use seen::{Ended, Seen};
pub use table::{MOUNT, ROWS};

use seen::{KnownLine, contains};
use table::Row;

/// What to write to grant an exception, and what it costs. `None` if it is granted.
pub fn how_to_allow(case: &Case<'_>, exception: &'static str) -> Option<String> {
    case.allow(exception)
}

/// Whether a line says that a host or another program could not be reached.
pub fn finds_no_peer(line: &str) -> bool {
    let line = line.to_lowercase();
    let words = [table::ECONNREFUSED, table::ENETUNREACH, table::NO_NAME];
    words.iter().any(|words| contains(&line, words))
}

/// Every message of a run that the table knows, in the order of the lines.
pub fn explain_all(case: &Case<'_>, seen: &Seen<'_>) -> Vec<Explanation> {
    let lower: Vec<String> = seen
        .program
        .iter()
        .map(|line| line.to_lowercase())
        .collect();
    // What a row needs of other lines is looked for once, whatever the number of lines.
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.needs(&lower)).collect();
    let first = |line: &str, is_meant: &dyn Fn(&Row) -> bool| {
        let known = KnownLine { line, run: &lower };
        let mut rows = rows.iter().filter(|row| is_meant(row));
        rows.find_map(|row| row.judge(case, &known))
    };
    let mut found = Vec::new();
    for (line, text) in seen.program.iter().zip(&lower) {
        found.extend(first(line, &|row| {
            !row.of_manager && contains(text, row.words)
        }));
    }
    for line in seen.manager {
        let text = line.to_lowercase();
        found.extend(first(line, &|row| {
            row.of_manager && contains(&text, row.words)
        }));
    }
    if seen.end.is_some() {
        let call = seen.killing_call.unwrap_or_default();
        found.extend(first(call, &|row| {
            row.words.is_empty() && row.end == seen.end
        }));
    }
    found
}

/// The best explanation of a run that failed: a cause before what is harmless, the surest, and of these the one
/// of the last line.
pub fn explain(case: &Case<'_>, seen: &Seen<'_>) -> Option<Explanation> {
    let all = explain_all(case, seen).into_iter();
    all.max_by_key(|one| (one.meaning != Meaning::Harmless, one.sureness))
}

impl Row {
    /// Whether some line of the run contains one of the words of `and`.
    fn needs(&self, run: &[String]) -> bool {
        self.and.is_empty() || run.iter().any(|line| contains(line, self.and))
    }

    fn judge(&self, case: &Case<'_>, known: &KnownLine<'_>) -> Option<Explanation> {
        let (meaning, sureness, text) = (self.judge)(case, known)?;
        Some(Explanation {
            id: self.id,
            meaning,
            sureness,
            text,
            line: known.line.to_owned(),
            is_of_exit: self.words.is_empty(),
        })
    }
}
