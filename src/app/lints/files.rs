//! Files that a service uses and that its `files` do not select.

use super::case::{Case, Message};
use crate::app::names::Text;
use crate::app::patterns::Patterns;

pub(super) fn outside_files(case: &Case<'_>) -> Vec<Message> {
    let service = case.service;
    let Some(patterns) = &service.files else {
        return Vec::new();
    };
    let commands = [&service.exec, &service.exec_reload].into_iter();
    let words = commands.chain(&service.exec_start_pre).flatten();
    let words = words.map(Text::as_str);
    let current = format!("{}/", case.app.layout.current());
    let mut outside: Vec<&str> = words
        .chain([service.working_directory.as_str()])
        .filter_map(|word| word.strip_prefix(&current))
        .filter(|path| !is_covered(patterns, path))
        .collect();
    outside.sort_unstable();
    outside.dedup();
    let message = |path: &str| {
        (
            format!("uses `{path}` of the release, which its `files` do not select"),
            "add it to `files`: a release that changes it would not restart the service",
        )
    };
    outside.into_iter().map(message).collect()
}

/// Whether a file or a directory is selected, or files in it may be.
fn is_covered(patterns: &Patterns, path: &str) -> bool {
    let inside = |line: &Text| {
        let line = line.as_str().trim_start_matches('/');
        let rest = line.strip_prefix(path);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    patterns.selects(path, false)
        || patterns.selects(path, true)
        || patterns.lines().iter().any(inside)
}
