//! Every hardening directive, once: since when, with which value, and why.
//!
//! The floor of exposure of each shape comes from this table; so does the reference document.

mod table;

pub use table::DIRECTIVES;

use crate::app::{Shape, Target};

/// One directive of `10-hardening.conf`.
#[derive(Debug, Clone, Copy)]
pub struct Directive {
    /// As in systemd.directives(7).
    pub name: &'static str,
    /// The systemd version that knows it.
    pub since: u16,
    /// The version from which Debian's systemd enforces it, where that is later.
    pub enforced: u16,
    /// A stricter word in place of `yes`, and the version that knows it. Left out where it breaks
    /// more than it keeps: `PrivateTmp=disconnected` moves /var/tmp into memory, and a process
    /// that is PID 1 of its namespace (`PrivatePIDs=`) ignores SIGTERM unless it handles it.
    pub newer: Option<(u16, &'static str)>,
    /// What it keeps the service from.
    pub keeps_from: &'static str,
    /// The lines to write for a shape; none leaves the directive out.
    pub value: fn(&Shape) -> Vec<String>,
}

/// What most rows have in common.
const PLAIN: Directive = Directive {
    name: "",
    since: 0,
    enforced: 0,
    newer: None,
    keeps_from: "",
    value: |_| Vec::new(),
};

impl Directive {
    /// Its values for a shape on a target. A portable unit has the old word first: a version that
    /// does not know the new one keeps it, where the new one alone would leave the door open.
    fn values(&self, shape: &Shape, target: Target) -> Vec<String> {
        let mut values = (self.value)(shape);
        if let Some((since, word)) = self.newer
            && values == ["yes"]
            && target.has(since)
        {
            match target {
                Target::Version(_) => values = vec![word.into()],
                Target::Portable => values.push(word.into()),
            }
        }
        values
    }
}

/// The lines `Name=value` for a shape on a target.
pub(super) fn lines(shape: &Shape, target: Target) -> Vec<(&'static str, String)> {
    let known = DIRECTIVES.iter().filter(|row| target.has(row.since));
    known
        .flat_map(|row| {
            let values = row.values(shape, target).into_iter();
            values.map(move |value| (row.name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::DIRECTIVES;
    use crate::app::UNENFORCED;

    #[test]
    fn the_lint_knows_what_is_not_enforced() {
        for row in DIRECTIVES.iter().filter(|row| row.enforced > row.since) {
            let known = UNENFORCED
                .iter()
                .any(|(name, enforced, _)| *name == row.name && *enforced == row.enforced);
            assert!(known, "{}", row.name);
        }
    }
}
