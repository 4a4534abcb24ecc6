//! Paths that a service should not write or cannot see.

use super::case::{Case, Message};
use crate::app::names::Text;

/// Whether two paths are the same, or one is below the other.
fn covers(one: &str, other: &str) -> bool {
    let below = |path: &str, dir: &str| {
        let rest = path.strip_prefix(dir.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(one, other) || below(other, one)
}

pub(super) fn writable_code(case: &Case<'_>) -> Vec<Message> {
    // A job of root that manages releases needs this, and says so with the exception.
    if case.service.user.as_str() == "root" && case.shape.allows("exec-writable") {
        return Vec::new();
    }
    let listed = case
        .service
        .sandbox
        .read_write
        .iter()
        .map(ToString::to_string);
    let message = |path: String| {
        (
            format!("can write `{path}`, which holds code"),
            "let it write below `{state}`: a service must not change the code that it runs",
        )
    };
    let code = [case.app.layout.opt(), "/usr".to_owned(), "/etc".to_owned()];
    let code = |path: &String| path == "/" || code.iter().any(|dir| covers(path, dir));
    listed.filter(code).map(message).collect()
}

pub(super) fn home_path(case: &Case<'_>) -> Vec<Message> {
    if case.shape.allows("home") || case.directive("ProtectHome").is_some() {
        return Vec::new();
    }
    let service = case.service;
    let words = service
        .exec
        .iter()
        .chain(service.exec_start_pre.iter().flatten());
    let words = words.map(Text::as_str);
    let words = words.chain([service.working_directory.as_str()]);
    let home = |word: &&str| ["/home/", "/root/"].iter().any(|dir| word.starts_with(dir));
    let message = |word: &str| {
        (
            format!("uses `{word}` and cannot see home directories"),
            "put it into the release; `allow = [\"home\"]` makes home directories readable",
        )
    };
    words.filter(home).map(message).collect()
}
