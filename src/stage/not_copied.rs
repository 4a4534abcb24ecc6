//! Attributes of files that a release does not have, as warnings.

use super::copy::Attributes;
use std::collections::BTreeSet;

/// How many paths a warning names.
const MAX_NAMED: usize = 5;

/// The paths with such attributes.
#[derive(Debug, Default)]
pub(super) struct NotCopied {
    capabilities: NamedPaths,
    acls: NamedPaths,
}

/// Paths: the first ones, and how many there are.
#[derive(Debug, Default)]
struct NamedPaths {
    first: BTreeSet<String>,
    count: usize,
}

impl NamedPaths {
    fn add(&mut self, path: &str) {
        self.count += 1;
        self.first.insert(path.to_owned());
        if self.first.len() > MAX_NAMED {
            self.first.pop_last();
        }
    }
}

impl NotCopied {
    pub(super) fn add(&mut self, path: &str, found: Attributes) {
        let lists = [
            (found.capabilities, &mut self.capabilities),
            (found.acl, &mut self.acls),
        ];
        for (_, list) in lists.into_iter().filter(|(is_found, _)| *is_found) {
            list.add(path);
        }
    }

    pub(super) fn warnings(self) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(paths) = named(&self.capabilities) {
            out.push(format!(
                "a release has no file capabilities (capabilities(7)), so those of {paths} are left out. \
                 To give a service one, write it in `capabilities` below `[service.NAME.sandbox]`"
            ));
        }
        if let Some(paths) = named(&self.acls) {
            out.push(format!(
                "a release has no access control lists (acl(5)), so those of {paths} are left out. The \
                 services of the app can read all of its files, and `release.reader-group` adds one group"
            ));
        }
        out
    }
}

/// The first of these paths, and how many follow.
fn named(found: &NamedPaths) -> Option<String> {
    let first = found.first.iter();
    let shown: Vec<String> = first.map(|path| format!("`{path}`")).collect();
    let more = found.count.saturating_sub(shown.len());
    match (shown.as_slice(), more) {
        ([], _) => None,
        ([rest @ .., last], 0) if !rest.is_empty() => {
            Some(format!("{} and {last}", rest.join(", ")))
        }
        (_, 0) => Some(shown.join(", ")),
        _ => Some(format!("{} and {more} more", shown.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Attributes, NamedPaths, NotCopied, named};

    #[test]
    fn the_first_paths_are_named_in_order() {
        let cases: [(&[&str], Option<&str>); 5] = [
            (&[], None),
            (&["b"], Some("`b`")),
            (&["b", "a"], Some("`a` and `b`")),
            (&["c", "b", "a"], Some("`a`, `b` and `c`")),
            (
                &["g", "f", "e", "d", "c", "b", "a"],
                Some("`a`, `b`, `c`, `d`, `e` and 2 more"),
            ),
        ];
        for (paths, expected) in cases {
            let mut found = NamedPaths::default();
            for path in paths {
                found.add(path);
            }
            assert_eq!(named(&found).as_deref(), expected);
        }
    }

    #[test]
    fn each_kind_of_attribute_has_a_warning() {
        let mut found = NotCopied::default();
        found.add("plain", Attributes::default());
        assert_eq!(NotCopied::default().warnings(), [""; 0]);
        let both = Attributes {
            capabilities: true,
            acl: true,
        };
        found.add("bin/ping", both);
        let warnings = found.warnings();
        let starts = [
            "a release has no file capabilities",
            "a release has no access",
        ];
        assert_eq!(warnings.len(), starts.len());
        for (warning, start) in warnings.iter().zip(starts) {
            assert!(warning.starts_with(start), "{warning}");
            assert!(warning.contains("`bin/ping`") && !warning.contains("plain"));
        }
    }
}
